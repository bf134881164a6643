"""Planning in process: many offers, one estimate, and the wheel's size."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from measure import PYTHON, Row, middle

from dispatcher import catalog
from dispatcher.app.plans import summary
from dispatcher.app.world import world_for
from dispatcher.domain.plan import Offer
from dispatcher.jobfile.load import LoadedJob, load
from dispatcher.jobfile.settings import Settings
from dispatcher.planner import devices
from dispatcher.planner.assess import assess
from dispatcher.planner.make import plan_all

FEW, MANY = 100, 10_000
ESTIMATES = 50
ROOT = Path(__file__).resolve().parents[2]


def planner_rows(work: Path, turns: int) -> list[Row]:
    """Many offers beside few, one estimate, and the built wheel."""
    loaded = load(ROOT / "configs/gpt.yaml")
    offers = list(catalog.offers())
    few, many = ([offers[i * len(offers) // count] for i in range(min(count, len(offers)))] for count in (FEW, MANY))
    short, long = _alternating(turns, lambda: _plan(loaded, few), lambda: _plan(loaded, many))
    device = devices.named("A100-80GB")
    (each,) = _alternating(turns, lambda: [assess(loaded.config, device) for _ in range(ESTIMATES)])
    return [
        Row(f"plan, {len(many):,} offers for {FEW}", _ms(long), _ms(short), (long - short) * 1e3, "more, ms", 50),
        Row("one estimate", _ms(each / ESTIMATES), "–", each / ESTIMATES * 1e3, "ms", 2),
        _wheel(work),
    ]


def _plan(loaded: LoadedJob, offers: list[Offer]) -> None:
    world = replace(world_for(loaded, Settings(), None), offers=offers)
    plan_all(loaded.config, summary(loaded), world, bound=loaded.bound)


def _wheel(work: Path) -> Row:
    work.mkdir(parents=True, exist_ok=True)
    build = [PYTHON, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = work.glob("*.whl")
    size = wheel.stat().st_size / 1e6
    return Row("the wheel, with its tables", f"{size:.2f} MB", "–", size, "MB", 3)


def _alternating(turns: int, *tasks: Callable[[], object]) -> list[float]:
    """Each task's median CPU seconds, taken in turns; the first turn is warmth."""
    taken: list[list[float]] = [[] for _ in tasks]
    for turn in range(turns + 1):
        for spent, task in zip(taken, tasks, strict=True):
            began = time.process_time()
            task()
            if turn:
                spent.append(time.process_time() - began)
    return [middle(spent) for spent in taken]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
