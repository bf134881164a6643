"""Whose memory was full: the container's, where that is the limit."""

from __future__ import annotations

import os

import pytest

from dispatcher.engine import following
from dispatcher.engine.outcome import explain
from dispatcher.hosts.probe import cgroup


@pytest.mark.parametrize(
    ("limit", "words"),
    [(2 * 2.0**30, "out of memory: the 2.0 GiB of RAM that this container may use were full"),
     (None, "out of memory: this computer's RAM was full"),
     (2.0**60, "out of memory: this computer's RAM was full")],
)  # fmt: skip
def test_out_of_memory_names_the_limit_that_was_met(stage, monkeypatch, limit, words):
    monkeypatch.setattr(cgroup, "limits", lambda: cgroup.Limits(memory=limit))
    run = stage.run("echo 'MemoryError: no more' >&2; exit 1")
    assert ("oom-host", words) == (run.reason, explain(run))
    assert following.container_memory() == (limit if limit and limit < os.sysconf("SC_PHYS_PAGES") * 4096 else None)
