"""Every fault at every step: afterwards nothing is left over, and nothing is claimed that is not so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import dispatcher
from dispatcher.backends.processes import marked
from dispatcher.domain.run import Doubt, Label, Outcome, Run, RunState, new_run_id
from dispatcher.engine.context import Context
from dispatcher.engine.lifecycle import execute, reconcile, resume, stop
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import HostError, HostUnreachable, NoCapacity
from dispatcher.events import AttemptStarted, LogBytes, Warned
from dispatcher.hosts.follow import follow
from dispatcher.retries import Policy
from dispatcher.store.store import Store
from tests.fakes import EagerClock, FakeCloud
from tests.faults.driver import COMMAND, backend_of, instructions, offers

ROOT = Path(dispatcher.__file__).parents[1]
CHECKPOINTS = (
    "provision:before", "provision:intended", "provision:made", "provision:after", "connect:before", "connect:after",
    "sync:before", "sync:after", "prepare:before", "prepare:after", "launch:before", "launch:intended", "launch:made",
    "launch:after", "follow:before", "follow:after", "collect:before", "collect:after", "collect:undo", "follow:undo",
    "launch:undo", "prepare:undo", "sync:undo", "connect:undo", "provision:undo", "terminate:intended", "terminate:made",
)  # fmt: skip
AFTER_START = CHECKPOINTS[CHECKPOINTS.index("launch:made") :]
DOING = CHECKPOINTS[: CHECKPOINTS.index("collect:undo")]
BACKENDS = ("local", "fake")


@dataclass
class Scene:
    kind: str
    folder: Path
    store: Store
    backend: object
    events: list = field(default_factory=list)

    def context(self, **more) -> Context:
        given = {"store": self.store, "backend": lambda _where: self.backend, "clock": EagerClock(), "emit": self.events.append}
        return Context(**(given | more))

    def execute(self, ctx: Context | None = None, command: str = COMMAND, offered=None) -> Run:
        run = Run(new_run_id(), "job")
        offered = offered or offers(self.kind, self.backend)
        return execute(run, offered, ctx or self.context(), instructions(self.folder, command))

    def times_begun(self) -> int:
        count = self.folder / "count"
        return len(count.read_text().splitlines()) if count.exists() else 0

    def assert_nothing_left(self) -> None:
        assert [] == [one for one in self.backend.leftovers() if one.owner == self.backend.owner]
        labels = {attempt.label for run in self.store.recent() for attempt in run.attempts}
        assert [] == [one for one in marked() if one.label in labels]
        if isinstance(self.backend, FakeCloud):
            assert [] == self.backend.alive()
        assert [] == self.store.open_runs()

    def warnings(self) -> str:
        return " ".join(event.message for event in self.events if isinstance(event, Warned))


@pytest.fixture
def scene(request, tmp_path):
    (tmp_path / "work").mkdir()
    with Store.open(tmp_path / "data" / "runs.sqlite3") as store:
        kind = getattr(request, "param", "fake")
        yield Scene(kind, tmp_path, store, backend_of(kind, tmp_path))


everywhere = pytest.mark.parametrize("scene", BACKENDS, indirect=True)


@everywhere
def test_the_checkpoints_are_all_there_are(scene):
    seen = []
    run = scene.execute(scene.context(checkpoint=seen.append))
    assert list(CHECKPOINTS) == seen
    assert (3, 1, ["out.txt"]) == (exit_code(run), scene.times_begun(), [one.path for one in run.outputs])
    assert "made\n" == (scene.folder / "work" / "out.txt").read_text()
    scene.assert_nothing_left()


@everywhere
@pytest.mark.parametrize("where", DOING)
def test_an_error_at_any_point_leaves_nothing(scene, where):
    def fail(name: str) -> None:
        if name == where:
            raise HostError("broken here", fix="try again")

    run = scene.execute(scene.context(checkpoint=fail))
    job_ended = where in AFTER_START[AFTER_START.index("follow:after") :]
    assert (3 if job_ended else 104) == exit_code(run)
    assert "broken here" in scene.warnings()
    scene.assert_nothing_left()


@everywhere
@pytest.mark.parametrize("where", DOING[: DOING.index("follow:after")])
def test_cancelling_at_any_point_leaves_nothing(scene, where):
    asked = threading.Event()

    def cancel(name: str) -> None:
        if name == where:
            asked.set()

    run = scene.execute(scene.context(checkpoint=cancel, cancel=asked), command="echo begun >> count; sleep 60")
    assert (130, Outcome.CANCELLED, RunState.FINISHED) == (exit_code(run), run.outcome, run.state)
    scene.assert_nothing_left()


@everywhere
@pytest.mark.parametrize("where", CHECKPOINTS)
def test_killed_at_any_point_the_next_command_puts_all_in_order(scene, where):
    run_id = new_run_id()
    killed = subprocess.run(
        [sys.executable, "-m", "tests.faults.driver", scene.kind, str(scene.folder), run_id, where],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert -signal.SIGKILL == killed.returncode, killed.stderr
    run = resume(run_id, scene.context())
    started = where in AFTER_START
    assert (3 if started else 130, RunState.FINISHED) == (exit_code(run), run.state)
    assert (1 if started else 0) == scene.times_begun()
    assert (["out.txt"] if started else []) == [one.path for one in run.outputs]
    scene.assert_nothing_left()


@pytest.mark.parametrize("fault", ["before", "after"])
@pytest.mark.parametrize("verb", ["provision", "connect"])
def test_a_lost_answer_leaves_nothing(scene, verb, fault):
    scene.backend.faults[verb] = [fault]
    run = scene.execute()
    assert (104, RunState.FINISHED) == (exit_code(run), run.state)
    scene.assert_nothing_left()


@pytest.mark.parametrize("fault", ["before", "after", "refused"])
@pytest.mark.parametrize("verb", ["terminate", "find", "leftovers"])
def test_a_teardown_that_is_not_confirmed_is_107_and_stays_open_until_it_is(scene, verb, fault):
    scene.backend.faults[verb] = ["", fault] if verb == "leftovers" else [fault]  # the first listing is for the proof only
    run = scene.execute(command="exit 0")
    assert (107, RunState.TERMINATING, Doubt.TEARDOWN, 0) == (exit_code(run), run.state, run.doubt, run.exit_code)
    assert "may still exist" in scene.warnings()
    assert [run.id] == [one.id for one in scene.store.open_runs()]
    again = resume(run.id, scene.context())
    assert (0, RunState.FINISHED, None, True) == (exit_code(again), again.state, again.doubt, again.teardown_confirmed)
    scene.assert_nothing_left()


def test_a_machine_that_is_slow_to_go_is_waited_for(scene):
    scene.backend.slow_to_end = 4
    run = scene.execute()
    assert RunState.FINISHED == run.state
    scene.assert_nothing_left()


@pytest.mark.parametrize("fault", ["capacity", "quota"])
def test_a_full_place_means_the_next_offer(scene, fault):
    scene.backend.faults["provision"] = [fault, ""]
    (offer,) = offers("fake", scene.backend)
    run = scene.execute(offered=[offer, replace(offer, region="elsewhere")])
    assert (3, 2, 2) == (exit_code(run), len(run.attempts), len([e for e in scene.events if isinstance(e, AttemptStarted)]))
    assert [1, 2] == [attempt.label.attempt for attempt in run.attempts]
    assert "none left" in run.attempts[0].reason or "not for you" in run.attempts[0].reason
    assert 1 == scene.times_begun()
    scene.assert_nothing_left()


def test_no_place_at_all_is_103(scene):
    scene.backend.faults["provision"] = ["capacity", "capacity"]
    run = scene.execute(offered=offers("fake", scene.backend) * 2)
    assert (103, "no-capacity", RunState.FINISHED) == (exit_code(run), run.reason, run.state)
    scene.assert_nothing_left()


def test_other_refusals_do_not_move_on(scene):
    scene.backend.faults["provision"] = ["refused"]
    run = scene.execute(offered=offers("fake", scene.backend) * 2)
    assert (103, 1) == (exit_code(run), len(run.attempts))
    scene.assert_nothing_left()


def test_no_second_machine_is_made_while_the_first_may_exist(scene):
    scene.backend.faults.update(provision=["capacity"], terminate=["before"])
    run = scene.execute(offered=offers("fake", scene.backend) * 2)
    assert (107, 1) == (exit_code(run), len(run.attempts))


@everywhere
def test_kill_9_while_the_job_runs_loses_neither_log_nor_exit_code(scene):
    leave = threading.Event()
    leave.set()
    run = scene.execute(scene.context(detach=leave), command="for i in 1 2 3 4 5; do echo $i; sleep 0.05; done; exit 9")
    done = resume(run.id, scene.context())
    assert (9, b"1\n2\n3\n4\n5\n") == (exit_code(done), b"".join(e.data for e in scene.events if isinstance(e, LogBytes)))
    scene.assert_nothing_left()


@everywhere
def test_a_job_whose_agent_is_killed_too_is_lost_and_never_guessed(scene):
    leave = threading.Event()
    leave.set()
    run = scene.execute(scene.context(detach=leave), command="sleep 60")
    for one in marked(run.attempt.label):
        os.kill(one.pid, signal.SIGKILL)
    done = resume(run.id, scene.context())
    assert (106, Outcome.LOST, RunState.FINISHED) == (exit_code(done), done.outcome, done.state)
    scene.assert_nothing_left()


def test_a_machine_that_vanished_under_its_job_is_lost(scene):
    leave = threading.Event()
    leave.set()
    run = scene.execute(scene.context(detach=leave), command="sleep 60")
    scene.backend.terminate(run.attempt.label)
    done = resume(run.id, scene.context())
    assert (106, Outcome.LOST, RunState.FINISHED) == (exit_code(done), done.outcome, done.state)
    scene.assert_nothing_left()


def cut(times, real):
    """A follower whose link breaks so often, after each piece of the log."""

    def follow(*given, **more):
        for piece in real(*given, **more):
            yield piece
            if times and isinstance(piece, bytes):
                times.pop()
                raise HostUnreachable("cut")

    return follow


def test_a_broken_link_is_dialled_again_at_the_very_byte(scene, monkeypatch, tmp_path):
    monkeypatch.setattr("dispatcher.engine.elsewhere.follow", cut([1] * 3, follow))
    run = scene.execute(
        scene.context(runs=tmp_path / "runs"), "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.05; done; exit 4"
    )
    lines = b"".join(b"line %d\n" % i for i in range(1, 7))
    assert (4, lines) == (exit_code(run), b"".join(e.data for e in scene.events if isinstance(e, LogBytes)))
    assert lines == (tmp_path / "runs" / run.id / str(run.attempt.label) / "log").read_bytes()
    assert 3 == scene.warnings().count("Lost contact")
    scene.assert_nothing_left()


def test_a_link_that_stays_broken_leaves_the_job_running(scene, monkeypatch):
    monkeypatch.setattr("dispatcher.engine.elsewhere.follow", cut([1], follow))
    monkeypatch.setattr("dispatcher.engine.elsewhere.REDIAL", Policy(0.0, 0.0, patience=0.0))
    scene.backend.faults["connect"] = ["", "before"]
    run = scene.execute(command="echo begun >> count; echo x; sleep 0.2; exit 4")
    assert (RunState.RUNNING, True) == (run.state, run.detached)
    assert "goes on by itself" in scene.warnings()
    monkeypatch.undo()
    assert 4 == exit_code(resume(run.id, scene.context()))
    scene.assert_nothing_left()


def test_a_machine_that_is_gone_when_dialled_again_is_lost(scene, monkeypatch):
    def vanish(*_given, **_more):
        scene.backend.terminate(Label.parse(_given[1]))
        raise HostUnreachable("cut")
        yield b""

    monkeypatch.setattr("dispatcher.engine.elsewhere.follow", vanish)
    run = scene.execute(command="sleep 60")
    assert (106, Outcome.LOST, RunState.FINISHED) == (exit_code(run), run.outcome, run.state)
    scene.assert_nothing_left()


@pytest.mark.parametrize("verb", ["find", "connect"])
def test_coming_back_without_a_network_ends_nothing(scene, verb):
    run = left_alone(scene, "echo begun >> count; while [ ! -e go ]; do sleep 0.02; done; exit 4")
    scene.backend.faults[verb] = ["before"]
    assert (RunState.RUNNING, None) == ((again := resume(run.id, scene.context())).state, again.doubt)
    assert "Nothing was changed" in scene.warnings()
    (scene.backend.folder / "hosts" / str(run.attempt.label) / f"{run.attempt.label}.work" / "go").touch()
    assert 4 == exit_code(resume(run.id, scene.context()))
    scene.assert_nothing_left()


def test_a_run_is_stopped_by_its_provider_where_its_machine_does_not_answer(scene):
    run = left_alone(scene, "sleep 60")
    scene.backend.faults["connect"] = ["before"]
    done = stop(run.id, scene.context())
    assert (130, Outcome.CANCELLED, RunState.FINISHED) == (exit_code(done), done.outcome, done.state)
    scene.assert_nothing_left()


def left_alone(scene, command: str) -> Run:
    leave = threading.Event()
    leave.set()
    return scene.execute(scene.context(detach=leave), command=command)


def test_outputs_that_cannot_come_home_hold_their_machine(scene, monkeypatch):
    def failing(*_args, **_more):
        raise HostError("no space at home")

    monkeypatch.setattr("dispatcher.engine.steps.collected", failing)
    run = scene.execute()
    assert (RunState.HELD, [run.attempt.label]) == (run.state, scene.backend.alive())
    monkeypatch.undo()
    done = resume(run.id, scene.context())
    assert (3, ["out.txt"]) == (exit_code(done), [one.path for one in done.outputs])
    scene.assert_nothing_left()


def test_rented_machines_are_no_business_of_the_quick_look(scene):
    leave = threading.Event()
    leave.set()
    run = scene.execute(scene.context(detach=leave), command="exit 0")
    assert [] == reconcile(scene.context())
    assert 0 == exit_code(resume(run.id, scene.context()))


def test_capacity_errors_are_what_they_are_called():
    assert 103 == NoCapacity.exit_code
