"""A real run's own pace, and whether it is on course."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.probed import Pace
from dispatcher.domain.run import Run, RunState
from dispatcher.events import Counted, Event, Finished, Listener, LogBytes, Progress, Sampled, Span, StateChanged, Warned
from dispatcher.metrics.pace import Expected, pace
from dispatcher.metrics.progress import Mark, Output, told
from dispatcher.moments import show_time
from dispatcher.units import show_seconds, show_usd

COURSE_KIND = "course"
"""What the word is called that a run will not end within its limit."""
FIRST_SECONDS = 60.0
"""A run's course is judged once its count has moved for so long, and then once in a while."""
AGAIN_SECONDS = 60.0
LATEST = 1 << 13
"""Bytes that are read of a flood of output, and only so often: whoever writes much is not slowed down."""
FLOOD_SECONDS = 0.25
FAR_SECONDS = 1e9
"""A job that says it will take thirty years has miscounted."""
MOST_MARKS = 4000
"""Of more, every second one is forgotten."""


@dataclass(slots=True)
class _Followed:
    """A run that was seen to begin: what it counted, seconds since then, and what was said of it."""

    began: float
    output: Output = field(default_factory=Output)
    marks: list[Mark] = field(default_factory=list)
    due: float = FIRST_SECONDS
    said: set[str] = field(default_factory=set)
    read: float = 0.0

    def add(self, marks: list[Mark]) -> None:
        self.marks += marks
        if len(self.marks) > MOST_MARKS:
            del self.marks[1::2]


class Pacing:
    """Hears a run's output and counts, and tells once each: it will break its limit; it takes longer than was planned.

    Only of runs that were seen to begin: what an earlier command has missed came at nobody knows which moments.
    """

    def __init__(self, find: Callable[[str], Run | None], emit: Listener) -> None:
        self._find, self._emit = find, emit
        self._runs: dict[str, _Followed] = {}
        self._lock = threading.Lock()

    def hear(self, event: Event) -> None:
        """An event of the core; the job's own counts go no further than here."""
        if not isinstance(event, Counted):
            self._emit(event)
        words: list[Event] = []
        with self._lock, suppress(Exception):  # it is advice: whatever a job wrote, the run goes on
            words = self._heard(event)
        for word in words:
            self._emit(word)

    def _heard(self, event: Event) -> list[Event]:
        if isinstance(event, StateChanged) and event.state is RunState.RUNNING:
            self._runs[event.run] = _Followed(event.time)
        elif isinstance(event, Finished):
            self._runs.pop(event.run, None)
        followed = self._runs.get(event.run)
        if followed is None:
            return []
        at = event.time - followed.began
        if isinstance(event, LogBytes):
            if len(event.data) >= LATEST and at - followed.read < FLOOD_SECONDS:
                followed.output.missed()
                return []
            followed.read = at
            if len(event.data) > LATEST:
                followed.output.missed()
            followed.add(followed.output.feed(_latest(event.data), at))
        elif isinstance(event, Counted):
            followed.add([mark] if (mark := told(event.row, at)) else [])
        elif isinstance(event, Sampled) and at >= followed.due and followed.marks:
            followed.due = at + AGAIN_SECONDS
            run = self._find(event.run)
            return _judged(run, followed, event.time) if run else []
        return []


def _latest(data: bytes | Span) -> bytes:
    if isinstance(data, Span):
        return bytes(Span(data.file, data.offset + max(0, data.size - LATEST), min(data.size, LATEST)))
    return data[-LATEST:]


def _judged(run: Run, followed: _Followed, now: float) -> list[Event]:
    """What is to be said of a run's course, and was not said before."""
    if followed.marks[-1].at - followed.marks[0].at < FIRST_SECONDS / 2:
        return []
    found = pace(followed.marks, _expected(run))
    if found is None or found.total is None or found.done >= found.total:
        return []
    left = (found.total - found.done) * found.seconds.likely
    if left > FAR_SECONDS:
        return []
    said = [*_too_late(run, found, now, left), *_otherwise(run, followed, now, left)]
    new = [event for event in said if type(event).__name__ not in followed.said]
    followed.said |= {type(event).__name__ for event in new}
    return new


def _too_late(run: Run, found: Pace, now: float, left: float) -> list[Event]:
    """It will be ended by its limit, as even a good guess has it."""
    stop = run.hard_stop
    if stop is None or now + left <= stop:
        return []
    chosen = _chosen(run)
    limit = chosen.get("stopped_by") or "the hard stop"
    total = found.total or 1.0
    share = (found.done + max(0.0, stop - now) / found.seconds.likely) / total
    message = (
        f"{run.name} is on course to break {limit}: at this pace ({_each(found)}) it ends at {show_time(now + left, now)},"
        f" and is stopped at {show_time(stop, now)}, {share:.0%} done"
    )
    fix = f"mlrun stop {run.id[:4]}, then ask for less or allow more; with a checkpoint, --resume goes on from there"
    return [Warned(run.id, now, message, fix, COURSE_KIND)]


def _otherwise(run: Run, followed: _Followed, now: float, left: float) -> list[Event]:
    """It takes longer, or less, than the plan's range."""
    planned = _planned(run)
    if planned is None:
        return []
    low, high, likely = planned
    whole = now + left - _since(run, followed)
    if low <= whole <= high:
        return []
    attempt = run.attempt
    hourly = ((attempt.price_per_hour or 0.0) + attempt.beside_per_hour) if attempt and attempt.rented else 0.0
    cost = f", and costs about {show_usd((whole + _beside(run)) / 3600 * hourly)}" if hourly else ""
    words = (
        f"{'slower' if whole > high else 'quicker'} than planned: at this pace about {show_seconds(whole)} in all{cost};"
        f" the plan said {show_seconds(likely)} ({show_seconds(low)} – {show_seconds(high)})"
    )
    return [Progress(run.id, now, "pace", words, min(1.0, (whole - left) / whole))]


def _each(found: Pace) -> str:
    seconds = found.seconds.likely
    each = f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
    of = "" if found.unit == "fraction" else f", {found.done:,.0f} of {found.total:,.0f} done"
    return f"{each} per {found.unit}{of}" if of else f"{found.done:.0%} done"


def _chosen(run: Run) -> dict[str, Any]:
    candidates = run.plan.get("candidates") or [{}]
    index = run.plan.get("choice")
    found: dict[str, Any] = candidates[index or 0]
    return found


def _planned(run: Run) -> tuple[float, float, float] | None:
    """Seconds as planned of what the agent does, setup and job: low, high, likely; the plan's hours have the rest, too."""
    hours = _chosen(run).get("hours")
    if not hours:
        return None
    around = _beside(run)
    low, high, likely = (max(0.0, 3600 * float(hours[name]) - around) for name in ("low", "high", "likely"))
    return low, high, likely


def _beside(run: Run) -> float:
    """Seconds planned before the agent begins and after it ends."""
    phases = _phases(run)
    return sum(phases.values()) - phases.get("run", 0.0) - phases.get("setup", 0.0)


def _phases(run: Run) -> dict[str, float]:
    return {name: float(seconds) for name, seconds in (_chosen(run).get("phases_seconds") or {}).items()}


def _since(run: Run, followed: _Followed) -> float:
    """When what the plan counted began. A setup that it did not count had ended when the job first counted."""
    asked = (run.job.get("instructions") or {}).get("setup")
    here = run.attempt is None or run.attempt.where == "local"
    if _phases(run).get("setup") or (here and not asked):
        return run.started or followed.began
    return followed.began + followed.marks[0].at


def expected(config: JobConfig) -> Expected:
    """What the job file says of the whole, in the units that jobs count."""
    training, model = config.training, config.model
    samples = config.dataset.samples if config.dataset else None
    each = samples / training.batch_size if samples and training.batch_size else None
    steps = training.steps
    if steps is None and each and training.epochs:
        steps = round(each * training.epochs / training.gradient_accumulation)
    return Expected(steps, each, training.epochs, model.trees if model else None)


def _expected(run: Run) -> Expected:
    """What the job file said of the whole, as the run's record keeps it."""
    about = run.job.get("expected") or {}
    return Expected(**{name: about.get(name) for name in ("steps", "steps_each", "epochs", "rounds")})
