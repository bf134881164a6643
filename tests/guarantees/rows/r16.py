"""R16: how soon after its job a machine is told to end: at once where mlrun looks on, by itself where nobody does."""

import random
import threading

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.inside import TERMINATE, Inside, inside

TARGET = "job end to terminate sent, attached: p95 <= 30 s after the outputs are verified; detached: gone at grace +- 60 s"
GRACE = 900.0


def measure(size: Size = Size.WHOLE) -> Row:
    dice, attached, detached = random.Random(16), [], []
    for cloud in ("aws", "gcp"):
        with inside(cloud) as here:
            attached += [after_attached(here, dice.uniform(30, 3000)) for _ in range(size.of(100, 5, 2))]
            detached += [after_detached(here, dice.uniform(30, 3000)) for _ in range(size.of(30, 3, 1))]
    p95 = sorted(attached)[int(0.95 * (len(attached) - 1))]
    off = max(abs(one - GRACE) for one in detached)
    measured = f"{len(attached)} attached: p95 {p95:.0f} s; {len(detached)} detached: at most {off:.0f} s off the grace"
    return Row("R16", TARGET, measured, p95 <= 30 and off <= 60)


def after_attached(here: Inside, seconds: float) -> float:
    here.reset()
    here.world.computers.seconds = seconds
    here.run()
    calls = [one.time for one in here.world.ledger.calls if one.action == TERMINATE[here.world.cloud]]
    return min(calls) - job_end(here)


def after_detached(here: Inside, seconds: float) -> float:
    """Whoever started it leaves as soon as the job runs."""
    here.reset()
    if here.world.cloud == "gcp":
        here.world.give_account()
    here.world.computers.seconds = seconds
    left = threading.Event()
    ctx = here.context(detach=left, checkpoint=lambda name: left.set() if name == "launch:after" else None)
    here.run(ctx=ctx, grace_seconds=GRACE)
    here.world.sleep(6 * 3600.0)
    machine = next(line for line in here.world.ledger.lines if line.kind == "instance")
    return (machine.ended or here.world.now()) - job_end(here)


def job_end(here: Inside) -> float:
    return max(job.ended or 0.0 for one in here.world.computers.known.values() for job in one.jobs.values())
