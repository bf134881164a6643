"""Findings on mlrun itself: Python, folders, database, clock, terminal."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from dispatcher.doctor.check import Check
from dispatcher.units import show_seconds

OLDEST_PYTHON = (3, 11)
CLOCK_SLACK = 300.0
"""Files may be this many seconds ahead: file servers have clocks of their own."""


def python_check(version: Sequence[int]) -> Check:
    """mlrun's own Python."""
    name = ".".join(str(part) for part in version[:3])
    if tuple(version[:2]) < OLDEST_PYTHON:
        return Check(
            "mlrun", "error", f"mlrun runs on Python {name}; it needs 3.11 or later.", "install it with a newer Python"
        )
    return Check("mlrun", "ok", f"mlrun runs on Python {name}.")


def folder_check(folder: Path) -> Check:
    """Whether runs can be recorded: tries to write."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"x")
    except OSError as error:
        message = f"Nothing can be written to {place}: {error.strerror}."
        return Check("folder", "error", message, f"make {place} writable, or set DISPATCHER_HOME to a folder that is")
    return Check("folder", "ok", f"Runs are recorded in {folder}.")


def database_check(file: Path) -> Check:
    """Whether the record of runs opens and is whole; it is only read."""
    if not file.exists():
        return Check("database", "ok", "No runs recorded yet.")
    try:
        found = _quick_check(file)
    except sqlite3.OperationalError as error:
        return Check("database", "warning", f"{file} cannot be read now: {error}.", "look again when no mlrun is at work")
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        fix = f"mlrun moves it aside and starts a new one; the backups beside it: ls {file}*"
        return Check("database", "error", f"{file} is damaged: {found}.", fix)
    return Check("database", "ok", "The record of runs is whole.")


def clock_check(now: float, newest: float) -> Check:
    """Deadlines need a clock that is not behind: no file of ours can come from the future."""
    behind = newest - now
    if behind > CLOCK_SLACK:
        message = f"The clock is behind by {show_seconds(behind)} at least: files here are newer than now."
        return Check("clock", "warning", message, "sudo timedatectl set-ntp true")
    return Check("clock", "ok", f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(now))} UTC.")


def encoding_check(encoding: str | None) -> Check:
    """Whether the terminal shows what the screens use."""
    if (encoding or "").lower().replace("-", "").replace("_", "") == "utf8":
        return Check("terminal", "ok", "The terminal takes UTF-8.")
    return Check(
        "terminal",
        "note",
        f"The terminal takes {encoding or 'no known encoding'}; lines are drawn in ASCII.",
        "export LANG=C.UTF-8",
    )


def newest_file(folders: Sequence[Path]) -> float:
    """When the newest file directly in these folders was written, in Unix seconds; 0 without any."""
    files = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)


def _quick_check(file: Path) -> str:
    connection = sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=1.0)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    finally:
        connection.close()
