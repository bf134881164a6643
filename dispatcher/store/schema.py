"""The store's tables, as numbered migrations."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE run (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, submitted REAL NOT NULL, started REAL, ended REAL,
        cost REAL NOT NULL DEFAULT 0, document TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX run_by_time ON run (submitted DESC, id);
    CREATE INDEX run_by_name ON run (name, submitted DESC);
    CREATE INDEX run_open ON run (submitted) WHERE state != 'finished';
    CREATE TABLE attempt (
        label TEXT PRIMARY KEY, run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE, place TEXT NOT NULL, machine TEXT,
        launched REAL, ended REAL
    ) WITHOUT ROWID;
    CREATE INDEX attempt_by_run ON attempt (run);
    CREATE TABLE intent (
        id INTEGER PRIMARY KEY, label TEXT NOT NULL, kind TEXT NOT NULL, request TEXT NOT NULL, written REAL NOT NULL,
        settled REAL, answer TEXT
    );
    CREATE INDEX intent_unsettled ON intent (written) WHERE settled IS NULL;
    CREATE INDEX intent_by_label ON intent (label);
    CREATE TABLE transition (
        id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE, time REAL NOT NULL,
        before TEXT, after TEXT NOT NULL, doubt TEXT
    );
    CREATE INDEX transition_by_run ON transition (run);
    CREATE TABLE lease (run TEXT PRIMARY KEY, pid INTEGER NOT NULL, boot TEXT NOT NULL, born TEXT NOT NULL, taken REAL NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE wish (run TEXT PRIMARY KEY, what TEXT NOT NULL, time REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE observation (
        run TEXT NOT NULL, quantity TEXT NOT NULL, subject TEXT NOT NULL, method TEXT NOT NULL, device TEXT NOT NULL,
        model TEXT NOT NULL, sizes TEXT NOT NULL, predicted REAL NOT NULL, told REAL NOT NULL, measured REAL NOT NULL,
        time REAL NOT NULL, PRIMARY KEY (run, quantity)
    ) WITHOUT ROWID;
    CREATE INDEX observation_by_time ON observation (time DESC);
    """,
)
"""Migration n brings a database from version n to n + 1. None is ever changed once it was released."""


def version(db: sqlite3.Connection) -> int:
    """How many migrations this database has had."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, backup: Path, migrations: Sequence[str] = MIGRATIONS) -> Path | None:
    """Apply what is missing, each migration whole or not at all. Returns the copy made before, None for a new database."""
    first = version(db)
    if first >= len(migrations):
        return None
    copied = _copy(db, backup) if first else None
    for number in range(first, len(migrations)):
        _apply(db, number, migrations[number])
    return copied


def _apply(db: sqlite3.Connection, number: int, script: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        if version(db) == number:  # another mlrun may have been quicker
            for statement in filter(str.strip, script.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number + 1}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _copy(db: sqlite3.Connection, target: Path) -> Path:
    target.touch(mode=0o600)
    with closing(sqlite3.connect(target)) as copy:
        db.backup(copy)
    return target
