"""Cells of crash points and returns, each place in a process of its own, two at a time."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.guarantees.row import Size
from tests.guarantees.sim.cells import RETURNS, ROOT, Place, cell, hung_cell, place

PLACES = {"crashed": ("aws", "gcp", "ssh", "local"), "dumb": ("aws", "gcp"), "hung": ("aws", "gcp"), "guarded": ("aws",)}
WITHIN_THE_HOUR = {"at once": 0.0, "after a minute": 60.0, "after an hour": 3600.0}
STEPS = {"crashed": (1, 1, 8), "dumb": (1, 5, 9), "hung": (1, 11, 17), "guarded": (1, 11, 17)}
"""Of so many effects one is tried, in each size."""
ARMED = "aws CreateSchedule mlrun-end"
LIGHT = ("file copy", ".run.json.part")
"""What recovery does without, unless the database is lost as well: only the whole form stands before it."""


@dataclass
class Found:
    """Cells that were tried, the effects before which a driver was killed, and what went wrong."""

    cells: int = 0
    effects: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@cache
def tried(kind: str, size: Size) -> dict[str, Found]:
    """Every cell of a kind (crashed, dumb, hung or guarded), by place."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(PLACES[kind], pool.map(lambda place: _measured(kind, size, place), PLACES[kind]), strict=True))


def _measured(kind: str, size: Size, place: str) -> Found:
    argv = [sys.executable, "-m", "tests.guarantees.sim.matrix", kind, size.value, place]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the matrix {kind} was not finished in {place}")
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def total(found: dict[str, Found]) -> tuple[int, int, list[str]]:
    """Cells, effects, and what went wrong with its place."""
    wrong = [f"{where} {one}" for where, found_there in found.items() for one in found_there.wrong]
    return sum(one.cells for one in found.values()), sum(len(one.effects) for one in found.values()), wrong


def cells(kind: str, effects: list[str], size: Size) -> Iterator[tuple[int, str, float | None]]:
    """(effect, return, pause) of every cell; other forms than the whole take every so many effects, and the returns in turn."""
    returns = {"crashed": RETURNS, "dumb": WITHIN_THE_HOUR}.get(kind, {"never": None})
    first = 1 + max((number for number, one in enumerate(effects, 1) if one == ARMED), default=0) if kind == "guarded" else 1
    points = [number for number, one in enumerate(effects, 1) if number >= first and (size.whole or not one.endswith(LIGHT))]
    if size.whole:
        return ((point, name, pause) for point, (name, pause) in itertools.product(points, returns.items()))
    step = size.of(*STEPS[kind])
    turns = zip(points[::step], itertools.cycle(returns.items()), strict=False)
    return ((point, name, pause) for point, (name, pause) in turns)


def one_cell(here: Place, kind: str, point: int, pause: float | None) -> list[str]:
    if kind in ("hung", "guarded"):
        return hung_cell(here, point)
    return cell(here, point, pause, dumb=kind == "dumb")


def main(kind: str, how: str, cloud: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mlrun-sim-") as folder, place(cloud, Path(folder)) as here:
        here.guarded = cloud == "aws" and kind in ("crashed", "guarded")
        whole = here.drive("execute", here.fresh())
        assert whole.answer["state"] == "finished", whole
        found = Found(effects=whole.effects)
        for point, name, pause in cells(kind, whole.effects, Size(how)):
            found.cells += 1
            for one in one_cell(here, kind, point, pause):
                found.wrong.append(f"killed before {point} ({whole.effects[point - 1]}), back {name}: {one}")
    print(json.dumps(vars(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
