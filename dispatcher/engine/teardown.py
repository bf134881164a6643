"""Destroying what an attempt made, and seeing that it is gone."""

from __future__ import annotations

from contextlib import suppress

from dispatcher.backends.base import Backend
from dispatcher.domain.run import Attempt, Doubt, Label, Run
from dispatcher.engine.context import Context, Work
from dispatcher.errors import HostError, LoginNeeded, MlrunError, TeardownUnconfirmed
from dispatcher.events import Warned
from dispatcher.moments import show_time
from dispatcher.retries import TEARDOWN, wait_until
from dispatcher.store.records import Intent

LEAST_SECONDS = 60.0
"""Both clouds bill a machine's first minute whole: their pages on prices, read 2026-11."""


def destroy(ctx: Context, work: Work) -> None:
    """Terminate, confirm, and close the attempt. Raises TeardownUnconfirmed; the attempt then stays open."""
    if work.attempt.ended is not None:
        return
    intent = _intended(ctx, work)
    ctx.checkpoint("terminate:intended")
    seen = _seen(work)
    try:
        _say_what_is_waited_for(ctx, work)
        work.backend.terminate(work.label)
        ctx.checkpoint("terminate:made")
        proof = confirm_gone(ctx, work.backend, work.label, seen)
    except MlrunError as error:
        first = f"{error.fix}   # first; then: mlrun sweep" if isinstance(error, LoginNeeded) else "mlrun sweep"
        raise unconfirmed(work.attempt, error.message, first) from error
    except KeyboardInterrupt:  # whoever waits no longer has not seen it gone
        work.run.doubt = Doubt.TEARDOWN
        with suppress(HostError):
            ctx.store.save(work.run)
        raise
    if intent:
        ctx.store.settle(intent, proof)
    _close(ctx, work, proof)


def _say_what_is_waited_for(ctx: Context, work: Work) -> None:
    """A provider may show late what it made: it is looked for until it would have, which takes minutes."""
    asked = getattr(work.backend, "unshown_until", None)
    if asked is None or (until := asked(work.label)) is None:
        return
    now = ctx.clock.now()
    where = work.attempt.where
    words = f"{where} does not show the machine that was asked for, and may do so until {show_time(until, now)}"
    ctx.tell(
        Warned(
            work.run.id,
            now,
            f"{words}: until then it is looked for, to end it",
            f"mlrun sweep --check, after {show_time(until, now)}",
        )
    )


def _seen(work: Work) -> tuple[str, ...]:
    """What the attempt made, as its provider names it: for the proof. A provider that does not tell keeps nothing alive."""
    if not work.attempt.rented or work.attempt.launched is None:
        return ()
    try:
        return tuple(f"{one.kind} {one.id}" for one in work.backend.leftovers() if one.label == work.label)
    except MlrunError:
        return ()


def confirm_gone(ctx: Context, backend: Backend, label: Label, seen: tuple[str, ...] = ()) -> str:
    """Look until the provider says that nothing has this label; what it said, as a sentence."""

    def gone() -> bool | None:
        return True if backend.find(label) is None else None

    if not wait_until(gone, TEARDOWN, ctx.clock):
        raise TeardownUnconfirmed(f"{backend.name} still shows a machine with the label {label}")
    left = [one for one in backend.leftovers() if one.label == label]
    if left:
        names = ", ".join(f"{one.kind} {one.id}" for one in left)
        raise TeardownUnconfirmed(f"{backend.name} still shows {names}")
    gone_now = f"{', '.join(seen)} gone; " if seen else ""
    return f"{backend.name}: {gone_now}nothing carries the label {label}"


def unconfirmed(attempt: Attempt, why: str, fix: str = "mlrun sweep") -> TeardownUnconfirmed:
    """The error above all others: what, where, for how much, and the next command."""
    price = f" at ${attempt.price_per_hour:.2f} per hour" if attempt.price_per_hour else ""
    what = f"{attempt.machine or 'the machine'} ({attempt.label}) on {attempt.where}{price} may still exist"
    return TeardownUnconfirmed(f"{what}: {why}", fix=fix)


def all_gone(run: Run) -> bool:
    """Whether every attempt's teardown was confirmed."""
    return all(attempt.ended is not None for attempt in run.attempts)


def spent(run: Run, now: float) -> float:
    """USD for all attempts, from launch to the end, confirmed or seen from here, or to now. Unknown prices count as nothing."""
    return sum(_cost(attempt, now) for attempt in run.attempts)


def _cost(attempt: Attempt, now: float) -> float:
    if attempt.launched is None or not attempt.rented:
        return 0.0
    seconds = max(LEAST_SECONDS, (attempt.ended or attempt.gone or now) - attempt.launched)
    return ((attempt.price_per_hour or 0.0) + attempt.beside_per_hour) * seconds / 3600


def _intended(ctx: Context, work: Work) -> Intent | None:
    """A full disk must not keep a machine alive: destroying is harmless, and is tried without its record too."""
    try:
        return ctx.store.intent(work.label, "terminate", {"where": work.attempt.where})
    except HostError as error:
        work.trouble.append(error)
        return None


def _close(ctx: Context, work: Work, proof: str) -> None:
    run = work.run
    work.attempt.ended = work.attempt.gone or ctx.clock.now()
    run.teardown_proof.append(proof)
    run.cost_so_far = spent(run, work.attempt.ended)
    run.teardown_confirmed = all_gone(run)
    ctx.store.save(run)
