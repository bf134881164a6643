"""What a job has saved: copied home while it runs, sent to its next machine, gone on from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Attempt, Label, Outcome, Run, RunState, new_run_id
from dispatcher.engine.checkpoints import home_of
from dispatcher.engine.ladder import COOL_SECONDS, Ladder
from dispatcher.engine.lifecycle import MOST_MACHINES, time_left
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import Preempted
from dispatcher.events import Progress, Warned
from tests.fakes import EagerClock, FakeClock, FakeCloud

SAVES = (
    "mkdir -p ckpt; i=$(cat ckpt/step 2>/dev/null || echo 0); echo from $i resume=${DISPATCHER_RESUME:-no};"
    " echo $((i+1)) > ckpt/step; "
)


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud", zones=("a", "b", "c", "d"))


@pytest.fixture
def ctx(stage, cloud):
    return stage.context(backend=lambda _where: cloud, clock=EagerClock())


def spot(cloud):
    return [replace(one, market="spot", region="r1") for one in cloud.offers(Requirements())]


def taken_back(monkeypatch, times):
    """The agent's word for the first so many ends is that the provider took the machine back."""
    from dispatcher.engine import following

    told = []
    real = following.record_end

    def record(work, status):
        if len(told) < times:
            told.append(work.attempt.offer["zone"])
            work.status = replace(status, reason="preempted")
        real(work, work.status)

    monkeypatch.setattr("dispatcher.engine.steps.record_end", record)
    return told


def test_a_machine_that_is_taken_back_is_followed_by_another_that_goes_on(stage, ctx, cloud, monkeypatch):
    told = taken_back(monkeypatch, 1)
    run = stage.run(f"{SAVES} exit 0", ctx=ctx, offers=spot(cloud), checkpoint="ckpt", deadline_seconds=3600.0)
    assert (RunState.FINISHED, Outcome.SUCCEEDED, 0) == (run.state, run.outcome, exit_code(run))
    assert (["a"], ["a", "b"]) == (told, [one.offer["zone"] for one in run.attempts])
    assert b"from 0 resume=no\nfrom 1 resume=1\n" == stage.log()
    assert "took the machine back" in run.attempts[0].reason
    assert any("its checkpoint goes along" in one.message for one in stage.of(Progress))
    assert [] == cloud.alive()


def test_after_so_many_machines_it_is_108_and_what_was_saved_is_here(stage, ctx, cloud, monkeypatch):
    taken_back(monkeypatch, 99)
    run = stage.run(f"{SAVES} exit 0", ctx=ctx, offers=spot(cloud), checkpoint="ckpt", deadline_seconds=3600.0)
    assert (Outcome.PREEMPTED, 108, MOST_MACHINES) == (run.outcome, exit_code(run), len(run.attempts))
    assert f"{MOST_MACHINES}\n" == (home_of(ctx.runs, run.id) / "ckpt" / "step").read_text()
    assert [] == cloud.alive()


def test_where_no_other_place_is_to_be_had_it_stays_preempted(stage, ctx, cloud, monkeypatch):
    taken_back(monkeypatch, 1)
    cloud.full = dict.fromkeys("bcd", "capacity")
    run = stage.run(f"{SAVES} exit 0", ctx=ctx, offers=spot(cloud), checkpoint="ckpt")
    assert (Outcome.PREEMPTED, 108) == (run.outcome, exit_code(run))
    assert 4 == len(run.attempts)


def test_without_a_checkpoint_nothing_is_begun_again(stage, ctx, cloud, monkeypatch):
    taken_back(monkeypatch, 1)
    run = stage.run(f"{SAVES} exit 0", ctx=ctx, offers=spot(cloud))
    assert (Outcome.PREEMPTED, 108, 1) == (run.outcome, exit_code(run), len(run.attempts))


def test_while_somebody_watches_the_saved_state_is_copied_home(stage, ctx, cloud):
    command = f"{SAVES} while [ ! -e {stage.home}/seen ]; do sleep 0.02; done; exit 0"

    def watching(event):
        copies = list(stage.backend.runs.glob("*/checkpoint/ckpt/step"))
        if copies and copies[0].read_text() == "1\n":
            (stage.home / "seen").touch()
        stage.events.append(event)

    watched = replace(ctx, emit=watching)
    run = stage.run(command, ctx=watched, offers=spot(cloud), checkpoint="ckpt", checkpoint_seconds=0.05)
    assert Outcome.SUCCEEDED == run.outcome
    assert (stage.home / "seen").exists()


def test_a_failed_jobs_last_state_is_brought_home_and_another_run_goes_on_from_it(stage, ctx, cloud):
    first = stage.run(f"{SAVES} exit 9", ctx=ctx, offers=spot(cloud), checkpoint="ckpt")
    assert 9 == exit_code(first)
    saved = str(home_of(ctx.runs, first.id))
    there = stage.run(f"{SAVES} exit 0", ctx=ctx, offers=spot(cloud), checkpoint="ckpt", resume=saved)
    assert Outcome.SUCCEEDED == there.outcome
    assert stage.log().endswith(b"from 1 resume=1\n")
    here = stage.run(f"{SAVES} exit 0", checkpoint="ckpt", resume=saved)
    assert Outcome.SUCCEEDED == here.outcome
    assert "2\n" == (stage.workdir / "ckpt" / "step").read_text()


def test_all_machines_of_a_run_share_its_hard_stop(stage):
    job = stage.job("x", deadline_seconds=1000.0)
    run = Run(new_run_id(), "job")
    assert 1000.0 == time_left(run, job, 5000.0)
    run.attempts.append(Attempt(Label(run.id), "aws", "m", market="spot", launched=4400.0))
    run.attempts.append(Attempt(Label(run.id, 2), "aws", "m", market="spot", launched=4900.0))
    assert 400.0 == time_left(run, job, 5000.0)
    assert time_left(run, stage.job("x"), 5000.0) is None


def test_where_a_machine_was_taken_back_none_is_asked_for_until_it_has_cooled(stage, cloud):
    clock = FakeClock()
    ctx = stage.context(backend=lambda _where: cloud, clock=clock)
    offers = [Offer("fake", name, "cpu", market="spot", region="r1") for name in ("m1", "m2", "m3")]
    ladder = Ladder(offers, ctx, "run")
    seen = []
    for place in ladder:
        seen.append((place.machine, place.zone))
        if place.zone == "a":
            ladder.refused(place, Preempted("gone"))
        if place == replace(offers[1], zone="d"):
            clock.pass_time(COOL_SECONDS + 1)
            ladder.refused(replace(place, zone="z"), Preempted("gone"))
    assert [("m1", zone) for zone in "abcd"] + [("m2", zone) for zone in "bcd"] + [("m3", zone) for zone in "abcd"] == seen


def test_an_offer_that_no_place_has_is_said_and_why_nothing_was_started(stage, cloud, ctx, monkeypatch):
    monkeypatch.setattr(cloud, "placements", lambda _offer: [])
    run = stage.run("exit 0", ctx=ctx, offers=spot(cloud))
    assert (101, []) == (exit_code(run), run.attempts)
    assert ["fake m1 is not to be had in r1", "There is no machine to run on"] == [one.message for one in stage.of(Warned)]
