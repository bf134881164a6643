"""A run's end: the verdict before teardown, the state after."""

from __future__ import annotations

import json
from typing import Any

from dispatcher.domain.run import MOVES, Doubt, Run, RunState
from dispatcher.engine.context import Context, Work
from dispatcher.engine.outcome import conclude, exit_code
from dispatcher.engine.receipt import receipt
from dispatcher.engine.step import NeverStarted
from dispatcher.engine.teardown import all_gone, spent
from dispatcher.errors import Cancelled, MlrunError, NoCapacity, Preempted, Quota
from dispatcher.events import Finished, Warned
from dispatcher.paths import write_private


def tries_next(error: BaseException | None, ctx: Context) -> bool:
    """Whether this error means that the next offer is worth a try."""
    if isinstance(error, Preempted):
        return ctx.retry_preempted
    return isinstance(error, (NoCapacity, Quota))


def record_verdict(work: Work, ctx: Context, error: BaseException | None) -> None:
    """Write down how the job ended before anything of it is destroyed."""
    run = work.run
    if isinstance(error, (NoCapacity, Quota)) and work.machine is None:
        work.attempt.launched = None
    if isinstance(error, MlrunError):
        work.attempt.reason = error.message
        if not isinstance(error, Cancelled):
            ctx.tell(Warned(run.id, ctx.clock.now(), error.message, error.fix))
    changes: dict[str, Any] = {"held_for": "", "held_until": None}
    if not tries_next(error, ctx):
        verdict = conclude(work.status, error)
        changes |= {"outcome": verdict.outcome, "reason": verdict.reason, "exit_code": verdict.exit_code}
    ctx.move(run, RunState.TERMINATING, **changes)


def finish(run: Run, ctx: Context, error: BaseException | None) -> Run:
    """Close the run if everything it made is gone; else it stays open, in doubt. Raises bugs again, after that."""
    now = ctx.clock.now()
    if RunState.TERMINATING in MOVES[run.state]:
        ctx.move(run, RunState.TERMINATING)
    if run.outcome is None:
        verdict = conclude(None, error)
        run.outcome, run.reason, run.exit_code = verdict.outcome, verdict.reason, verdict.exit_code
    run.cost_so_far = spent(run, now)
    run.ended = run.ended or now
    if all_gone(run):
        ctx.move(run, RunState.FINISHED, doubt=None, teardown_confirmed=True)
    else:
        run.doubt = Doubt.TEARDOWN
        ctx.store.save(run)
    _keep_receipt(run, ctx)
    ctx.tell(Finished(run.id, ctx.clock.now(), run.outcome, exit_code(run), run))
    if error is not None and not isinstance(error, (MlrunError, NeverStarted, KeyboardInterrupt)):
        raise error
    return run


def _keep_receipt(run: Run, ctx: Context) -> None:
    """The receipt beside the log. Without space for it the run's record still has everything."""
    if ctx.runs is None:
        return
    folder = ctx.runs / run.id
    part = folder / "receipt.json.part"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(part, json.dumps(receipt(run, run.plan), indent=1))
        part.replace(folder / "receipt.json")
    except OSError as error:
        ctx.tell(Warned(run.id, ctx.clock.now(), f"The receipt could not be written: {error.strerror}"))
