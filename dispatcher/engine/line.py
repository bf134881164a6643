"""Waiting for a computer that others use first."""

from __future__ import annotations

from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Run, RunState
from dispatcher.engine.context import Context
from dispatcher.errors import Cancelled, NoCapacity
from dispatcher.events import Progress
from dispatcher.moments import show_time
from dispatcher.retries import Clock
from dispatcher.units import show_seconds

LINE_SECONDS = 12 * 3600.0
"""So long a job waits at most: through a working day, or a night."""
LOOK_SECONDS = 20.0
"""Between two looks whether the others are gone."""
GLIMPSE_SECONDS = 0.5
"""Between two looks whether the user still wants it."""


def stand_in_line(ctx: Context, run: Run, offer: Offer) -> None:
    """Return once nobody else uses the computer; at once where it is nobody else's. Raises Cancelled, NoCapacity, HostError."""
    in_use = getattr(ctx.backend(offer.where), "in_use", None)
    if offer.market != "owned" or in_use is None or not (why := in_use(offer)):
        return
    if ctx.detach.is_set():
        raise NoCapacity(
            f"{offer.place} is used by others ({why}), and a line is stood in only by who stays", fix="Without -d."
        )
    begun, now = ctx.clock.monotonic(), ctx.clock.now()
    ctx.move(run, RunState.QUEUED)
    words = f"{offer.place} is used by others ({why}): in line until {show_time(now + LINE_SECONDS, now)}; Ctrl-C cancels"
    ctx.tell(Progress(run.id, now, "line", words))
    while why:
        if ctx.clock.monotonic() - begun > LINE_SECONDS:
            raise NoCapacity(
                f"{offer.place} was used by others for {show_seconds(LINE_SECONDS)}: {why}", fix="Try again later."
            )
        _pause(ctx, run, ctx.clock)
        why = in_use(offer)
    ctx.move(run, RunState.PLANNED)
    ctx.tell(Progress(run.id, ctx.clock.now(), "line", f"{offer.place} is free now"))


def _pause(ctx: Context, run: Run, clock: Clock) -> None:
    for _ in range(round(LOOK_SECONDS / GLIMPSE_SECONDS)):
        if clock.sleep(GLIMPSE_SECONDS, ctx.cancel) or ctx.detach.is_set() or ctx.store.wished(run.id) == "stop":
            raise Cancelled("Cancelled while it stood in line; nothing was started")
