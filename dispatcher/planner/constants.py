"""The constants of the formulas, read from their tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from dispatcher.catalog.tables import CatalogDamaged, figure, number, path, read_table

TABLES = ("constants-neural", "constants-vision", "constants-tables")
_WORDS = ("name", "unit", "meaning", "source", "rows")


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
    return [_constant(row, table) for row in read_table(table, (*_WORDS, "value"))]


def _constant(row: dict[str, str], table: str) -> Constant:
    prior, spread = (number(row, column, table) or 0.0 if column in row else 0.0 for column in ("prior", "spread"))
    return Constant(value=figure(row, "value", table), prior=prior, spread=spread, **{word: row[word] for word in _WORDS})


@cache
def constant(name: str) -> float:
    """The value of a constant. Raises CatalogDamaged where no table has it."""
    try:
        return constants()[name].value
    except KeyError:
        raise CatalogDamaged(path("constants-*"), f"none of these tables has a line of {name!r}") from None
