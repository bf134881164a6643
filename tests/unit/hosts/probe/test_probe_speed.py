"""How fast the processor is, measured by real subprocesses, remembered, and computed where it must be."""

from __future__ import annotations

import json
import sys
import time

import pytest

from dispatcher import paths
from dispatcher.hosts.probe import speed
from dispatcher.hosts.probe.cpu import CpuFacts
from dispatcher.hosts.probe.speed import Speed
from dispatcher.units import GIB

LAPTOP = CpuFacts("Some CPU", 4, 8, "avx2 fma avx sse2", 2.0)


def python_without_numpy(folder):
    """The same interpreter, started without its packages."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_measuring_takes_about_a_second_and_gives_plausible_rates():
    pytest.importorskip("numpy")
    start = time.monotonic()
    found = speed.measure(LAPTOP, 2.0, 4 * GIB)
    assert time.monotonic() - start < 8
    assert "measured" == found.basis
    assert 0.5 < found.gflops < 100_000
    assert 0.1 < found.bandwidth_gbs < 5_000


def test_without_numpy_the_product_is_computed_and_copies_are_still_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(speed.sys, "executable", python_without_numpy(tmp_path))
    found = speed.measure(LAPTOP, 2.0, GIB)
    assert ("computed", 2 * 2.0 * 32 * 0.7) == (found.basis, found.gflops)
    assert found.bandwidth_gbs > 0.1


def test_the_jobs_python_is_asked_where_ours_has_no_numpy(tmp_path, monkeypatch):
    pytest.importorskip("numpy")
    able = sys.executable
    monkeypatch.setattr(speed.sys, "executable", python_without_numpy(tmp_path))
    assert "measured" == speed.measure(LAPTOP, 1.0, GIB, (able,)).basis


def test_a_python_that_does_not_start_leaves_what_can_be_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(speed.sys, "executable", str(tmp_path / "missing"))
    assert ("computed", 0.0) == (speed.measure(LAPTOP, 1.0, GIB).basis, speed.measure(LAPTOP, 1.0, GIB).bandwidth_gbs)


@pytest.mark.parametrize(
    ("cpu", "cpus", "gflops"),
    [
        (CpuFacts("", 4, 8, "avx512 avx2 fma avx sse2", 2.0), 8.0, 4 * 2.0 * 64 * 0.7),
        (CpuFacts("", 4, 8, "avx2 fma avx", 2.0), 2.0, 2 * 2.0 * 32 * 0.7),
        (CpuFacts("", 4, 8, "avx2 avx", 2.0), 4.0, 4 * 2.0 * 16 * 0.7),
        (CpuFacts("", 2, 2, "neon", 0.0), 2.0, 2 * 2.5 * 16 * 0.7),
        (CpuFacts("", 0, 0, "", 1.0), 1.0, 1 * 1.0 * 4 * 0.7),
    ],
)
def test_computed_speed_is_cores_times_clock_times_width(cpu, cpus, gflops):
    assert gflops == pytest.approx(speed.computed_gflops(cpu, cpus))


def test_a_measurement_is_remembered_for_this_processor_and_quota_only():
    speed.remember(speed.key("A", 2.0), Speed(50.0, 20.0, "measured", 1.0))
    speed.remember(speed.key("A", 4.0), Speed(90.0, 20.0, "measured", 2.0))
    assert Speed(50.0, 20.0, "measured", 1.0) == speed.cached("A|2")
    assert Speed(90.0, 20.0, "measured", 2.0) == speed.cached("A|4")
    assert speed.cached(speed.key("B", 2.0)) is None


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"A|2": 5}', '{"A|2": {"surprise": 1}}'])
def test_a_broken_cache_is_as_good_as_none(text):
    file = paths.cache_dir() / "machine.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert speed.cached("A|2") is None


def test_a_broken_cache_is_replaced_and_nothing_else_is_left():
    file = paths.cache_dir() / "machine.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    speed.remember("A|2", Speed(1.0, 2.0, "measured"))
    assert ["A|2"] == list(json.loads(file.read_text()))
    assert [file] == list(file.parent.iterdir())


def test_a_cache_that_cannot_be_written_is_no_error(home):
    (home / "dispatcher").write_text("a file where a folder should be")
    speed.remember("A|2", Speed(1.0, 2.0, "measured"))
    assert speed.cached("A|2") is None
