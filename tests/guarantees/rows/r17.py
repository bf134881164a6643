"""R17: what a run costs by the lab's own bill is never more than the worst case that was shown before it began."""

import json
import random
import threading
from unittest import mock

from dispatcher.app.plans import plan_loaded
from dispatcher.app.submit import submit
from dispatcher.jobfile.load import load
from dispatcher.jobfile.settings import Aws, Gcp, Settings
from tests.guarantees.row import Row, Size
from tests.guarantees.sim.inside import Inside, inside

TARGET = "worst-case $ shown before launch; billed <= shown in 100 % of simulated runs"
REGIONS = {"aws": "us-east-1", "gcp": "us-central1"}
MACHINES = {"aws": ("g4dn.xlarge", "g5.xlarge", "m5.xlarge"), "gcp": ("g2-standard-4", "n2-standard-4", "e2-standard-2")}
SETTINGS = Settings(aws=Aws(regions=("us-east-1",)), gcp=Gcp(regions=("us-central1",)))


def measure(size: Size = Size.WHOLE) -> Row:
    dice, over, count, closest = random.Random(17), [], 0, 0.0
    for cloud in ("aws", "gcp"):
        with inside(cloud) as here, mock.patch("dispatcher.app.limits.check_limits"):
            for _ in range(size.of(150, 8, 2)):
                billed, shown, how = billed_and_shown(here, dice)
                count += 1
                closest = max(closest, billed / shown)
                if billed > shown:
                    over.append(f"{how}: ${billed:.4f} of ${shown:.4f}")
    measured = f"{count - len(over)} of {count} runs; at most {100 * closest:.1f} % of what was shown"
    return Row("R17", TARGET, "; ".join([measured, *over[:3]]), not over)


def billed_and_shown(here: Inside, dice: random.Random) -> tuple[float, float, str]:
    """A job of any length on any machine, which somebody follows, or leaves, or whose machine hangs."""
    here.reset()
    cloud = here.world.cloud
    machine, market = dice.choice(MACHINES[cloud]), dice.choice(("on-demand", "spot"))
    hours = dice.choice((0.3, 1.0, 2.5))
    job = {
        "run": "python train.py", "where": f"{cloud}/{REGIONS[cloud]}", "spot": market == "spot",
        "dataset": {"size": dice.choice(("10MB", "40GB", "300GB"))}, "outputs": ["out.txt"],
        "resources": {"gpu": int(machine.startswith("g"))}, "budget": {"max_time": f"{round(hours * 60)}m"},
    }  # fmt: skip
    file = here.folder / "work" / "job.yaml"
    file.write_text(json.dumps(job))
    loaded = load(file)
    plan = plan_loaded(loaded, settings=SETTINGS, machine=f"{cloud}:{machine}", renting=True)
    chosen = plan.chosen
    assert chosen is not None
    assert chosen.cost is not None
    dearer = (chosen.offer.price_per_hour or 0.0) * (1 + dice.random() * chosen.offer.price_spread)
    prices = "price" if cloud == "aws" else "prices"
    here.world.standin.control("set", {prices: {machine: dearer, f"spot:{machine}": dearer}})
    fate = dice.choice(("followed", "left", "hung"))
    here.world.hosts.hung = fate == "hung" and cloud == "gcp"  # AWS's end of a hung machine is its reaper's: R3
    here.world.computers.seconds = dice.choice((60.0, 0.5 * hours * 3600, 30 * hours * 3600))
    left = threading.Event()
    ctx = here.context(detach=left, checkpoint=lambda name: name == "launch:after" and fate != "followed" and left.set())
    submit(ctx, loaded, plan, SETTINGS, named=True)
    here.world.sleep(60 * 3600.0)
    return here.world.ledger.usd(), chosen.cost.worst_case, f"{cloud} {machine} {market} {job['dataset']}, {fate}"
