"""The little program that another Python runs to measure."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dispatcher.hosts.probe import speed_trial
from dispatcher.hosts.probe.speed import TRIAL
from dispatcher.units import MIB


def test_copies_are_timed_for_one_thread_and_for_several(monkeypatch):
    monkeypatch.setattr(speed_trial, "COPY_SECONDS", 0.02)
    assert speed_trial.bandwidth(1, MIB) > 0.05
    assert speed_trial.bandwidth(3, MIB) > 0.05


def test_the_best_pass_counts_and_both_reading_and_writing(monkeypatch):
    took = iter([0.4, 0.1, 0.2])
    ticks = iter([0.0, 0.0, 0.0, 1e9])
    monkeypatch.setattr(speed_trial, "_pass", lambda _pairs, _size: next(took))
    monkeypatch.setattr(speed_trial.time, "perf_counter", lambda: next(ticks))
    assert 2 * MIB * 2 / 0.1 / 1e9 == speed_trial.bandwidth(2, MIB)


def test_a_product_is_timed(monkeypatch):
    pytest.importorskip("numpy")
    monkeypatch.setattr(speed_trial, "PRODUCT_SECONDS", 0.02)
    assert speed_trial.gflops() > 0.1


def test_without_numpy_there_is_no_product(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert speed_trial.gflops() is None


def test_the_trial_runs_alone_and_answers_in_json():
    argv = [sys.executable, "-I", "-S", "-c", TRIAL.read_text(), "1", str(MIB)]
    found = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert (["bandwidth_gbs", "gflops"], None) == (sorted(found), found["gflops"])
