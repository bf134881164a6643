"""Everything that users, clouds and time do to runs, in any order: what must hold after each step."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dispatcher.domain.run import Run, RunState
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute, resume, stop
from dispatcher.engine.sweep import survey, sweep
from dispatcher.errors import MlrunError, RunBusy
from dispatcher.store.store import Store
from tests.guarantees.sim.paper_cloud import OFFERS, PaperCloud, Truth
from tests.lab.clock import PaperClock

DEADLINE, GRACE = 3600.0, 1800.0
NEVER = 10**6
COUNTS = st.integers(1, 90)
PICKS = st.integers(0, 59)
"""Which of the open runs: what is drawn never depends on them, since threads of the engine take real time."""


class Killed(BaseException):
    """The process is dead: nothing of it happens any more."""


class Life:
    """A process of mlrun's that may be killed before its n-th effect; `sleep` lets the world's time pass."""

    def __init__(self, truth: Truth, effects: int = NEVER, leaves: int = NEVER, cancels: int = NEVER) -> None:
        self.truth, self.left, self.leaves, self.cancels = truth, effects, leaves, cancels
        self.detach, self.cancel = threading.Event(), threading.Event()
        self.skew = 0.0

    def effect(self, _name: str) -> None:
        self.left, self.leaves, self.cancels = self.left - 1, self.leaves - 1, self.cancels - 1
        if self.left <= 0:
            raise Killed
        if self.leaves <= 0:
            self.detach.set()
        if self.cancels <= 0:
            self.cancel.set()

    def now(self) -> float:
        return self.truth.clock.now() + self.skew

    def monotonic(self) -> float:
        return self.truth.clock.now()

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self.truth.clock.advance(max(0.0, seconds))
        return cancel is not None and cancel.is_set()


class MortalStore(Store):
    """A record whose process may be dead."""

    life: Life

    @contextlib.contextmanager
    def _writing(self, *, durable: bool = True):
        self.life.effect("begin")
        with super()._writing(durable=durable):
            yield
            self.life.effect("commit")


class Runs(RuleBasedStateMachine):
    """The rules."""

    def __init__(self) -> None:
        super().__init__()
        self.truth = Truth(PaperClock())
        self.folder = tempfile.TemporaryDirectory(prefix="mlrun-states-", dir=_quick_disk())
        self.home = Path(self.folder.name)
        (self.home / "work").mkdir()
        self.notes: dict = {}
        self.skew = 0.0
        self.submitted = 0
        self.read: list[Run] | None = None
        with self.process():
            pass

    def teardown(self) -> None:
        self.truth.signed_in = True
        self.truth.clock.advance(30 * 3600.0)
        assert [] == self.truth.alive(), "something lived beyond its deadline"
        self.folder.cleanup()

    @contextlib.contextmanager
    def process(self, **fate: int):
        """A process of mlrun's with its record open; killed or not, its lease ends with it."""
        life = Life(self.truth, **fate)
        life.skew = self.skew
        quick = Life(self.truth)
        MortalStore.life = quick
        store = MortalStore.open(self.home / "data" / "runs.sqlite3", quick)
        MortalStore.life = life
        cloud = PaperCloud(self.truth, life, life.effect, self.notes)
        ctx = Context(store, lambda _where: cloud, clock=life, detach=life.detach, cancel=life.cancel, runs=self.home / "runs")
        ctx.store.clock = life
        try:
            yield ctx
        except (Killed, MlrunError):
            pass
        finally:
            MortalStore.life = quick
            with store._writing():
                store._db.execute("DELETE FROM lease")
            store.close()
            self.read = None

    def runs(self) -> list[Run]:
        """What the record says; read again only after a process was there."""
        if self.read is None:
            with self.process() as ctx:
                found = ctx.store.recent(-1)
            self.read = found
        return self.read

    @rule(kill=st.none() | COUNTS, leave=st.none() | COUNTS, cancel=st.none() | COUNTS)
    def submit(self, kill: int | None, leave: int | None, cancel: int | None) -> None:
        job = JobInstructions("train", self.home / "work", outputs=("out.txt",), deadline_seconds=DEADLINE, grace_seconds=GRACE)
        with self.process(effects=kill or NEVER, leaves=leave or NEVER, cancels=cancel or NEVER) as ctx:
            self.submitted += 1
            execute(Run(f"{self.submitted:010d}", "job"), OFFERS, ctx, job)

    @rule(pick=PICKS, kill=st.none() | COUNTS, leave=st.none() | COUNTS)
    def attach(self, pick: int, kill: int | None, leave: int | None) -> None:
        if not (wanted := self.an_open_one(pick)):
            return
        with self.process(effects=kill or NEVER, leaves=leave or NEVER) as ctx:
            resume(wanted, ctx)

    @rule(pick=PICKS, kill=st.none() | COUNTS)
    def stop(self, pick: int, kill: int | None) -> None:
        if not (wanted := self.an_open_one(pick)):
            return
        with self.process(effects=kill or NEVER) as ctx:
            stop(wanted, ctx)

    @rule(pick=PICKS)
    def a_second_client_is_refused(self, pick: int) -> None:
        if not (wanted := self.an_open_one(pick)):
            return
        with self.process() as ctx, ctx.store.lease(wanted):
            try:
                resume(wanted, ctx)
            except RunBusy:
                return
            raise AssertionError("two clients drove one run")

    @rule(kill=st.none() | COUNTS)
    def sweep(self, kill: int | None) -> None:
        with self.process(effects=kill or NEVER) as ctx:
            cloud = ctx.backend("paper")
            for one in sweep([cloud], ctx, survey([cloud], ctx)):
                run = ctx.store.get(one.leftover.label.run)
                assert one.action != "removed" or run is None or not run.open or run.doubt, "swept what was in use"

    @rule(minutes=st.sampled_from((1, 5, 16, 61, 24 * 60)))
    def time_passes(self, minutes: int) -> None:
        self.truth.clock.advance(minutes * 60.0)

    @rule(hours=st.sampled_from((-24, -1, 0, 1, 24)))
    def the_clock_is_set(self, hours: int) -> None:
        self.skew = hours * 3600.0

    @rule()
    def the_login_expires_or_comes_back(self) -> None:
        self.truth.signed_in = not self.truth.signed_in

    @rule(met=st.lists(st.sampled_from(("", "no capacity", "lost", "late")), max_size=3))
    def the_weather_changes(self, met: list[str]) -> None:
        self.truth.weather = met

    @rule()
    def the_record_is_lost(self) -> None:
        for file in (self.home / "data").glob("runs.sqlite3*"):
            file.unlink()
        self.read = None

    @invariant()
    def nothing_lives_beyond_its_deadline(self) -> None:
        now = self.truth.clock.now()
        assert [] == [one for one in self.truth.alive() if now - one.born > one.terms.max_seconds]

    @invariant()
    def no_attempt_has_two_machines_and_no_job_starts_twice(self) -> None:
        labels = [one.label for one in self.truth.machines]
        assert len(labels) == len(set(labels))
        assert all(one.starts <= 1 for one in self.truth.computers.known.values())

    @invariant()
    def what_is_called_finished_is_gone_and_its_end_is_true(self) -> None:
        for run in self.runs():
            if run.state is not RunState.FINISHED:
                continue
            assert [] == [one for one in self.truth.alive() if one.label.run == run.id], "finished, and there"
            ended = [job for a in run.attempts for job in self._jobs(a.label) if job.ended is not None]
            assert run.exit_code != 0, "an unknown end was called success"
            assert run.exit_code != 7 or ended, "a job's exit code without a job that ended"

    @invariant()
    def the_log_is_the_beginning_of_the_machines(self) -> None:
        for run in self.runs():
            for one in run.attempts:
                kept = self.home / "runs" / run.id / str(one.label) / "log"
                if kept.exists():
                    assert any(job.log(self.truth.clock.now()).startswith(kept.read_bytes()) for job in self._jobs(one.label))

    def an_open_one(self, pick: int) -> str | None:
        found = sorted(run.id for run in self.runs() if run.open)
        return found[pick % len(found)] if found else None

    def _jobs(self, label) -> list:
        computer = self.truth.computers.known.get(str(label))
        return list(computer.jobs.values()) if computer else []


def _quick_disk() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def with_settings(sequences: int, steps: int = 50, *, shrink: bool = True) -> settings:
    """So many sequences of at most so many steps, the same ones each time; a failing one is made shorter before it is shown."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=sequences, stateful_step_count=steps, deadline=None, derandomize=True, database=None,
        suppress_health_check=checks, phases=phases,
    )  # fmt: skip
