"""The log of a run elsewhere, kept here: its size is where to go on, whoever comes and goes."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import Outcome, RunState
from dispatcher.engine.lifecycle import resume, stop
from dispatcher.events import LogBytes, Warned
from tests.fakes import EagerClock, FakeCloud

TALKS = "i=0; while [ ! -e enough ]; do i=$((i+1)); echo line $i; sleep 0.02; done; exit 3"


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud")


class Leaver:
    """Somebody who watches so many more bytes, and leaves."""

    def __init__(self, stage, cloud, least=1):
        self.detach, self.heard, self.least = threading.Event(), b"", least
        self.warned = []
        self.ctx = stage.context(backend=lambda _where: cloud, clock=EagerClock(), emit=self.hear, detach=self.detach)

    def hear(self, event):
        if isinstance(event, LogBytes):
            self.heard += bytes(event.data)
            if len(self.heard) >= self.least:
                self.detach.set()
        if isinstance(event, Warned):
            self.warned.append(event.message)


@pytest.fixture
def left(stage, cloud):
    """A run that its first watcher has left."""
    leaver = Leaver(stage, cloud)
    offers = [replace(one, region="r1") for one in cloud.offers(Requirements())]
    run = stage.run(TALKS, ctx=leaver.ctx, offers=offers)
    return run, leaver.heard


def kept(ctx, run):
    return (ctx.runs / run.id / str(run.attempt.label) / "log").read_bytes()


def test_whoever_comes_and_leaves_again_loses_nothing_of_the_log_that_is_kept(stage, cloud, left):
    run, heard = left
    assert kept(stage.context(), run) == heard
    for _ in range(3):
        leaver = Leaver(stage, cloud, least=100)
        assert RunState.RUNNING == resume(run.id, leaver.ctx).state
        heard += leaver.heard
        assert [] == leaver.warned
        assert kept(leaver.ctx, run) == heard
    stop(run.id, stage.context(backend=lambda _where: cloud, clock=EagerClock()), grace=0.1)


def test_stop_after_others_followed_keeps_the_log_whole_and_tells_nothing_of_it(stage, cloud, left):
    run, heard = left
    ctx = stage.context(backend=lambda _where: cloud, clock=EagerClock())
    done = stop(run.id, ctx, grace=0.1)
    assert (RunState.FINISHED, Outcome.CANCELLED) == (done.state, done.outcome)
    assert b"" == stage.log()
    lines = kept(ctx, run).splitlines()
    assert [b"line %d" % number for number in range(1, len(lines) + 1)] == lines
    assert kept(ctx, run).startswith(heard)
    assert [] == [event.message for event in stage.of(Warned) if "differs" in event.message]


def test_stop_of_a_run_here_tells_nothing_of_its_output_either(stage):
    leaver = threading.Event()
    leaver.set()
    run = stage.run(TALKS, ctx=stage.context(detach=leaver))
    assert Outcome.CANCELLED == stop(run.id, stage.context(), grace=0.1).outcome
    assert b"" == stage.log()
