"""Cells of crash points and returns, for both clouds at once, each cloud in a process of its own."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.guarantees.sim.cells import RETURNS, ROOT, Place, cell, hung_cell, place

CLOUDS = ("aws", "gcp")
WITHIN_THE_HOUR = {"at once": 0.0, "after a minute": 60.0, "after an hour": 3600.0}
LIGHT = ("file copy",)
"""What recovery does without, unless the database is lost as well: the quick form passes over it."""


@dataclass
class Found:
    """Cells that were tried, the effects before which a driver was killed, and what went wrong."""

    cells: int = 0
    effects: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@cache
def tried(kind: str, *, quick: bool) -> dict[str, Found]:
    """Every cell of a kind (crashed, dumb or hung), by cloud."""
    argv = [sys.executable, "-m", "tests.guarantees.sim.matrix", kind, "quick" if quick else "whole"]
    running = {one: subprocess.Popen([*argv, one], cwd=ROOT, stdout=subprocess.PIPE, text=True) for one in CLOUDS}
    told = {one: process.communicate()[0] for one, process in running.items()}
    if any(process.returncode for process in running.values()):
        raise RuntimeError(f"the matrix {kind} was not finished")
    return {one: Found(**json.loads(text.splitlines()[-1])) for one, text in told.items()}


def total(found: dict[str, Found]) -> tuple[int, int, list[str]]:
    """Cells, effects, and what went wrong with its cloud."""
    wrong = [f"{cloud} {one}" for cloud, found_there in found.items() for one in found_there.wrong]
    return sum(one.cells for one in found.values()), sum(len(one.effects) for one in found.values()), wrong


def cells(kind: str, effects: list[str], *, quick: bool) -> Iterator[tuple[int, str, float | None]]:
    """(effect, return, pause) of every cell; the quick form tries each effect once, and the returns in turn."""
    returns = RETURNS if kind == "crashed" else WITHIN_THE_HOUR if kind == "dumb" else {"never": None}
    points = [number for number, name in enumerate(effects, 1) if not (quick and name in LIGHT)]
    if not quick:
        return ((point, name, pause) for point, (name, pause) in itertools.product(points, returns.items()))
    step = {"crashed": 1, "dumb": 5, "hung": 11}[kind]
    turns = zip(points[::step], itertools.cycle(returns.items()), strict=False)
    return ((point, name, pause) for point, (name, pause) in turns)


def one_cell(here: Place, kind: str, point: int, pause: float | None) -> list[str]:
    if kind == "hung":
        return hung_cell(here, point)
    return cell(here, point, pause, dumb=kind == "dumb")


def main(kind: str, how: str, cloud: str) -> None:
    with tempfile.TemporaryDirectory(prefix="mlrun-sim-") as folder, place(cloud, Path(folder)) as here:
        whole = here.drive("execute", here.fresh())
        assert whole.answer["state"] == "finished", whole
        found = Found(effects=whole.effects)
        for point, name, pause in cells(kind, whole.effects, quick=how == "quick"):
            found.cells += 1
            for one in one_cell(here, kind, point, pause):
                found.wrong.append(f"killed before {point} ({whole.effects[point - 1]}), back {name}: {one}")
    print(json.dumps(vars(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
