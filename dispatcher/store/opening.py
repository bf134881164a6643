"""Opening the database file: its folder, its health, its version."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dispatcher.errors import HostError, RecordDamaged, RecordUnusable
from dispatcher.store.records import from_document
from dispatcher.store.schema import MIGRATIONS, migrate, version

BUSY_SECONDS = 10.0
NETWORK_FILESYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "smb2", "afpfs", "afs", "9p", "webdav", "davfs", "fuse.sshfs", "lustre", "beegfs"}
)
"""Where SQLite's write-ahead log is not safe: its readers must share memory, https://sqlite.org/wal.html (2026-11)."""
NOT_TEXT = "Could not decode"
"""What Python says of a text that SQLite handed out and that is none."""
LEAST_SPACE = 1 << 17
"""Bytes that SQLite needs to begin a write."""
CHECKED_BYTES = 1 << 26
"""Up to this size all of the file is looked at by every command: 48 MB, 10,000 runs, took 0.015 s (2026-11, warm)."""
MOVE_HOME = "Set DISPATCHER_HOME to a folder on this computer's own disk, with space, that you may write to."


def open_database(path: Path, now: float, migrations: Sequence[str] = MIGRATIONS) -> tuple[sqlite3.Connection, list[str]]:
    """The database at `path`, made or migrated as needed, and what the user should be told about it."""
    with saying_why(path):
        _prepare_folder(path)
        warnings = _set_aside_unusable(path, now, len(migrations))
        db = _connect(path)
        try:
            copied = migrate(db, _beside(path, f"before-{len(migrations)}", now), migrations)
        except BaseException:
            db.close()
            raise
    if copied:
        warnings.append(f"The database was brought to version {len(migrations)}; the one before is kept as {copied}")
    return db, warnings


@contextmanager
def saying_why(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the file system, as one sentence with the way out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise damaged(path, str(error)) if NOT_TEXT in str(error) else unusable(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.IntegrityError):
            raise
        raise damaged(path, str(error)) from error
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error


def unusable(path: Path, why: str) -> RecordUnusable:
    """Why the record cannot be used now, and the way out."""
    if _full(path.parent, why):
        fix = f"Free space there ({path.parent}), or set DISPATCHER_HOME to a folder on another disk."
        return RecordUnusable(f"The disk is full: the record of runs, {path}, cannot be written", fix=fix)
    return RecordUnusable(f"The record of runs, {path}, cannot be used: {why}", fix=MOVE_HOME)


def damaged(path: Path, why: str) -> RecordDamaged:
    """The record makes no sense; the next opening looks at all of it."""
    with suppress(OSError):
        _suspect(path).touch()
    again = "Run the command again: the damaged file is moved aside, and a new one begun from the folders of the runs."
    return RecordDamaged(f"The record of runs, {path}, is damaged: {why}", fix=again)


def _full(folder: Path, why: str) -> bool:
    """Whether it is for want of space. SQLite calls some of that an I/O error."""
    if "full" in why or "No space" in why:
        return True
    with suppress(OSError):
        return "I/O" in why and shutil.disk_usage(folder).free < LEAST_SPACE
    return False


def filesystem(path: Path) -> str:
    """The type of the file system that holds `path`, "" where that cannot be told."""
    import psutil

    home = str(path.resolve())
    mounts = [part for part in psutil.disk_partitions(all=True) if _holds(part.mountpoint, home)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""


def _holds(mountpoint: str, path: str) -> bool:
    return path == mountpoint or path.startswith(mountpoint.rstrip("/") + "/")


def _prepare_folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.stat().st_mode & 0o077:
        with suppress(OSError):
            path.parent.chmod(0o700)  # made by somebody else, or by an older umask
    if path.exists():
        return
    if (kind := filesystem(path.parent)) in NETWORK_FILESYSTEMS:
        raise HostError(
            f"{path.parent} is on a network file system ({kind}), where records of runs could be lost", fix=MOVE_HOME
        )
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _set_aside_unusable(path: Path, now: float, newest: int) -> list[str]:
    found = _trouble(path, newest)
    if not found:
        return []
    word, why = found
    kept = _beside(path, word, now)
    for suffix in ("", "-wal", "-shm"):
        if (part := Path(f"{path}{suffix}")).exists():
            part.rename(f"{kept}{suffix}")
    _suspect(path).unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return [f"{why}. It was moved to {kept}, and a new one begun from the folders of the runs"]


def _trouble(path: Path, newest: int) -> tuple[str, str] | None:
    """Why this file cannot be our database, and the word for its new name."""
    try:
        with closing(_connect(path)) as db:
            if version(db) > newest:
                return "newer", f"The record of runs, {path}, was written by a newer mlrun"
            suspect = _suspect(path).exists()
            if (suspect or path.stat().st_size <= CHECKED_BYTES) and not _sound(db, thoroughly=suspect):
                return "corrupt", f"The record of runs, {path}, is damaged"
            _suspect(path).unlink(missing_ok=True)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        return "corrupt", f"The record of runs, {path}, is damaged ({error})"
    return None


def _sound(db: sqlite3.Connection, *, thoroughly: bool) -> bool:
    """Whether the file holds together; thoroughly, also whether its documents are any."""
    try:
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return False
        for (document,) in db.execute("SELECT document FROM run") if thoroughly and version(db) else ():
            from_document(document)
    except HostError:
        return False
    except sqlite3.OperationalError as error:
        if NOT_TEXT in str(error):
            return False
        raise
    return True


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        db.close()
        raise
    return db


def _beside(path: Path, word: str, now: float) -> Path:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
    target = path.with_name(f"{path.name}.{word}-{moment}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{word}-{moment}-{number}")
    return target


def _suspect(path: Path) -> Path:
    return path.with_name(f"{path.name}.suspect")
