"""The constants of the formulas, read from their tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from dispatcher import paths

TABLES = ("constants-neural.csv", "constants-vision.csv", "constants-tables.csv")


@dataclass(frozen=True, slots=True)
class Constant:
    """One constant: its value and unit, what it means, where it is from, and which rows fixed it.

    `prior` is what it is without any row of ours, and `spread` how far its logarithm may be off; 0 where it is not fitted.
    """

    name: str
    value: float
    unit: str
    meaning: str
    source: str
    rows: str
    prior: float = 0.0
    spread: float = 0.0


@cache
def constants() -> dict[str, Constant]:
    """Every constant by its name."""
    return {found.name: found for table in TABLES for found in _read(table)}


def _read(table: str) -> list[Constant]:
    with (paths.tables_dir() / table).open(newline="", encoding="utf-8") as file:
        return [_constant(row) for row in csv.DictReader(file)]


def _constant(row: dict[str, str]) -> Constant:
    prior, spread = float(row.get("prior") or 0), float(row.get("spread") or 0)
    return Constant(row["name"], float(row["value"]), row["unit"], row["meaning"], row["source"], row["rows"], prior, spread)


@cache
def constant(name: str) -> float:
    """The value of a constant; a KeyError is a spelling mistake in our own code."""
    return constants()[name].value
