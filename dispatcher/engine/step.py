"""A step, and the runner that undoes begun steps in reverse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from dispatcher.domain.run import MOVES, RunState
from dispatcher.engine.context import Context, Work
from dispatcher.errors import Cancelled, RecordUnusable


class Left(Exception):
    """The user left a running job to itself: nothing is undone."""


class Held(Exception):
    """What the job left could not be brought home: its machine is kept."""


class AllHome(Exception):
    """What the job left came home without its machine: nothing is to be done but to see that nothing is left."""


class NeverStarted(Exception):
    """An earlier process was ended before it had started the job."""


class Step(Protocol):
    """One thing to do to an attempt: look, act if needed, commit. Doing it again is harmless.

    `state` is the run's state meanwhile, `phase` the word under which its seconds are counted ("": the agent counts them); a
    cancelled run begins no further step that is `cancellable`.
    """

    name: str
    state: RunState
    phase: str
    cancellable: bool

    def do(self, ctx: Context, work: Work) -> None:
        """Make it so."""

    def undo(self, ctx: Context, work: Work) -> None:
        """Leave nothing of it; also after `do` failed half-way."""


def carry_out(
    steps: Sequence[Step], ctx: Context, work: Work, before_undo: Callable[[BaseException | None], None]
) -> BaseException | None:
    """Do the steps in order, then undo the begun ones in reverse: after the end, an error or a cancellation alike.

    `before_undo` learns the first error, which is returned. After Left and Held nothing is undone. Errors of undoing are
    kept in `work.trouble` and stop no other undoing. Raised is only an interrupt of whoever came back to a run.
    """
    begun: list[Step] = []
    first: BaseException | None = None
    try:
        for step in steps:
            begun.append(step)
            _heed(ctx, work, step)
            do(step, ctx, work)
    except (Left, Held) as kept:
        return kept
    except AllHome:
        pass
    except BaseException as error:
        if work.adopting and isinstance(error, (KeyboardInterrupt, SystemExit)):
            _hang_up(work)  # whoever only came back to a run ends nothing by going away
            raise
        if isinstance(error, RecordUnusable) and _costs_nothing(work):
            return Left()
        first = error
    try:
        before_undo(first)
    except Exception as error:  # noqa: BLE001  (a record that cannot be written keeps nothing from being undone)
        work.trouble.append(error)
    undo(begun, ctx, work)
    return first


def do(step: Step, ctx: Context, work: Work) -> None:
    """One step, in its state, its seconds counted."""
    _enter(step, ctx, work)
    ctx.checkpoint(f"{step.name}:before")
    begun = ctx.clock.monotonic()
    try:
        step.do(ctx, work)
    finally:
        count_seconds(work, step.phase, ctx.clock.monotonic() - begun)
    ctx.checkpoint(f"{step.name}:after")


def undo(begun: Sequence[Step], ctx: Context, work: Work) -> None:
    """Undo in reverse order; errors are kept, not raised."""
    for step in reversed(begun):
        ctx.checkpoint(f"{step.name}:undo")
        try:
            step.undo(ctx, work)
        except Exception as error:  # noqa: BLE001  (one failing undo must not keep the others from being tried)
            work.trouble.append(error)


def count_seconds(work: Work, phase: str, seconds: float) -> None:
    """Add to the run's record of where its time went."""
    if not phase:
        return
    counted = work.run.phases_seconds
    counted[phase] = round(counted.get(phase, 0.0) + seconds, 3)


def _costs_nothing(work: Work) -> bool:
    """Whether a job may be left as it is where nothing can be noted: it runs, or has ended on the user's own machine."""
    over = work.status is not None and work.status.over
    return work.launched and (not over or work.attempt.market == "owned")


def _hang_up(work: Work) -> None:
    if work.host is not None:
        with suppress(Exception):
            work.host.close()


def _heed(ctx: Context, work: Work, step: Step) -> None:
    if not step.cancellable or work.adopting:
        return
    if ctx.cancel.is_set() or ctx.store.wished(work.run.id) == "stop":
        raise Cancelled("Cancelled before the job started")


def _enter(step: Step, ctx: Context, work: Work) -> None:
    """Move the run to the step's state, unless an earlier process had come further."""
    if step.state in MOVES[work.run.state]:
        ctx.move(work.run, step.state)
