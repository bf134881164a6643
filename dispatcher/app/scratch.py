"""A copy of a job's folder, to be spoilt."""

from __future__ import annotations

import errno
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
    """(a folder of ours, the copy in it) for as long as it is needed. Folders in `empty` are the copy's own, and empty.

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
            _copy(workdir.resolve(), copy, frozenset(os.path.normpath(path).strip("/") for path in empty))
        except OSError as error:
            raise _uncopied(workdir, base, error) from error
        yield home, copy
    finally:
        _remove(home)


def _copy(source: Path, target: Path, empty: frozenset[str]) -> None:
    left = min(LARGEST_BYTES, ROOM * shutil.disk_usage(target).free)
    most = left
    for folder, names, files in os.walk(source):
        here = Path(folder)
        there = target / here.relative_to(source)
        names[:] = [name for name in names if _enter(here / name, there / name, source, target, empty)]
        for name in files:
            one = here / name
            if one.relative_to(source).as_posix() in empty:
                if one.is_symlink() and not one.exists():
                    (there / name).mkdir(mode=0o700)  # it leads to a disk that is away
            elif one.is_symlink():
                _link(one, there / name, source, target)
            elif one.is_file():
                left -= one.stat().st_size
                if left < 0:
                    raise HostError(
                        f"The folder {source} holds more than {show_bytes(most)}, too much for a scratch copy",
                        fix="Keep data outside of workdir, and name their place in dataset.path.",
                    )
                shutil.copy2(one, there / name)


def _enter(inner: Path, there: Path, source: Path, target: Path, empty: frozenset[str]) -> bool:
    """Make a folder's place in the copy; whether what is in it is to be copied."""
    if inner.is_symlink() or inner.relative_to(source).as_posix() in empty:
        _linked(inner, there, source, target, empty)
    elif (inner / "pyvenv.cfg").is_file() or (inner / "conda-meta").is_dir():
        there.symlink_to(inner)  # an environment knows its place: it is used from there
    elif inner.name not in LEFT_OUT:
        there.mkdir(mode=0o700)
        return True
    return False


def _linked(folder: Path, there: Path, source: Path, target: Path, empty: frozenset[str]) -> None:
    """A link to a folder; where one to be empty lies behind it, a folder of ours, with links to the rest."""
    path = there.relative_to(target).as_posix()
    if path in empty:
        there.mkdir(mode=0o700)
    elif any(one.startswith(f"{path}/") for one in empty):
        there.mkdir(mode=0o700)
        for inner in folder.iterdir():
            if inner.is_dir():
                _linked(inner, there / inner.name, source, target, empty)
            elif f"{path}/{inner.name}" not in empty:
                (there / inner.name).symlink_to(inner.resolve())
    elif folder.is_symlink():
        _link(folder, there, source, target)
    else:
        there.symlink_to(folder.resolve())


def _uncopied(workdir: Path, base: Path, error: OSError) -> HostError:
    number = error.errno
    why = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
    if number in (errno.ENOSPC, errno.EDQUOT):
        fix = f"Free disk space for {base}, or move the cache with XDG_CACHE_HOME."
    elif number in (errno.EACCES, errno.EPERM):
        fix = "See that you may read it, or move it out of workdir."
    else:
        fix = "Correct that, or probe without it: move it out of workdir."
    return HostError(f"The folder {workdir} cannot be copied: {why}", fix=fix)


def _link(link: Path, there: Path, source: Path, target: Path) -> None:
    """A link within the folder leads to the copy, any other to where it led; the folder may have other names too."""
    named = Path(os.path.normpath(link.parent / link.readlink()))
    inside = (one for one in (named, named.parent.resolve() / named.name) if one.is_relative_to(source))
    leads = next(inside, None)
    there.symlink_to(target / leads.relative_to(source) if leads else named)


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
