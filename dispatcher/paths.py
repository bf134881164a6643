"""Where files live: settings, runs, caches, templates."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import platformdirs

APP = "dispatcher"
PACKAGE = Path(__file__).resolve().parent


def write_private(file: Path, data: str | bytes) -> None:
    """Write a file that nobody but its owner may read."""
    with open(file, "wb", opener=private) as stream:
        stream.write(data.encode("utf-8") if isinstance(data, str) else data)


def private(file: str, flags: int) -> int:
    """Open as `open` wishes, for the owner alone, whoever could read it before."""
    handle = os.open(file, flags, 0o600)
    with suppress(OSError):  # a pipe or a terminal that somebody named
        os.fchmod(handle, 0o600)
    return handle


def config_dir() -> Path:
    """The folder of config.yaml."""
    return _home("config") or Path(_platform().user_config_path)


def data_dir() -> Path:
    """The folder of the database and the runs."""
    return _home("data") or Path(_platform().user_data_path)


def cache_dir() -> Path:
    """The folder of what can be measured or fetched again."""
    return _home("cache") or Path(_platform().user_cache_path)


def runs_dir() -> Path:
    """The folder that holds one folder per run."""
    return data_dir() / "runs"


def database() -> Path:
    """The store's file."""
    return data_dir() / "runs.sqlite3"


def templates_dir() -> Path:
    """`templates/`: inside the wheel, or beside the package in a checkout."""
    shipped = PACKAGE / "templates"
    return shipped if shipped.is_dir() else PACKAGE.parent / "templates"


def tables_dir() -> Path:
    """The embedded tables of facts."""
    return PACKAGE / "data"


def _home(kind: str) -> Path | None:
    """DISPATCHER_HOME keeps everything in one folder: for tests, and for computers without a usable home."""
    home = os.environ.get("DISPATCHER_HOME")
    return Path(home).expanduser() / kind if home else None


def _platform() -> platformdirs.PlatformDirs:
    import platformdirs

    return platformdirs.PlatformDirs(APP, appauthor=False)
