"""R18: whatever becomes of runs, no rule, disk, address, key or private file of theirs stays."""

import random
import threading

from dispatcher.engine.lifecycle import resume
from dispatcher.errors import MlrunError
from tests.guarantees.row import Row, Size
from tests.guarantees.sim.inside import Inside, inside

TARGET = "clean-up of side objects (rules, schedules, disks, key pairs) after 1,000 runs: 0 left"
FATES = ("done", "cancelled", "lost answer", "stock-out", "refused rule", "throttled", "lost schedule", "schedule kept")
FAULTS = {
    "aws": {
        "lost answer": ("RunInstances", {"when": "drop_after"}),
        "stock-out": ("RunInstances", {"code": "InsufficientInstanceCapacity"}),
        "refused rule": ("AuthorizeSecurityGroupIngress", {"code": "UnauthorizedOperation"}),
        "throttled": ("RevokeSecurityGroupIngress", {"code": "RequestLimitExceeded"}),
        "lost schedule": ("CreateSchedule", {"when": "drop_after"}),
        "schedule kept": ("DeleteSchedule", {"code": "InternalServerException", "n": 9}),
    },
    "gcp": {
        "lost answer": ("instances.insert", {"when": "drop_after"}),
        "stock-out": ("instances.insert", {"code": "ZONE_RESOURCE_POOL_EXHAUSTED"}),
        "refused rule": ("firewalls.insert", {"code": "forbidden"}),
        "throttled": ("firewalls.delete", {"code": "rateLimitExceeded"}),
    },
}
STEPS = ("provision:after", "connect:after", "sync:after", "prepare:after", "launch:after")


def measure(size: Size = Size.WHOLE) -> Row:
    dice, left, each = random.Random(18), [], size.of(500, 15, 6)
    for cloud in ("aws", "gcp"):
        with inside(cloud) as here:
            here.reset()
            if cloud == "aws":
                here.world.arm_schedules()
            for _ in range(each):
                one_run(here, dice)
            left += [f"{cloud} {one}" for one in remaining(here)]
    return Row("R18", TARGET, "; ".join([f"{2 * each} runs: {len(left)} left", *left[:4]]), not left)


def one_run(here: Inside, dice: random.Random) -> None:
    fate = dice.choice(FATES)
    here.world.computers.seconds = dice.uniform(10, 100)
    if fault := FAULTS[here.world.cloud].get(fate):
        here.world.faults.add(fault[0], **fault[1])
    asked, where = threading.Event(), dice.choice(STEPS)
    ctx = here.context(cancel=asked, checkpoint=lambda name: fate == "cancelled" and name == where and asked.set())
    run = here.run([here.offer, here.offer], ctx=ctx)
    here.world.faults.clear()
    for _ in range(20):
        if not run.open:
            break
        here.clock.sleep(60.0)
        try:
            run = resume(run.id, here.context())
        except MlrunError:
            continue


def remaining(here: Inside) -> list[str]:
    """What is in the lab and in the runs' folders beside records."""
    found = [f"still there: {one}" for one in here.world.left()] + [f"open: {run.id}" for run in here.store.open_runs()]
    secret = ("ssh_key", "*.host_key", "*.pin", "*.next_pin", "*.waits")
    found += [f"file {path.name}" for pattern in secret for path in (here.folder / "runs").glob(f"*/{pattern}")]
    if here.world.cloud == "gcp":
        rules = [str(one) for one in here.world.standin.firewalls._known if "mlrun-closed" not in str(one)]
        return found + [f"rule {one}" for one in rules] + here.world.standin.left()
    for region in here.world.standin.world.regions.values():
        found += [f"volume {name}" for name in region.volumes]
        found += [f"rule {rule.id}" for group in region.groups.values() for rule in group.rules if rule.tags]
    return found + here.world.standin.server.others.schedules.names()
