"""A run from its first state to its last, on this computer."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest

from dispatcher.domain.run import Outcome, Run, RunState, new_run_id
from dispatcher.engine.lifecycle import execute, reconcile, resume, stop
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import RunBusy
from dispatcher.events import AttemptStarted, Finished, LogBytes, StateChanged, Warned
from tests.unit.engine.conftest import HERE

STORY = ["provisioning", "connecting", "syncing", "preparing", "running", "collecting", "terminating", "finished"]


def test_a_run_goes_through_its_states_to_a_confirmed_end(stage):
    run = stage.run("echo hello; echo world > out.txt", outputs=("out.txt",))
    assert STORY == [event.state for event in stage.of(StateChanged)]
    assert (Outcome.SUCCEEDED, 0, RunState.FINISHED) == (run.outcome, exit_code(run), run.state)
    assert b"hello\n" == stage.log()
    assert [("out.txt", 6, hashlib.sha256(b"world\n").hexdigest())] == [(o.path, o.size, o.sha256) for o in run.outputs]
    assert run.teardown_confirmed
    assert str(run.attempt.label) in run.teardown_proof[0]
    assert run == stage.store.get(run.id)
    assert [] == [one for one in stage.backend.leftovers() if one.owner == stage.backend.owner]
    assert [] == stage.store.unsettled()


def test_the_seconds_of_the_job_are_counted_once(stage):
    run = stage.run("sleep 0.3")
    assert 0.3 <= run.phases_seconds["run"] < 0.6
    assert {"provision", "sync", "setup", "run", "fetch", "teardown"} == set(run.phases_seconds)


def test_events_come_in_order_and_end_with_the_record(stage):
    run = stage.run("echo x")
    kinds = [type(event) for event in stage.events]
    assert AttemptStarted is kinds[0]
    assert Finished is kinds[-1]
    assert kinds.index(LogBytes) > kinds.index(StateChanged)
    assert (run, 0) == (stage.events[-1].record, stage.events[-1].exit_code)


@pytest.mark.parametrize("code", [0, 1, 2, 77, 101, 107, 130, 255])
def test_a_job_that_ran_to_its_end_gives_its_own_exit_code(stage, code):
    run = stage.run(f"exit {code}")
    assert (code, Outcome.FAILED if code else Outcome.SUCCEEDED) == (exit_code(run), run.outcome)


def test_a_job_killed_by_a_signal_ends_as_in_a_shell(stage):
    run = stage.run("kill -KILL $$")
    assert (137, Outcome.FAILED) == (exit_code(run), run.outcome)


def test_the_log_and_the_receipt_stay_after_the_end(stage):
    run = stage.run("printf 'a\\rb\\0c'")
    folder = stage.backend.runs / run.id
    assert b"a\rb\0c" == (folder / str(run.attempt.label) / "log").read_bytes() == stage.log()
    assert (True, 0) == (json.loads((folder / "receipt.json").read_text())["teardown"]["confirmed"], exit_code(run))


def test_setup_that_fails_is_104_and_the_job_is_not_run(stage):
    run = stage.run("touch ran", setup="exit 9")
    assert (104, "setup-failed", Outcome.FAILED) == (exit_code(run), run.reason, run.outcome)
    assert not (stage.workdir / "ran").exists()


def test_a_job_over_its_time_limit_is_105(stage):
    run = stage.run("sleep 60", deadline_seconds=0.3, stop_grace=0.2)
    assert (105, "deadline", RunState.FINISHED) == (exit_code(run), run.reason, run.state)


def test_a_secret_reaches_the_job_and_no_record(stage):
    run = stage.run('printf %s "$TOKEN" | wc -c', secrets={"TOKEN": "s3cr3t-value"})
    assert b"12" == stage.log().strip()
    for file in stage.home.rglob("*"):
        assert not file.is_file() or b"s3cr3t-value" not in file.read_bytes()
    assert ["TOKEN"] == stage.store.get(run.id).job["instructions"]["secrets"]


def test_the_job_is_told_its_outputs_and_its_deadline(stage):
    run = stage.run(
        'echo "$DISPATCHER_OUTPUTS|$DISPATCHER_DEADLINE|$DISPATCHER_RUN_ID"', outputs=("a", "b/"), deadline_seconds=60
    )
    outputs, deadline, run_id = stage.log().decode().strip().split("|")
    assert f"{stage.workdir}/a:{stage.workdir}/b" == outputs
    assert abs(run.hard_stop - float(deadline)) < 2
    assert run.id == run_id


def test_a_missing_work_folder_is_said(stage):
    stage.workdir.rmdir()
    run = stage.run("echo x")
    assert (104, RunState.FINISHED) == (exit_code(run), run.state)
    assert "is not there" in stage.of(Warned)[0].message


def test_no_offer_ends_as_nothing_fits(stage):
    run = stage.run("echo x", offers=())
    assert (101, RunState.FINISHED, []) == (exit_code(run), run.state, run.attempts)


def test_cancelling_before_the_start_starts_nothing(stage):
    asked = threading.Event()
    asked.set()
    run = stage.run("touch ran", ctx=stage.context(cancel=asked))
    assert (130, Outcome.CANCELLED, RunState.FINISHED) == (exit_code(run), run.outcome, run.state)
    assert not (stage.workdir / "ran").exists()


def test_cancelling_while_it_runs_signals_the_job_and_ends_normally(stage):
    asked = threading.Event()

    def listen(event):
        stage.events.append(event)
        if isinstance(event, LogBytes):
            asked.set()

    ctx = stage.context(cancel=asked, emit=listen)
    run = stage.run("trap 'echo saved; exit 3' INT; echo up; while :; do sleep 0.05; done", ctx=ctx)
    assert (130, "stopped", Outcome.CANCELLED) == (exit_code(run), run.reason, run.outcome)
    assert b"up\nsaved\n" == stage.log()


def test_detaching_leaves_the_job_running_and_it_can_be_taken_up_again(stage):
    run = detached(stage, "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 5")
    assert (RunState.RUNNING, True, 0) == (run.state, run.detached, exit_code(run))
    (stage.workdir / "go").touch()
    done = resume(run.id, stage.context())
    assert (5, RunState.FINISHED) == (exit_code(done), done.state)
    assert b"one\ntwo\n" == stage.log()


def test_a_detached_job_that_ended_is_finished_by_the_next_command(stage):
    run = detached(stage, "while [ ! -e go ]; do sleep 0.02; done; echo made > out; exit 7", outputs=("out",))
    assert [RunState.RUNNING] == [one.state for one in reconcile(stage.context())]
    (stage.workdir / "go").touch()
    while not (reconciled := reconcile(stage.context())) or reconciled[0].open:
        threading.Event().wait(0.02)
    assert (7, RunState.FINISHED, ["out"]) == (
        exit_code(reconciled[0]),
        reconciled[0].state,
        [o.path for o in reconciled[0].outputs],
    )
    assert [] == reconcile(stage.context())
    assert run.id == reconciled[0].id


def test_stopping_a_detached_run_ends_it_as_cancelled(stage):
    run = detached(stage, "trap 'exit 0' INT; touch up; while :; do sleep 0.05; done")
    wait_for(stage.workdir / "up")
    done = stop(run.id, stage.context(), grace=2)
    assert (130, Outcome.CANCELLED, RunState.FINISHED) == (exit_code(done), done.outcome, done.state)
    assert RunState.FINISHED == stop(run.id, stage.context()).state


def test_stopping_a_run_that_another_drives_lets_that_one_finish_it(stage):
    ctx, done = stage.context(), []
    run = Run(id=new_run_id(), name="job")
    job = stage.job("touch up; while :; do sleep 0.05; done")
    driver = threading.Thread(target=lambda: done.append(execute(run, [HERE], ctx, job)))
    driver.start()
    wait_for(stage.workdir / "up")
    stopped = stop(run.id, stage.context(), grace=2)
    driver.join(10)
    assert (RunState.FINISHED, Outcome.CANCELLED) == (stopped.state, stopped.outcome)
    assert done[0] == stopped


def test_two_engines_on_one_run_one_wins_the_other_says_so(stage):
    run = detached(stage, "sleep 60")
    with stage.store.lease(run.id), pytest.raises(RunBusy):
        resume(run.id, stage.context())
    stop(run.id, stage.context(), grace=0)


def test_a_bug_in_a_listener_is_raised_after_everything_was_undone(stage):
    def listen(event):
        if isinstance(event, LogBytes):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stage.run("echo x; sleep 60", ctx=stage.context(emit=listen), stop_grace=0.1)
    (run,) = stage.store.recent()
    assert (RunState.FINISHED, True) == (run.state, run.teardown_confirmed)


def detached(stage, command, **more):
    leave = threading.Event()
    leave.set()
    return stage.run(command, ctx=stage.context(detach=leave), **more)


def wait_for(path):
    for _ in range(500):
        if path.exists():
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"{path} did not come")


def test_what_an_earlier_run_left_is_not_this_runs_output(stage):
    (stage.workdir / "old.txt").write_text("before")
    (stage.workdir / "again.txt").write_text("before")
    run = stage.run("sleep 0.05; echo new > new.txt; echo x >> again.txt; exit 4", outputs=("*.txt",))
    assert {"new.txt", "again.txt"} == {one.path for one in run.outputs}
    assert [] == stage.of(Warned)


def test_a_job_that_failed_lists_no_file_it_never_wrote_and_owes_none(stage):
    (stage.workdir / "best.pt").write_text("before")
    run = stage.run("exit 4", outputs=("best.pt", "never.txt"))
    assert ([], []) == (run.outputs, stage.of(Warned))


def test_outputs_that_never_came_and_those_that_are_refused_are_told(stage):
    run = stage.run("ln -s /etc/passwd link; mkfifo pipe; echo x > o", outputs=("link", "pipe", "o", "never/"))
    said = [event.message for event in stage.of(Warned)]
    assert ["o"] == [one.path for one in run.outputs]
    assert 3 == len(said)
    assert "'link'" in said[0]
    assert "'pipe'" in said[1]
    assert said[2].endswith("these outputs: never/.")
    assert all(event.fix for event in stage.of(Warned))


def test_many_refused_outputs_are_told_in_few_lines(stage):
    stage.run("for i in 1 2 3 4 5 6 7 8; do ln -s / l$i; done", outputs=("l*",))
    said = [event.message for event in stage.of(Warned)]
    assert 6 == len(said)
    assert said[-1].startswith("3 more")


def test_what_setup_takes_is_counted_as_setup_and_not_as_the_job(stage):
    run = stage.run("true", setup="sleep 0.5")
    assert run.phases_seconds["setup"] >= 0.5 > run.phases_seconds["run"]
