"""What finished runs taught, read without disturbing anything."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from dispatcher.domain.observation import Key, Observation

MOST = 400
"""Observations that a plan looks at: the newest."""
COLUMNS = "run, quantity, subject, method, device, model, sizes, predicted, told, measured, time"
OBSERVE = f"INSERT OR IGNORE INTO observation ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - a constant
NEWEST = f"SELECT {COLUMNS} FROM observation ORDER BY time DESC LIMIT ?"  # noqa: S608 - a constant
SECONDS_TO_WAIT = 0.05
"""A plan does not wait for what it could do without."""


def observations(path: Path) -> list[Observation]:
    """The newest observations in the store at `path`, newest first; none where it is missing, older or cannot be read."""
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SECONDS_TO_WAIT)) as db:
            return [from_row(row) for row in db.execute(NEWEST, (MOST,))]
    except (sqlite3.Error, ValueError):
        return []


def open_documents(path: Path) -> list[str]:
    """The documents of runs that are not finished, in the store at `path`; none where it cannot be read at once."""
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SECONDS_TO_WAIT)) as db:
            return [str(row[0]) for row in db.execute("SELECT document FROM run WHERE state != 'finished'")]
    except (sqlite3.Error, ValueError):
        return []


def to_row(one: Observation) -> tuple[Any, ...]:
    """The table's row of an observation."""
    key = one.key
    about = (one.run, one.quantity, key.subject, key.method, key.device, one.model, json.dumps(one.sizes))
    return (*about, one.predicted, one.told, one.measured, one.time)


def from_row(row: tuple[Any, ...]) -> Observation:
    """The observation that `to_row` wrote."""
    run, quantity, subject, method, device, model, sizes, predicted, told, measured, time = row
    return Observation(
        run, quantity, Key(subject, method, device), predicted, measured, time, model, told=told, sizes=json.loads(sizes)
    )
