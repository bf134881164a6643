"""The fitted and measured constants of the neural formulas, read from one table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from dispatcher import paths

TABLE = "constants-neural.csv"


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant: its value and unit, what it means, where it is from, and which rows fixed it."""

    name: str
    value: float
    unit: str
    meaning: str
    source: str
    rows: str


@cache
def constants() -> dict[str, Constant]:
    """Every constant by its name."""
    with (paths.tables_dir() / TABLE).open(newline="", encoding="utf-8") as file:
        return {row["name"]: Constant(**{**row, "value": float(row["value"])}) for row in csv.DictReader(file)}


@cache
def constant(name: str) -> float:
    """The value of a constant; a KeyError is a spelling mistake in our own code."""
    return constants()[name].value
