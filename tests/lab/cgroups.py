"""A cgroup of its own for each host: systemds that share one take each other's services for theirs."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


@cache
def roots() -> tuple[Path, ...]:
    """Where systemd keeps its own: the second version, and of the first the hierarchy by the name of systemd."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(point))
    return tuple(found)


def entering(name: str) -> list[str]:
    """Before what is to run in the cgroup of this name, which is made."""
    made = [root / name for root in roots()]
    for folder in made:
        folder.mkdir(exist_ok=True)
    return ["/bin/sh", "-c", ENTER, "sh", *map(str, made), "--"]


def found(prefix: str) -> list[Path]:
    """Those of hosts whose names begin like this."""
    return [folder for root in roots() for folder in sorted(root.glob(f"{prefix}*"))]


def remove(name: str, seconds: float = 5.0) -> None:
    """With all below it, once the last process has left."""
    until = time.monotonic() + seconds
    while [root for root in roots() if not _gone(root / name)] and time.monotonic() < until:
        time.sleep(0.02)


def _gone(folder: Path) -> bool:
    for below in sorted((one for one in folder.rglob("*") if one.is_dir()), reverse=True):
        _rmdir(below)
    return _rmdir(folder)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return not folder.exists()
    return True
