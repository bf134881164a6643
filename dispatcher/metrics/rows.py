"""Curves in JSON lines, CSV, and Hugging Face trainer states."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dispatcher.metrics.series import Point, Series, series_of

AXES = ("step", "global_step", "iteration", "iter", "epoch")
"""What rows are counted by, best first; their own number where none of these is there."""
NOT_CURVES = frozenset({*AXES, "time", "timestamp", "wall_time", "seed", "rank"})
LARGEST_BYTES = 64 << 20


def read_lines(file: Path, source: str) -> list[Series]:
    """Of a file of JSON objects, a line each."""
    return curves(_objects(file), source)


def read_table(file: Path, source: str) -> list[Series]:
    """Of a file of comma-separated values with a head."""
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        return curves(csv.DictReader(stream), source)


def read_trainer_state(file: Path, source: str) -> list[Series]:
    """Of `trainer_state.json`, whose log_history has a row for each time the trainer logged."""
    state = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    history = state.get("log_history") if isinstance(state, dict) else None
    return curves((row for row in history if isinstance(row, dict)), source) if isinstance(history, list) else []


def curves(rows: Iterable[Mapping[str, Any]], source: str) -> list[Series]:
    """A curve for each column that holds numbers."""
    found: dict[str, list[Point]] = {}
    axis = ""
    for number, row in enumerate(rows):
        axis = axis or next((name for name in AXES if _number(row.get(name)) is not None), "row")
        x = float(number) if axis == "row" else _number(row.get(axis))
        if x is None:
            continue
        for name, value in row.items():
            y = _number(value) if isinstance(name, str) and name.lower() not in NOT_CURVES else None
            if y is not None:
                found.setdefault(name, []).append((x, y))
    made = (series_of(name, source, axis, points) for name, points in found.items())
    return [one for one in made if one]


def _objects(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue  # the line that was being written when the job ended
            if isinstance(row, dict):
                yield row


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
