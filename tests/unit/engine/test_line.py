"""A computer that others use first: waited for in line, with its limit said."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import Outcome, RunState
from dispatcher.engine.outcome import exit_code
from dispatcher.events import Progress, StateChanged
from tests.fakes import EagerClock, FakeClock, FakeCloud


class Shared(FakeCloud):
    """A computer that others use for so many looks."""

    looks = 0
    on_look = staticmethod(lambda: None)

    def offers(self, need):
        return [replace(one, market="owned", price_per_hour=0.0) for one in super().offers(need)]

    def in_use(self, _offer):
        self.on_look()
        self.looks -= 1
        return "load 3.0 on 2 CPUs" if self.looks >= 0 else ""


@pytest.fixture
def desk(tmp_path):
    return Shared(tmp_path / "desk")


def run_there(stage, desk, clock=None, **more):
    ctx = stage.context(backend=lambda _where: desk, clock=clock or EagerClock(), **more)
    return stage.run("echo there", ctx=ctx, offers=desk.offers(Requirements()))


def test_a_job_waits_in_line_and_starts_when_the_others_are_gone(stage, desk):
    desk.looks = 2
    run = run_there(stage, desk)
    assert Outcome.SUCCEEDED == run.outcome
    states = [one.state for one in stage.of(StateChanged)]
    assert [RunState.QUEUED, RunState.PLANNED, RunState.PROVISIONING] == states[:3]
    said = [one.message for one in stage.of(Progress) if one.step == "line"]
    assert said[0].startswith("fake m1 is used by others (load 3.0 on 2 CPUs): in line until ")
    assert "fake m1 is free now" == said[1]


def test_a_computer_that_is_free_keeps_nobody_waiting(stage, desk):
    assert Outcome.SUCCEEDED == run_there(stage, desk).outcome
    assert RunState.QUEUED not in [one.state for one in stage.of(StateChanged)]


def test_whoever_cancels_in_line_has_started_nothing(stage, desk):
    cancel = threading.Event()
    desk.looks, desk.on_look = 99, cancel.set
    run = run_there(stage, desk, cancel=cancel)
    assert (RunState.FINISHED, Outcome.CANCELLED, 130, []) == (run.state, run.outcome, exit_code(run), run.attempts)


def test_the_line_has_an_end(stage, desk, monkeypatch):
    monkeypatch.setattr("dispatcher.engine.line.LINE_SECONDS", 60.0)
    desk.looks = 99
    run = run_there(stage, desk, clock=FakeClock())
    assert (RunState.FINISHED, 103, []) == (run.state, exit_code(run), run.attempts)
    assert 99 - 5 <= desk.looks < 99


def test_nobody_is_left_standing_in_line(stage, desk):
    leaving = threading.Event()
    leaving.set()
    desk.looks = 99
    run = run_there(stage, desk, detach=leaving)
    assert (RunState.FINISHED, 103) == (run.state, exit_code(run))
