"""Reading the embedded tables, and saying which one is damaged."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dispatcher.errors import MlrunError
from dispatcher.paths import tables_dir

REINSTALL = "pip install --force-reinstall mlrun-dispatcher"


class CatalogDamaged(MlrunError):
    """A table of the catalog is missing, cut short or not what its heading says."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"The catalog's file {file} is damaged: {reason}. Nothing was planned or started", fix=REINSTALL)
        self.file = file


def read_table(name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a table that must have these columns. Raises CatalogDamaged."""
    lines = read_lines(name)
    heading = next(lines, [])
    if missing := [column for column in columns if column not in heading]:
        raise CatalogDamaged(path(name), f"it has no column {missing[0]!r}")
    rows = [dict(zip(heading, line, strict=False)) for line in lines]
    return whole(name, rows, len(heading))


def keyed(name: str, columns: tuple[str, ...], keys: int = 1) -> tuple[list[str], dict[tuple[str, ...], str]]:
    """A table's heading, and its lines by their first cells: split with `cut` only when they are asked for.

    For large tables of which few rows are needed; they have no quotation marks. Raises CatalogDamaged.
    """
    first, *lines = read_text(name).splitlines() or [""]
    heading = first.split(",")
    if missing := [column for column in columns if column not in heading]:
        raise CatalogDamaged(path(name), f"it has no column {missing[0]!r}")
    if not lines:
        raise CatalogDamaged(path(name), "it has no rows")
    found = {}
    for number, line in enumerate(lines, start=2):
        if line.count(",") != len(heading) - 1 or '"' in line:
            raise CatalogDamaged(path(name), f"line {number} has {line.count(',') + 1} of {len(heading)} cells")
        found[tuple(line.split(",", keys)[:keys])] = line
    return heading, found


def cut(heading: list[str], line: str) -> dict[str, str]:
    """A line of a keyed table as a row."""
    return dict(zip(heading, line.split(","), strict=True))


def whole(name: str, rows: list[dict[str, str]], width: int) -> list[dict[str, str]]:
    """The same rows, if there are any and none is cut short."""
    if not rows:
        raise CatalogDamaged(path(name), "it has no rows")
    for number, row in enumerate(rows, start=2):
        if len(row) != width:
            raise CatalogDamaged(path(name), f"line {number} has {len(row)} of {width} cells")
    return rows


def read_lines(name: str) -> Iterator[list[str]]:
    """The lines of a table, split into cells. Raises CatalogDamaged."""
    return _split(name, read_text(name))


def read_text(name: str) -> str:
    """A table as it is written. Raises CatalogDamaged."""
    try:
        return path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogDamaged(path(name), _reason(error)) from error


def path(name: str) -> Path:
    """Where a table lies."""
    return tables_dir() / f"{name}.csv"


def number(row: dict[str, str], column: str, name: str) -> float | None:
    """A cell's figure; None where it is blank. Raises CatalogDamaged."""
    cell = row[column]
    if not cell:
        return None
    try:
        found = float(cell)
    except ValueError as error:
        raise _no_number(row, column, name) from error
    if not math.isfinite(found):
        raise _no_number(row, column, name)
    return found


def figure(row: dict[str, str], column: str, name: str) -> float:
    """A cell's figure that may not be blank. Raises CatalogDamaged."""
    found = number(row, column, name)
    if found is None:
        raise CatalogDamaged(path(name), f"{_line(row, name)} has nothing under {column!r}")
    return found


def unknown(row: dict[str, str], column: str, name: str) -> CatalogDamaged:
    """The error for a cell that names what no table has."""
    return CatalogDamaged(path(name), f"{_line(row, name)} names {row[column]!r} as its {column}, which is nowhere explained")


def _no_number(row: dict[str, str], column: str, name: str) -> CatalogDamaged:
    return CatalogDamaged(path(name), f"{_line(row, name)}: {row[column]!r} under {column!r} is not a number")


def _line(row: dict[str, str], name: str) -> str:
    """Where a row stands in its table: looked up only once something is wrong with it."""
    lines = read_lines(name)
    heading = next(lines, [])
    place = (number for number, line in enumerate(lines, start=2) if dict(zip(heading, line, strict=False)) == row)
    return f"line {next(place, '?')}"


@cache
def sources() -> dict[str, tuple[str, str]]:
    """What each source's short name stands for: its description and its date."""
    rows = read_table("catalog-sources", ("id", "source", "as_of"))
    return {row["id"]: (row["source"], row["as_of"]) for row in rows}


def _split(name: str, text: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(text.splitlines(), strict=True)
    except csv.Error as error:
        raise CatalogDamaged(path(name), str(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it is missing"
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
