"""Running, and looking after runs: every verb that touches the store."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from dispatcher import paths
from dispatcher.app import learning, notices
from dispatcher.app.access import usable
from dispatcher.app.machines import settle_here, tidy
from dispatcher.app.pacing import Pacing
from dispatcher.app.reminders import is_meant, reminders
from dispatcher.app.sightings import Seen, look, matching
from dispatcher.backends import registry
from dispatcher.domain.run import Run
from dispatcher.engine import lifecycle
from dispatcher.engine.context import Context
from dispatcher.engine.glance import glance
from dispatcher.errors import MlrunError, RecordDamaged, RecordUnusable, UsageError
from dispatcher.events import Event, Listener, Warned, nobody
from dispatcher.jobfile.settings import Settings
from dispatcher.overnight import night as nights
from dispatcher.retries import Clock, SystemClock
from dispatcher.store.store import Store

GLANCE_SECONDS = 1.0
"""So long every command looks after runs that go on elsewhere."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the user may want of a run while it goes on: end it, end it now, leave it."""

    cancel: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    detach: threading.Event = field(default_factory=threading.Event)


def watched(where: str) -> str:
    """What a cloud says ends a machine from outside, where its system hangs, in a word; no answer is "", and so is nothing."""
    with suppress(MlrunError):
        asked = getattr(registry.load(where), "watched", None)
        return str(asked()) if asked else ""
    return ""


@contextmanager
def opened(
    emit: Listener = nobody,
    will: Will | None = None,
    *,
    without_record: bool = False,
    about: str | None = None,
    glancing: float = GLANCE_SECONDS,
) -> Iterator[Context]:
    """The store and what drives runs; runs that nobody drives are brought up to date first, within a second.

    Machines elsewhere are asked for so many seconds (`glancing`) whether their job has ended. `without_record`: where the
    record cannot be opened, what the runs' folders tell will do. Of rented machines every command says what they cost, but for
    the run that it is `about`.
    """
    will = will or Will()
    clock = SystemClock()
    with _store(clock, without_record=without_record) as store, notices.listening(store.get, emit) as told:
        ctx = Context(
            store=store,
            backend=cache(registry.load),
            clock=clock,
            emit=learning.listening(store, Pacing(store.get, _both(told.hear, emit)).hear),
            cancel=will.cancel,
            hurry=will.hurry,
            detach=will.detach,
            runs=paths.runs_dir(),
            spans=getattr(emit, "spans", False),
            ended=told.ended,
        )
        for warning in store.warnings:
            emit(Warned("", clock.now(), warning))
        _reconcile(ctx)
        _bring_home(ctx)
        if not store.stand_in:
            glance(ctx, glancing, lambda run: is_meant(run, about))
        open_runs = store.open_runs()
        tidy(open_runs)
        for line in reminders(open_runs, clock.now(), about):
            emit(line)
        yield ctx


def _store(clock: Clock, *, without_record: bool) -> Store:
    try:
        return Store.open(paths.database(), clock)
    except RecordUnusable as error:
        here = os.path.isdir(paths.runs_dir())  # noqa: PTH112 - Path.is_dir raises where one may not look
        if isinstance(error, RecordDamaged) or not without_record or not here:
            raise
        return Store.standing_in(paths.database(), clock, error)


def elsewhere(ctx: Context, settings: Settings) -> Seen:
    """What the clouds that we have a login for say that exists; of those that do not answer, a word."""
    clouds = usable(settings)
    seen = look(clouds, ctx.backend) if clouds else Seen()
    for name, why in seen.silent.items():
        ctx.tell(Warned("", ctx.clock.now(), f"{name} was not looked at: {why}"))
    return seen


def find(ctx: Context, text: str, settings: Settings, *, open_first: bool = False) -> Run:
    """The run that `text` means: of this computer's record, else of the clouds' tags; those are then recorded too.

    `open_first`: of a name's runs one that goes on comes before newer ones that have ended.
    """
    try:
        return ctx.store.find(text, open_first=open_first)
    except UsageError:
        if ctx.store.stand_in or text == "last" or not usable(settings):
            raise
        seen = elsewhere(ctx, settings)
        run = matching(seen.runs(ctx.clock.now(), lambda run: ctx.store.get(run) is not None), text)
        ctx.store.add(run)
        return run


def follow(ctx: Context, text: str, *, offset: int = 0) -> Run:
    """Take a run up: its output from `offset`, its end, its outputs."""
    run = ctx.store.find(text)
    return lifecycle.resume(run.id, ctx, offset=offset) if run.open else run


def stop(ctx: Context, text: str, grace: float, *, keep: float | None = None) -> Run:
    """End a run's job and see it to its end. Raises RecordUnusable when the job has ended, but nothing of it could be noted."""
    run = ctx.store.find(text)
    if not ctx.store.stand_in:
        settle_here(ctx, run)
        with suppress(RecordUnusable):
            return lifecycle.stop(run.id, replace(ctx, keep=keep), grace)
    lifecycle.end_job(run, ctx, grace)
    try:
        if not ctx.store.stand_in:
            return lifecycle.stop(run.id, ctx, grace)  # a job that has ended gives back the space it kept in reserve
    except RecordUnusable as error:
        fix = f"{error.fix} mlrun ps then notes how it ended."
    else:
        fix = "Free space there, or correct the rights: mlrun ps then notes how it ended."
    raise RecordUnusable(
        f"The job of {run.name} runs no more. The record of runs, {ctx.store.path}, cannot be written", fix=fix
    )


def going_on(ctx: Context, run_id: str) -> bool:
    """Whether a run is still open, once those that nobody drives were brought up to date."""
    if ctx.store.stand_in:
        return log_path(ctx.store.find(run_id), "outcome.json") is None
    _reconcile(ctx)
    return ctx.store.find(run_id).open


def log_path(run: Run, name: str = "log") -> Path | None:
    """Where a run's output (or that of its setup) stands on this computer; None before there is any."""
    attempt = run.attempt
    folder = paths.runs_dir() / run.id
    own = folder / str(attempt.label) / name if attempt else folder / name
    return next((path for path in (own, folder / name) if path.is_file()), None)


def _bring_home(ctx: Context) -> None:
    """Results of runs that a cloud started by itself."""
    if ctx.store.stand_in or not os.path.isdir(nights.folder()):  # noqa: PTH112 - Path.is_dir raises where one may not look
        return
    from dispatcher.app import overnight  # loads what only nights need

    if overnight.any_due(ctx.clock.now()):
        overnight.morning(ctx)


def _reconcile(ctx: Context) -> None:
    """Bring runs that nobody drives up to date, and learn from those that ended meanwhile."""
    if ctx.store.stand_in:
        return
    with suppress(RecordUnusable):  # what cannot be written down now is by a later command
        ctx.store.catch_up()
    for run in lifecycle.reconcile(ctx):
        learning.keep(ctx.store, run)
        if not run.open or run.doubt:
            ctx.ended(run)


def _both(first: Listener, then: Listener) -> Listener:
    def hear(event: Event) -> None:
        first(event)
        then(event)

    return hear
