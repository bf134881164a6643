"""A copy of a job's folder, to be spoilt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dispatcher import paths
from dispatcher.errors import HostError
from dispatcher.units import show_bytes

LEFT_OUT = frozenset({".git", ".hg", ".svn", "__pycache__", "node_modules", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
LARGEST_BYTES = 20e9
"""A larger folder is not copied: reading it would take longer than the probe."""
ROOM = 0.5
"""No more of the free disk than this share is taken."""


@contextmanager
def scratch(workdir: Path, empty: Iterable[str] = ()) -> Iterator[tuple[Path, Path]]:
    """(a folder of ours, the copy in it) for as long as it is needed. Folders in `empty` are there, without what is in them.

    Raises HostError where the folder is too large to be copied.
    """
    base = paths.cache_dir() / "probes"
    _forget_old(base)
    home = base / str(os.getpid())
    shutil.rmtree(home, ignore_errors=True)
    try:
        copy = home / "work"
        copy.mkdir(mode=0o700, parents=True)
        try:
            _copy(workdir.resolve(), copy, frozenset(path.strip("/") for path in empty))
        except OSError as error:
            raise HostError(f"The folder {workdir} cannot be copied: {error.strerror}", fix="Free disk space there.") from error
        yield home, copy
    finally:
        _remove(home)


def _copy(source: Path, target: Path, empty: frozenset[str]) -> None:
    left = min(LARGEST_BYTES, ROOM * shutil.disk_usage(target).free)
    most = left
    for folder, names, files in os.walk(source):
        here = Path(folder)
        there = target / here.relative_to(source)
        for name in list(names):
            inner = here / name
            path = inner.relative_to(source).as_posix()
            if inner.is_symlink():
                _link(inner, there / name, source, target)
            elif (inner / "pyvenv.cfg").is_file() or (inner / "conda-meta").is_dir():
                (there / name).symlink_to(inner)  # an environment knows its place: it is used from there
            elif name not in LEFT_OUT:
                (there / name).mkdir(mode=0o700)
            if path in empty or name in LEFT_OUT or (there / name).is_symlink():
                names.remove(name)
        for name in files:
            one = here / name
            if one.is_symlink():
                _link(one, there / name, source, target)
            elif one.is_file() and one.relative_to(source).as_posix() not in empty:
                left -= one.stat().st_size
                if left < 0:
                    raise HostError(
                        f"The folder {source} holds more than {show_bytes(most)}, too much for a scratch copy",
                        fix="Keep data outside of workdir, and name their place in dataset.path.",
                    )
                shutil.copy2(one, there / name)


def _link(link: Path, there: Path, source: Path, target: Path) -> None:
    """A link within the folder leads to the copy, any other to where it led."""
    leads = Path(os.path.normpath(link.parent / link.readlink()))
    there.symlink_to(target / leads.relative_to(source) if leads.is_relative_to(source) else leads)


def _remove(home: Path) -> None:
    """All of it; what a job made unreadable is made readable first."""
    with suppress(OSError):
        for folder, _, _ in os.walk(home):
            os.chmod(folder, 0o700)  # noqa: PTH101 - a job's names may be no text
    shutil.rmtree(home, ignore_errors=True)


def _forget_old(base: Path) -> None:
    """What a probe left whose mlrun was killed."""
    with suppress(OSError):
        for one in base.iterdir():
            if one.name.isdigit() and not _alive(int(one.name)):
                _remove(one)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
