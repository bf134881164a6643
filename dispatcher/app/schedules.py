"""Runs that begin later on this computer: made, fired, removed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from dispatcher.app.access import closed
from dispatcher.app.notices import not_started
from dispatcher.app.plans import plan_loaded
from dispatcher.domain.plan import Plan
from dispatcher.domain.run import new_run_id
from dispatcher.errors import LoginNeeded, NothingFits, UsageError
from dispatcher.jobfile.load import LoadedJob, load
from dispatcher.jobfile.secrets import known
from dispatcher.jobfile.settings import load_settings
from dispatcher.moments import read_moment, show_moment, zone_name, zone_named
from dispatcher.scheduling import cron as crons
from dispatcher.scheduling import records
from dispatcher.scheduling.queued import place
from dispatcher.scheduling.records import Firing, Scheduled
from dispatcher.scheduling.wakers import Waker, named, waker

ID_LENGTH = 6
Runner = Callable[[Sequence[str], Path], int]
"""Runs an mlrun command line, its output appended to a file; returns its exit code."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked: once at a moment or again and again; None where the job file says it.

    `sets` change settings, `flags` are the command line's words that say so when it is time.
    """

    at: str | None = None
    cron: str | None = None
    zone: str | None = None
    flags: tuple[str, ...] = ()
    sets: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """Jobs, their plans, and their time. `cron` where it comes again; `ends` are when each must be done, Unix seconds."""

    loaded: tuple[LoadedJob, ...]
    plans: tuple[Plan, ...]
    due: datetime
    cron: str | None
    ends: tuple[float | None, ...]


def add(files: Sequence[Path], wish: Wish, now: datetime, by: Waker | None = None) -> tuple[Scheduled, list[Plan]]:
    """Plan every job as it stands, write the schedule down, and have mlrun woken for it.

    Raises UsageError for times that cannot be, JobFileError, NothingFits where a job would not run on this computer.
    """
    return keep(files, wish, planned(files, wish, now), now, by)


def planned(files: Sequence[Path], wish: Wish, now: datetime, words: Sequence[str] = ()) -> Planned:
    """Every job as it would be run at that time, wherever that is; nothing is written down. Raises as `add` does."""
    loaded = [load(file, sets=wish.sets, extra_args=words) for file in files]
    zone = _zone(wish, loaded)
    due, cron = _due(wish, loaded, now, zone)
    ends = tuple(_finish(one, due, zone) for one in loaded)
    return Planned(tuple(loaded), tuple(_fitting(plan_loaded(one, starts=due), one) for one in loaded), due, cron, ends)


def keep(
    files: Sequence[Path], wish: Wish, made: Planned, now: datetime, by: Waker | None = None
) -> tuple[Scheduled, list[Plan]]:
    """Write a schedule of this computer down, and have mlrun woken for it. Raises UsageError for jobs that run elsewhere."""
    plans = [_runs_here(plan, one) for plan, one in zip(made.plans, made.loaded, strict=True)]
    due = made.due
    by = by or waker()
    schedule = Scheduled(
        id=new_run_id()[:ID_LENGTH],
        jobs=tuple(str(file.resolve()) for file in files),
        sha256=tuple(_digest(file) for file in files),
        zone=zone_name(due),
        next=due.timestamp(),
        cron=made.cron,
        finish_by=made.ends,
        flags=wish.flags,
        waker=by.name,
        made=now.timestamp(),
    )
    records.keep(schedule)
    try:
        by.wake(schedule.id, due, _what(schedule))
    except BaseException:
        records.forget(schedule)
        raise
    return schedule, plans


def remove(schedule: Scheduled) -> None:
    """Have nobody woken for it, and forget it. What runs already goes on."""
    others = [one for one in records.every() if one.id != schedule.id and one.next is not None]
    named(schedule.waker).forget(schedule.id, last=not others)
    records.forget(schedule)


def fire(
    schedule: Scheduled, now: float, run: Runner | None = None, *, by: Waker | None = None, early: bool = False
) -> Scheduled:
    """Run its jobs in turn, each in time for its `finish_by` or not at all; then wait for the next time.

    The next time is written down first: an mlrun that is killed meanwhile does not run them twice. `early` runs them now and
    leaves the next time as it is.
    """
    with _alone(schedule):
        schedule = records.find(schedule.id)
        begun = Firing(now, ())
        after = replace(schedule.after(begun), next=schedule.next) if early else schedule.after(begun)
        records.keep(after)
        if not early:
            _arm(after, by)
        outcomes: list[str] = []
        begun_as, of = f"{schedule.id}-{now:.0f}", len(schedule.jobs)
        for number in range(of):
            outcomes.append(_one(schedule, number, now, run or partial(_run_mlrun, told=place(begun_as, number + 1, of))))
            after = replace(after, fired=(*after.fired[:-1], Firing(now, tuple(outcomes))))
            records.keep(after)
    return after


def due(now: float, only: str | None = None) -> list[Scheduled]:
    """Schedules whose time has come."""
    known = [records.find(only)] if only else list(records.every())
    return [one for one in known if one.next is not None and one.next <= now]


def unkept(jobs: Sequence[LoadedJob]) -> list[str]:
    """Secrets that only this shell has: what starts a schedule's jobs does not know them. In sentences."""
    names = dict.fromkeys(name for one in jobs for name in (*one.config.secrets, *one.config.notify) if name.isidentifier())
    places = {name: known([name], jobs[0].workdir).get(name) for name in names}
    shells = [name for name, found in places.items() if found and found.source == "environment"]
    if not shells:
        return []
    return [
        f"{', '.join(shells)}: only in this shell's environment, which is not there then: write it to .env in the work folder."
    ]


def log_of(schedule: Scheduled) -> Path:
    """What its runs printed."""
    return records.folder() / f"{schedule.id}.log"


def _zone(wish: Wish, loaded: Sequence[LoadedJob]) -> tzinfo:
    said = next((one.config.schedule.timezone for one in loaded if one.config.schedule and one.config.schedule.timezone), None)
    try:
        return zone_named(wish.zone or said)
    except ValueError as why:
        raise UsageError(f"{why}.") from None


def _due(wish: Wish, loaded: Sequence[LoadedJob], now: datetime, zone: tzinfo) -> tuple[datetime, str | None]:
    kept = next((one.config.schedule for one in loaded if one.config.schedule), None)
    at, cron = (wish.at, wish.cron) if wish.at or wish.cron else (kept.at, kept.cron) if kept else (None, None)
    if bool(at) == bool(cron):
        both = "Both --at and --cron are given" if at else "Nothing says when"
        raise UsageError(f"{both}.", fix='--at "tomorrow 01:00", or --cron "0 1 * * 1-5"')
    try:
        if cron:
            crons.check(cron, now.astimezone(zone))
            return crons.next_firing(cron, now.astimezone(zone)), cron
        return read_moment(str(at), now, zone), None
    except ValueError as why:
        raise UsageError(f"{why}.") from None


def _finish(loaded: LoadedJob, due: datetime, zone: tzinfo) -> float | None:
    """`finish_by` as it is meant for that start; "07:30" is the first one after it."""
    text = loaded.config.budget.finish_by
    if text is None:
        return None
    try:
        return read_moment(text, due, zone).timestamp()
    except ValueError:
        what = f"{loaded.name} would begin {due:%a %d %b %H:%M}, after its finish_by {text}"
        raise UsageError(f"{what}.", fix="Choose an earlier start, or a later finish_by.") from None


def _fitting(plan: Plan, loaded: LoadedJob) -> Plan:
    place = loaded.config.where.partition("/")[0]
    if plan.chosen is None and (why := closed(load_settings()).get(place)):
        raise LoginNeeded(f"{loaded.name} is to run on {place}: {why}.", fix="mlrun doctor")
    if plan.chosen is None:
        reasons = " ".join(plan.here.reasons)
        raise NothingFits(f"{loaded.name} would not run here: {reasons}", fix=f"mlrun plan {loaded.path}")
    return plan


def _runs_here(plan: Plan, loaded: LoadedJob) -> Plan:
    """Only this computer can be woken so; a machine elsewhere needs a trigger in its cloud."""
    assert plan.chosen is not None
    if plan.chosen.offer.where != "local":
        where = plan.chosen.offer.where
        what = f"{loaded.name} would run on {where}: starting machines there at a later time is not part of this version."
        raise UsageError(what, fix="--where local schedules it here, --where aws or gcp there; or start it now with -d.")
    return plan


def _one(schedule: Scheduled, number: int, now: float, run: Runner) -> str:
    job = Path(schedule.jobs[number])
    zone = zone_named(schedule.zone)
    latest = schedule.finish_by[number] if schedule.cron is None and number < len(schedule.finish_by) else None
    if latest is not None and now >= latest:
        late = show_moment(datetime.fromtimestamp(latest, zone), datetime.fromtimestamp(now, zone))
        why = f"skipped, it was to be done by {late}"
        return "; ".join([f"{job.name}: {why}", *not_started(job, why)])
    if not job.is_file():
        return f"{job.name}: skipped, the job file is gone"
    changed = "" if _digest(job) == schedule.sha256[number] else " (the job file was changed since)"
    code = run([str(job), "--yes", "--where", "local", "--progress", "plain", *schedule.flags], log_of(schedule))
    return f"{job.name}: exit code {code}{changed}"


def _run_mlrun(words: Sequence[str], log: Path, *, told: Mapping[str, str]) -> int:
    """A process of its own, in the job's folder: its end takes nothing else with it."""
    with log.open("ab") as output:
        argv = [sys.executable, "-m", "dispatcher", *words]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=Path(words[0]).parent,
            env=os.environ | told, check=False,
        )  # fmt: skip
    return done.returncode


def _arm(schedule: Scheduled, by: Waker | None) -> None:
    by = by or named(schedule.waker)
    if schedule.due is None:
        others = [one for one in records.every() if one.id != schedule.id and one.next is not None]
        by.forget(schedule.id, last=not others)
    else:
        by.wake(schedule.id, schedule.due, _what(schedule))


@contextmanager
def _alone(schedule: Scheduled) -> Iterator[None]:
    """One mlrun fires a schedule at a time; a second one finds nothing due."""
    with (records.folder() / f"{schedule.id}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"Schedule {schedule.id} is running right now.", fix="mlrun ps") from None
        yield


def _what(schedule: Scheduled) -> str:
    return ", ".join(Path(job).name for job in schedule.jobs)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
