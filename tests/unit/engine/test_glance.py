"""Runs that were left to themselves elsewhere: whoever looks, sees which have ended."""

from __future__ import annotations

import threading
import time

import pytest

from dispatcher.app.reminders import reminders
from dispatcher.cli.render.listing import ps_lines
from dispatcher.cli.render.receipt import report_lines
from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import Outcome, RunState
from dispatcher.engine.glance import glance, waiting
from dispatcher.engine.lifecycle import resume, stop
from dispatcher.engine.visiting import fetch
from dispatcher.errors import HostUnreachable
from tests.fakes import EagerClock, FakeCloud

WAITS = "while [ ! -e {gate} ]; do sleep 0.02; done; echo said; echo made > out.txt; exit 3"
PATIENCE = 10.0


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud")


@pytest.fixture
def ctx(stage, cloud):
    return stage.context(backend=lambda _where: cloud)


@pytest.fixture
def left(stage, cloud, tmp_path):
    """A run that was left at once; its job ends when the gate opens."""
    leaving = threading.Event()
    leaving.set()
    away = stage.context(backend=lambda _where: cloud, clock=EagerClock(), detach=leaving)
    run = stage.run(WAITS.format(gate=tmp_path / "gate"), ctx=away, offers=cloud.offers(Requirements()), outputs=("out.txt",))
    assert RunState.RUNNING == run.state
    return run


def seen_to_end(ctx, gate):
    gate.touch()
    give_up = time.monotonic() + PATIENCE
    while not (found := glance(ctx, PATIENCE)):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    (run,) = found
    return ctx.store.find(run.id)


def test_a_job_that_goes_on_is_left_as_it_is(ctx, left):
    assert [] == glance(ctx, PATIENCE)
    assert RunState.RUNNING == ctx.store.find(left.id).state
    stop(left.id, ctx, grace=0)


def test_a_job_that_has_ended_waits_to_be_fetched_and_every_screen_says_so(ctx, left, tmp_path, cloud):
    run = seen_to_end(ctx, tmp_path / "gate")
    assert (RunState.COLLECTING, Outcome.FAILED, 3, True) == (run.state, run.outcome, run.exit_code, waiting(run))
    now = ctx.clock.now()
    (said,) = reminders([run], now)
    assert "has ended on fake m1 (failed), waiting to be fetched: $1.00 per hour" in said.message
    assert f"mlrun fetch {run.id[:4]}" == said.fix
    shown = " ".join(" ".join(ps_lines([run], now, 80)).split())
    assert "waiting to be fetched" in shown
    assert "job ended fake m1" in shown
    assert [] == glance(ctx, PATIENCE)
    assert 1 == len(cloud.alive())
    fetch(run.id, ctx)


def test_fetch_then_sees_it_to_its_end_and_shows_no_output(ctx, left, tmp_path, cloud, stage):
    run = seen_to_end(ctx, tmp_path / "gate")
    done = fetch(run.id, ctx)
    assert (RunState.FINISHED, Outcome.FAILED, 3, []) == (done.state, done.outcome, done.exit_code, cloud.alive())
    assert (["out.txt"], "made\n") == ([one.path for one in done.outputs], (stage.workdir / "out.txt").read_text())
    assert b"" == stage.log()
    assert b"said\n" == (ctx.runs / run.id / str(run.attempt.label) / "log").read_bytes()


def test_fetch_of_a_run_that_nobody_knew_to_have_ended_ends_it_too(ctx, left, tmp_path, cloud):
    (tmp_path / "gate").touch()
    give_up = time.monotonic() + PATIENCE
    while (run := fetch(left.id, ctx)).open:
        assert time.monotonic() < give_up
    assert (3, []) == (run.exit_code, cloud.alive())


def test_attach_takes_up_what_waits(ctx, left, tmp_path, cloud, stage):
    run = seen_to_end(ctx, tmp_path / "gate")
    assert RunState.FINISHED == resume(run.id, ctx).state
    assert (b"said\n", []) == (stage.log(), cloud.alive())


def test_a_machine_that_does_not_answer_in_time_or_at_all_holds_nobody_up(ctx, left, cloud, monkeypatch):
    silent = threading.Event()

    def hangs(_machine):
        silent.wait(PATIENCE)
        raise HostUnreachable("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(cloud, "connect", hangs)
        begun = time.monotonic()
        assert [] == glance(ctx, 0.1)
        assert time.monotonic() - begun < PATIENCE / 2
        silent.set()
        assert [] == glance(ctx, PATIENCE)
    assert RunState.RUNNING == ctx.store.find(left.id).state
    stop(left.id, ctx, grace=0)


def test_a_run_that_the_command_is_about_is_not_looked_at_twice(ctx, left, tmp_path):
    (tmp_path / "gate").touch()
    assert [] == glance(ctx, PATIENCE, lambda run: run.id == left.id)
    stop(left.id, ctx, grace=0)


def test_a_run_whose_machine_is_gone_is_seen_to_its_end(ctx, left, cloud):
    cloud.terminate(left.attempt.label)
    glance(ctx, PATIENCE)
    run = ctx.store.find(left.id)
    assert (RunState.FINISHED, Outcome.LOST, 106) == (run.state, run.outcome, run.exit_code)


def test_a_machine_that_another_computer_ended_is_told_as_such_and_no_duration_is_made_up(stage, ctx, left, cloud):
    cloud.terminate(left.attempt.label)
    cloud.fate = lambda _label: "Client.UserInitiatedShutdown"
    glance(ctx, PATIENCE)
    run = ctx.store.find(left.id)
    assert (RunState.FINISHED, Outcome.LOST) == (run.state, run.outcome)
    assert "by another computer of yours, or in the console" in run.attempt.reason
    shown = " ".join(" ".join(ps_lines([run], ctx.clock.now(), 120)).split())
    assert "? ≤ $0.02 106" in shown
    assert "found to be gone" in " ".join(report_lines(run, None, 120))
