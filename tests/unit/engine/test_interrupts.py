"""Ctrl-C while mlrun looks after runs that go on: they go on, and their true end is learned."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

from dispatcher.domain.run import Outcome, RunState
from dispatcher.engine import steps
from dispatcher.engine.lifecycle import reconcile, resume, stop
from dispatcher.hosts import job as jobs
from dispatcher.hosts.local import LocalHost
from tests.fakes import wait_for

WAITS = "while [ ! -e go ]; do sleep 0.02; done; echo made > out; exit 7"


@pytest.fixture
def left(stage):
    """A run that was left to itself."""
    gone = threading.Event()
    gone.set()
    return stage.run(WAITS, ctx=stage.context(detach=gone), outputs=("out",))


def interrupted(*_all, **_more):
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", steps.STEPS, ids=lambda step: step.name)
@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_whoever_only_looks_ends_nothing_by_ctrl_c_at_any_step(stage, left, monkeypatch, step, end):
    (stage.workdir / "go").touch()
    wait_for(stage.backend.runs / left.id / str(left.attempt.label) / "outcome.json")

    def ends(*_all):
        raise end

    with monkeypatch.context() as patched:
        patched.setattr(type(step), "do", ends)
        with pytest.raises(end):
            reconcile(stage.context())
    seen = stage.store.find(left.id)
    assert (True, None, None) == (seen.open, seen.outcome, seen.exit_code)
    done = resume(left.id, stage.context())
    assert (RunState.FINISHED, Outcome.FAILED, 7, ["out"]) == (
        done.state, done.outcome, done.exit_code, [o.path for o in done.outputs],
    )  # fmt: skip


def test_ctrl_c_while_runs_are_brought_up_to_date_waits_until_that_is_done(stage, left, monkeypatch):
    (stage.workdir / "go").touch()
    wait_for(stage.backend.runs / left.id / str(left.attempt.label) / "outcome.json")
    find, presses = stage.backend.find, iter([signal.SIGINT])

    def find_slowly(label):
        for press in presses:
            os.kill(os.getpid(), press)
        return find(label)

    monkeypatch.setattr(stage.backend, "find", find_slowly)
    with pytest.raises(KeyboardInterrupt):
        reconcile(stage.context())
    seen = stage.store.find(left.id)
    assert (RunState.FINISHED, 7) == (seen.state, seen.exit_code)
    assert signal.default_int_handler is signal.getsignal(signal.SIGINT)


def test_leaving_a_stop_records_nothing_and_the_true_end_is_learned(stage, left, monkeypatch):
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(steps, "follow_to_the_end", interrupted)
        stop(left.id, stage.context(), grace=2)
    seen = stage.store.find(left.id)
    assert (True, None) == (seen.open, seen.outcome)
    (stage.workdir / "go").touch()
    done = resume(left.id, stage.context())
    assert (7, Outcome.FAILED) == (done.exit_code, done.outcome)


def test_a_terminals_ctrl_c_is_not_for_what_mlrun_runs_here(tmp_path):
    host = LocalHost(tmp_path)
    own = host.run(["sh", "-c", "ps -o sid= -p $$"]).stdout
    assert os.getsid(0) != int(own)
    assert "absent" == jobs.status(host, "r-none-a1").phase
