"""The constants of the formulas, read from their tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from dispatcher import paths

TABLES = ("constants-neural.csv", "constants-vision.csv", "constants-tables.csv")


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
    return {found.name: found for table in TABLES for found in _read(table)}


def _read(table: str) -> list[Constant]:
    with (paths.tables_dir() / table).open(newline="", encoding="utf-8") as file:
        return [_constant(row) for row in csv.DictReader(file)]


def _constant(row: dict[str, str]) -> Constant:
    return Constant(row["name"], float(row["value"]), row["unit"], row["meaning"], row["source"], row["rows"])


@cache
def constant(name: str) -> float:
    """The value of a constant; a KeyError is a spelling mistake in our own code."""
    return constants()[name].value
