"""R19: clocks that jump and computers that sleep move no deadline, and make nobody believe that a machine is gone."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from functools import partial
from unittest import mock
from zoneinfo import ZoneInfo

from dispatcher.backends.base import Terms
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import HostUnreachable
from tests.guarantees.row import Row, Size
from tests.guarantees.sim.driver import DEADLINE, GRACE, backend_of
from tests.guarantees.sim.inside import LAUNCH, Inside, inside

TARGET = "clock steps +-24 h, suspend 12 h, DST: deadline error <= 60 s"
DAY = 86400.0
STEPS = {"24 h on": DAY, "24 h back": -DAY, "1 h on": 3600.0, "1 h back": -3600.0}
AT = ("provision:made", "connect:after", "launch:after")
DST = datetime(2027, 3, 14, 1, 30, tzinfo=ZoneInfo("America/New_York")).timestamp()
"""Half an hour before New York's clocks go forward."""


class Wrong:
    """How far this computer's clock is off."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, _true: float) -> float:
        return self.seconds


def measure(size: Size = Size.WHOLE) -> Row:
    errors: dict[str, float] = {}
    wrong: list[str] = []
    for cloud in ("aws", "gcp"):
        off = Wrong()
        with inside(cloud, off) as here:
            for name, step in list(STEPS.items())[: size.of(None, 2, 1)]:
                for at in AT[:: size.of(1, 2, 2)]:
                    errors[f"{cloud} {name} at {at}"] = worst_error(here, at, partial(setattr, off, "seconds", step))
                    off.seconds = 0.0
                wrong += believed(here, off, step) if cloud == "aws" else []
            errors[f"{cloud} asleep for 12 h"] = worst_error(here, "launch:after", lambda: here.world.sleep(12 * 3600.0))
            here.world.clock.advance(max(0.0, DST - here.world.now()))
            errors[f"{cloud} summer time"] = worst_error(here, "launch:after", lambda: None)
    most = max(errors.values())
    late = [f"{name}: {seconds:.0f} s" for name, seconds in errors.items() if seconds > 60]
    measured = f"{len(errors)} deadlines, at most {most:.0f} s off; {len(wrong)} machines believed gone too early"
    return Row("R19", TARGET, "; ".join([measured, *late[:3], *wrong[:3]]), not late and not wrong)


def worst_error(here: Inside, at: str, happens: Callable[[], object]) -> float:
    """Seconds between where an endless job or its machine should end at the latest, and where they do."""
    here.reset()
    here.world.computers.seconds = 100 * DAY
    ctx = here.context(checkpoint=lambda name: name == at and happens())
    here.run(ctx=ctx)
    here.world.sleep(3 * DAY)
    machine = next(line for line in here.world.ledger.lines if line.kind == "instance")
    jobs = [job for one in here.world.computers.known.values() for job in one.jobs.values()]
    if not jobs:
        return abs((machine.ended or 0.0) - machine.began - (DEADLINE + GRACE))
    ends = [job.ended if job.ended is not None else machine.ended for job in jobs]
    return abs(max(one or here.world.now() for one in ends) - machine.began - DEADLINE)


def believed(here: Inside, off: Wrong, step: float) -> list[str]:
    """mlrun is killed before it hears of its launch, which takes effect two minutes later: until then nobody may hear no."""
    here.reset()
    here.world.faults.add(LAUNCH["aws"], when="late", seconds=120.0)
    label = Label(new_run_id())
    terms = Terms(keys=here.folder / "runs" / label.run, client="somebody")
    with mock.patch.object(here.clock, "sleep", side_effect=Killed), contextlib.suppress(Killed):
        here.backend.provision(here.offer, label, terms)
    off.seconds = step
    asked = backend_of("aws", here.folder / "runs", here.clock)
    try:
        found = asked.find(label)
    except HostUnreachable:
        found = label
    here.world.sleep(300.0)
    off.seconds = 0.0
    return [] if found is not None or not here.world.left() else [f"clock {step:+.0f} s: called gone before it came"]


class Killed(BaseException):
    """As if by SIGKILL: nobody catches it."""
