"""Machines that are kept after their job, lent, and given back."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import Doubt, Outcome, Run, RunState, new_run_id
from dispatcher.engine.context import JobInstructions
from dispatcher.engine.lifecycle import execute, resume, stop
from dispatcher.engine.outcome import exit_code
from dispatcher.engine.visiting import catch_up, fetch, hold
from dispatcher.errors import HostError, HostUnreachable, LoginNeeded, UsageError
from dispatcher.events import AttemptStarted, Warned
from tests.fakes import EagerClock, FakeCloud


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud", zones=("a", "b", "c"))


@pytest.fixture
def ctx(stage, cloud):
    return stage.context(backend=lambda _where: cloud, clock=EagerClock())


def offers(cloud, *regions):
    (offer,) = cloud.offers(Requirements())
    return [replace(offer, region=region) for region in regions or ("r1",)]


def run_there(stage, ctx, cloud, command, **more):
    return stage.run(command, ctx=ctx, offers=offers(cloud), **more)


def failed_and_kept(stage, ctx, cloud):
    run = run_there(stage, ctx, cloud, "echo made > out.txt; exit 5", outputs=("out.txt",), keep_seconds=1800.0)
    assert (RunState.HELD, "wish", Outcome.FAILED, 5) == (run.state, run.held_for, run.outcome, exit_code(run))
    return run


def test_a_failed_jobs_machine_is_kept_as_long_as_was_asked(stage, ctx, cloud):
    run = failed_and_kept(stage, ctx, cloud)
    assert [run.attempt.label] == cloud.alive()
    assert 1700 < run.held_until - ctx.clock.now() <= 1800
    assert "made\n" == (stage.workdir / "out.txt").read_text()
    assert (cloud.folder / "hosts" / str(run.attempt.label) / "hold").read_text().strip().isdigit()
    assert RunState.HELD == resume(run.id, ctx).state


def test_a_job_that_succeeds_keeps_nothing(stage, ctx, cloud):
    run = run_there(stage, ctx, cloud, "exit 0", keep_seconds=1800.0)
    assert (RunState.FINISHED, []) == (run.state, cloud.alive())


def test_no_hold_outlives_the_machines_own_end(stage, ctx, cloud):
    run = failed_and_kept(stage, ctx, cloud)
    assert run.ends_itself == hold(run.id, ctx, 10**7).held_until


def test_stopping_a_held_run_gives_its_machine_back_with_its_own_outcome(stage, ctx, cloud):
    run = failed_and_kept(stage, ctx, cloud)
    done = stop(run.id, ctx)
    assert (RunState.FINISHED, Outcome.FAILED, 5, []) == (done.state, done.outcome, exit_code(done), cloud.alive())


def test_outputs_that_came_later_are_fetched_from_a_held_machine(stage, ctx, cloud):
    run = failed_and_kept(stage, ctx, cloud)
    (cloud.folder / "hosts" / str(run.attempt.label) / f"{run.attempt.label}.work" / "out.txt").write_text("changed\n")
    assert RunState.HELD == fetch(run.id, ctx).state
    assert "changed\n" == (stage.workdir / "out.txt").read_text()


def test_what_could_not_be_fetched_keeps_its_machine_and_is_104_until_it_is(stage, ctx, cloud, monkeypatch):
    def failing(*_args, **_more):
        raise HostError("no space at home")

    monkeypatch.setattr("dispatcher.engine.steps.collected", failing)
    run = run_there(stage, ctx, cloud, "echo made > out.txt", outputs=("out.txt",))
    assert (RunState.HELD, "outputs", 104, Outcome.SUCCEEDED) == (run.state, run.held_for, exit_code(run), run.outcome)
    monkeypatch.undo()
    done = fetch(run.id, ctx)
    assert (RunState.FINISHED, 0, []) == (done.state, exit_code(done), cloud.alive())
    assert ["out.txt"] == [one.path for one in done.outputs]


def test_stop_keep_ends_the_job_and_not_the_machine(stage, ctx, cloud):
    run = left(stage, ctx, cloud, "sleep 60")
    kept = stop(run.id, stage.context(backend=lambda _where: cloud, clock=EagerClock(), keep=600.0), grace=0.1)
    assert (RunState.HELD, Outcome.CANCELLED, [run.attempt.label]) == (kept.state, kept.outcome, cloud.alive())
    stop(run.id, ctx)
    assert [] == cloud.alive()


def test_a_held_machine_is_lent_and_stays(stage, ctx, cloud):
    lender = failed_and_kept(stage, ctx, cloud)
    borrower = Run(new_run_id(), "again", job={"on": str(lender.attempt.label)})
    job = JobInstructions("echo second > second.txt", stage.workdir, outputs=("second.txt",), keep_awake=False)
    done = execute(borrower, offers(cloud), ctx, job)
    assert (RunState.FINISHED, 0) == (done.state, exit_code(done))
    assert "second\n" == (stage.workdir / "second.txt").read_text()
    assert ([lender.attempt.label], 1) == (cloud.alive(), len(cloud.labels()))
    assert RunState.FINISHED == stop(lender.id, ctx).state


def test_a_machine_that_is_gone_cannot_be_lent(stage, ctx, cloud):
    lender = failed_and_kept(stage, ctx, cloud)
    cloud.terminate(lender.attempt.label)
    borrower = Run(new_run_id(), "again", job={"on": str(lender.attempt.label)})
    done = execute(borrower, offers(cloud), ctx, JobInstructions("exit 0", stage.workdir, keep_awake=False))
    assert (RunState.FINISHED, 2) == (done.state, exit_code(done))


def test_a_run_that_has_ended_has_no_machine_to_visit(stage, ctx, cloud):
    run = run_there(stage, ctx, cloud, "exit 0")
    with pytest.raises(UsageError, match="has no machine any more"):
        hold(run.id, ctx, 60)


def test_the_log_is_caught_up_with_without_following(stage, ctx, cloud):
    run = left(stage, ctx, cloud, "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two")
    kept = stage.backend.runs / run.id / str(run.attempt.label) / "log"
    while not kept.exists() or b"one\n" != kept.read_bytes():
        catch_up(run.id, ctx)
    (cloud.folder / "hosts" / str(run.attempt.label) / f"{run.attempt.label}.work" / "go").touch()
    assert 0 == exit_code(resume(run.id, ctx))
    assert b"one\ntwo\n" == kept.read_bytes()


def test_a_full_zone_means_the_next_zone_and_a_quota_the_next_region(stage, ctx, cloud):
    cloud.full = {"a": "capacity", "r2": "quota"}
    run = stage.run("exit 0", ctx=ctx, offers=offers(cloud, "r2", "r1"))
    tried = [(event.attempt.region, event.attempt.offer["zone"]) for event in stage.of(AttemptStarted)]
    assert [("r2", "a"), ("r2", "b"), ("r1", "a"), ("r1", "b")] == tried
    assert 0 == exit_code(run)
    assert 2 <= len([event for event in stage.of(Warned) if "none left" in event.message or "not for you" in event.message])


def test_what_was_refused_costs_nothing_and_what_ran_costs_a_minute_at_least(stage, ctx, cloud):
    cloud.full = {"a": "capacity"}
    cloud.price = 60.0
    run = run_there(stage, ctx, cloud, "exit 0")
    assert [None] == [one.launched for one in run.attempts[:1]]
    assert 1.0 == pytest.approx(run.cost_so_far, abs=0.2)


def test_refusals_end_after_a_while(stage, cloud, ctx, monkeypatch):
    monkeypatch.setattr("dispatcher.engine.ladder.LADDER_SECONDS", 0.0)
    cloud.full = {"a": "capacity", "b": "capacity", "c": "capacity"}
    run = run_there(stage, ctx, cloud, "exit 0")
    assert (103, "no-capacity") == (exit_code(run), run.reason)
    assert 1 == len(run.attempts)


def test_a_deadline_counts_from_the_machines_creation(stage, ctx, cloud):
    run = run_there(stage, ctx, cloud, 'echo "$DISPATCHER_DEADLINE"', deadline_seconds=600.0)
    deadline = float(stage.log())
    assert 600 == pytest.approx(deadline - run.attempt.launched, abs=2)
    assert 600 + 3600 == pytest.approx(run.ends_itself - run.attempt.launched, abs=2)


def test_a_cancellation_ends_the_wait_for_a_machine_that_boots(stage, ctx, cloud, monkeypatch):
    asked, waiting, over = threading.Event(), threading.Event(), threading.Event()

    def slow(_machine):
        waiting.set()
        over.wait(30)
        raise HostUnreachable("it never booted")

    monkeypatch.setattr(cloud, "connect", slow)
    threading.Thread(target=lambda: waiting.wait(10) and asked.set(), daemon=True).start()
    run = run_there(stage, stage.context(backend=lambda _where: cloud, clock=EagerClock(), cancel=asked), cloud, "exit 0")
    over.set()
    assert (130, RunState.FINISHED, None, []) == (exit_code(run), run.state, run.doubt, cloud.alive())


def test_in_doubt_outranks_being_held(stage, ctx, cloud):
    run = failed_and_kept(stage, ctx, cloud)
    cloud.faults["terminate"] = ["before"]
    assert (107, Doubt.TEARDOWN) == (exit_code(done := stop(run.id, ctx)), done.doubt)
    assert RunState.FINISHED == resume(run.id, ctx).state


def test_a_run_of_another_computer_is_followed_and_left_to_it_with_its_outputs(stage, ctx, cloud):
    run = left(stage, ctx, cloud, "while [ ! -e go ]; do sleep 0.02; done; exit 3")
    run.job["seen"] = "another"
    ctx.store.save(run)
    (cloud.folder / "hosts" / str(run.attempt.label) / f"{run.attempt.label}.work" / "go").touch()
    assert (RunState.COLLECTING, [run.attempt.label]) == (resume(run.id, ctx).state, cloud.alive())
    assert (RunState.COLLECTING, [run.attempt.label]) == (fetch(run.id, ctx).state, cloud.alive())
    assert (RunState.FINISHED, []) == (stop(run.id, ctx).state, cloud.alive())


def left(stage, ctx, cloud, command):
    away = threading.Event()
    away.set()
    leaving = stage.context(backend=lambda _where: cloud, clock=EagerClock(), detach=away)
    return run_there(stage, leaving, cloud, command)


def test_a_lent_machines_own_end_is_the_lenders_and_what_is_proven_is_the_clearing(stage, ctx, cloud):
    lender = failed_and_kept(stage, ctx, cloud)
    borrower = Run(new_run_id(), "again", job={"on": str(lender.attempt.label)}, ends_itself=lender.ends_itself)
    held = [replace(one, market="held", price_per_hour=0.0) for one in offers(cloud)]
    done = execute(borrower, held, ctx, JobInstructions("exit 0", stage.workdir, keep_awake=False))
    assert (lender.ends_itself, 0.0) == (done.ends_itself, done.cost_so_far)
    assert f"on the machine of {lender.attempt.label}" in done.teardown_proof[0]
    stop(lender.id, ctx)


def test_what_a_provider_does_not_show_yet_is_said_with_its_end_and_leaving_is_a_doubt(stage, ctx, cloud, monkeypatch):
    run = left(stage, ctx, cloud, "sleep 60")
    real, until = cloud.terminate, ctx.clock.now() + 900
    cloud.unshown_until = lambda _label: until

    def pressed(_label):
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud, "terminate", pressed)
    with pytest.raises(KeyboardInterrupt):
        stop(run.id, ctx, grace=0.1)
    told = [one for one in stage.of(Warned) if "does not show the machine" in one.message]
    assert 1 == len(told)
    assert "until then it is looked for" in told[0].message
    assert Doubt.TEARDOWN is ctx.store.find(run.id).doubt
    monkeypatch.setattr(cloud, "terminate", real)
    cloud.unshown_until = lambda _label: None
    assert (RunState.FINISHED, None, []) == ((done := stop(run.id, ctx)).state, done.doubt, cloud.alive())


def test_with_an_expired_login_the_doubt_says_to_log_in_first(stage, ctx, cloud, monkeypatch):
    run = left(stage, ctx, cloud, "sleep 60")
    real = cloud.terminate

    def expired(_label):
        raise LoginNeeded("the login has expired", fix="aws sso login")

    monkeypatch.setattr(cloud, "terminate", expired)
    assert 107 == exit_code(stop(run.id, ctx, grace=0.1))
    (told,) = [one for one in stage.of(Warned) if "may still exist" in one.message]
    assert "aws sso login   # first; then: mlrun sweep" == told.fix
    monkeypatch.setattr(cloud, "terminate", real)
    stop(run.id, ctx)
