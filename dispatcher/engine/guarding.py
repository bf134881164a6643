"""What ends a machine from outside, should its system hang."""

from __future__ import annotations

from dispatcher.engine.context import Context, Work
from dispatcher.events import Warned


def guard(ctx: Context, work: Work) -> None:
    """Have the provider end the machine at its limit, where it does so when asked; a refusal is told, and stops nothing."""
    arm = getattr(work.backend, "guard", None)
    if arm is None or work.machine is None:
        return
    if why := arm(work.machine):
        words = f"Nothing was armed that ends the machine from outside: {why}. If it hangs, nothing ends it before you do"
        ctx.tell(Warned(work.run.id, ctx.clock.now(), words, "mlrun doctor"))
