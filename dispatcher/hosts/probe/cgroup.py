"""Container limits: what control groups leave of RAM, swap and CPUs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dispatcher.hosts.probe.reading import read_number, read_text

UNLIMITED = 2.0**60
"""v1 writes "no limit" as nearly 2^63 bytes, rounded to pages."""
RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")
"""What a group is charged for and gives back under pressure: file cache and kernel caches (kernel docs, cgroup-v2)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The tightest limits up the tree. Bytes and CPUs; None where there is no limit."""

    memory: float | None = None
    memory_free: float | None = None
    swap: float | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: v1's controllers (empty for v2), where it is, and which part of the tree it shows."""

    controllers: tuple[str, ...]
    point: str
    root: str


def limits(root: Path = Path("/")) -> Limits:
    """The limits on this process."""
    mounts = parse_mounts(read_text(root / "proc/self/mountinfo"))
    groups = parse_groups(read_text(root / "proc/self/cgroup"))
    found = [_v2(level) for level in _levels(root, mounts, groups, "")]
    found += [_v1_memory(level) for level in _levels(root, mounts, groups, "memory")]
    found += [Limits(cpus=_v1_cpus(level)) for level in _levels(root, mounts, groups, "cpu")]
    return tightest(found)


def tightest(found: list[Limits]) -> Limits:
    """The least of each limit: a group is bound by all its parents."""
    return Limits(
        memory=_least([one.memory for one in found]),
        memory_free=_least([one.memory_free for one in found]),
        swap=_least([one.swap for one in found]),
        cpus=_least([one.cpus for one in found]),
    )


def parse_groups(text: str) -> dict[str, str]:
    """Controller → path, from /proc/self/cgroup; v2's under ""."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            paths.update(dict.fromkeys(parts[1].split(","), parts[2]))
    return paths


def parse_mounts(text: str) -> list[Mount]:
    """The control-group mounts in /proc/self/mountinfo."""
    mounts = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not dash or len(fields) < 5 or len(kind) < 3 or not kind[0].startswith("cgroup"):
            continue
        controllers = () if kind[0] == "cgroup2" else tuple(kind[2].split(","))
        mounts.append(Mount(controllers, _unescape(fields[4]), _unescape(fields[3])))
    return mounts


def cpu_quota(text: str) -> float | None:
    """CPUs in v2's cpu.max ("200000 100000" is 2.0, "max 100000" is no limit)."""
    words = text.split()
    if len(words) != 2 or words[0] == "max":
        return None
    quota, period = (_amount(word) for word in words)
    return quota / period if quota and period else None


def reclaimable(stat: str, *, prefix: str = "") -> float:
    """Bytes of cache in a memory.stat; v1 sums a group with its children under `total_`."""
    values = dict(line.split(None, 1) for line in stat.splitlines() if " " in line)
    return sum(_amount(values.get(prefix + key, "0")) or 0.0 for key in RECLAIMABLE)


def _levels(root: Path, mounts: list[Mount], groups: dict[str, str], controller: str) -> Iterator[Path]:
    """The group's folder and its parents' up to the mount."""
    mount = next((one for one in mounts if (controller in one.controllers if controller else not one.controllers)), None)
    if mount is None:
        return
    top = root / mount.point.lstrip("/")
    path = groups.get(controller, "/")
    inside = path[len(mount.root) :] if mount.root != "/" and path.startswith(mount.root) else path
    folder = top / inside.strip("/")
    if ".." in inside.split("/") or not folder.is_dir():
        folder = top
    yield folder
    while folder != top:
        folder = folder.parent
        yield folder


def _v2(level: Path) -> Limits:
    ceiling = _least([_amount(read_text(level / name)) for name in ("memory.max", "memory.high")])
    used = read_number(level / "memory.current") or 0.0
    free = None if ceiling is None else max(0.0, ceiling - max(0.0, used - reclaimable(read_text(level / "memory.stat"))))
    swap = _amount(read_text(level / "memory.swap.max"))
    return Limits(ceiling, free, swap, cpu_quota(read_text(level / "cpu.max")))


def _v1_memory(level: Path) -> Limits:
    ceiling = _amount(read_text(level / "memory.limit_in_bytes"))
    if ceiling is None:
        return Limits()
    used = read_number(level / "memory.usage_in_bytes") or 0.0
    cache = reclaimable(read_text(level / "memory.stat"), prefix="total_")
    both = _amount(read_text(level / "memory.memsw.limit_in_bytes"))
    swap = None if both is None else max(0.0, both - ceiling)
    return Limits(ceiling, max(0.0, ceiling - max(0.0, used - cache)), swap)


def _v1_cpus(level: Path) -> float | None:
    quota, period = read_number(level / "cpu.cfs_quota_us"), read_number(level / "cpu.cfs_period_us")
    return quota / period if quota and quota > 0 and period else None


def _amount(text: str) -> float | None:
    """A number of bytes or microseconds; None for "max", nothing, and v1's near-infinity."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < UNLIMITED else None


def _least(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _unescape(text: str) -> str:
    """mountinfo writes spaces as \\040."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), text)
