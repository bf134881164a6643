"""Whether a job died because memory was full."""

from __future__ import annotations

import contextlib
import re
import signal
from typing import Dict, Iterator, List, Optional, Set  # noqa: F401 (type comments of 3.8)

CGROUPS = "/sys/fs/cgroup"
UNLIMITED = 1 << 60
"""Above this a limit is none: cgroup v1 writes a number near 2**63 where v2 writes `max`."""
NEAR = 0.5
"""A job that held this part of the memory it could have had is believed to be what the kernel killed for."""
DEVICE_FULL = (
    b"CUDA out of memory",
    b"OutOfMemoryError",
    b"MPS backend out of memory",
    b"RESOURCE_EXHAUSTED",
    b"cudaErrorMemoryAllocation",
)
HOST_FULL = (b"MemoryError", b"std::bad_alloc", b"Cannot allocate memory")
ERROR_LINE = re.compile(rb"^(?:[\w.]*\.)?\w*(?:Error|Exception|Interrupt)\b.*", re.MULTILINE)
RELAYS = (b"CalledProcessError", b"ChildFailedError")
"""Errors that only say that another program failed: what it said stands before them."""
LAST_LINES = 5
ULIMIT = re.compile(r"\bulimit\s+(?:-[SH]\s+)?-[SH]?v\s+([0-9]{1,15})\b")


class Scarcity:
    """Watches how much memory the job could have had, and whether the kernel killed for want of it."""

    def __init__(self, label: str, cgroups: str = CGROUPS, proc: str = "/proc", command: str = "") -> None:
        self.cgroups, self.proc = cgroups, proc
        self._own = self._cgroup_of("self")
        self.scope = self._own if self._own.rpartition("/")[2] == label + ".scope" else ""
        self.room, self.cache = self._free([self._own]), 0
        self.limit = min(_own_limit(), _written_limit(command))
        self._before = self._kills()

    def look(self, family: Set[int], ram: float) -> None:
        """Notice the room there is for the job, and in its own cgroup how much of that is file cache."""
        places = {self._cgroup_of(str(pid)) for pid in list(family)[:16]} | {self._own}
        self.room = min(self.room, ram + self._free(sorted(places)))
        self.limit = min([self.limit, *(self._limit_of(pid) for pid in list(family)[:16])])
        if self.scope:
            self.cache = max(self.cache, self._cache())

    def peak(self) -> int:
        """Bytes held at once in the job's own cgroup, at least: its peak without file cache; 0 where it has none."""
        text = self._read(self.cgroups + self.scope + "/memory.peak") if self.scope else ""
        return max(0, int(text) - self.cache) if text.strip().isdigit() else 0

    def killed(self, number: Optional[int], ram_peak: float) -> bool:
        """Whether the kernel killed this job for want of memory. Outside a scope of its own others' ends are counted too."""
        if number != signal.SIGKILL or self._kills() <= self._before:
            return False
        return bool(self.scope) or ram_peak >= NEAR * self.room

    def _kills(self) -> int:
        """Processes killed for want of memory: in the job's own cgroup, else in ours and on the host."""
        own = _counted(self._read(self.cgroups + self._own + "/memory.events"), "oom_kill")
        if self.scope:
            return own
        old = _counted(self._read(self.cgroups + "/memory" + self._own + "/memory.oom_control"), "oom_kill")
        return own + old + _counted(self._read(self.proc + "/vmstat"), "oom_kill")

    def _free(self, places: List[str]) -> float:
        """Bytes that could still be had: on the host, and below every limit above these cgroups."""
        host = _counted(self._read(self.proc + "/meminfo"), "MemAvailable:") * 1024
        return min([host or UNLIMITED, *(self._left(folder) for place in places for folder in _above(place))])

    def _left(self, folder: str) -> float:
        for base, limit, used in (
            (self.cgroups, "memory.max", "memory.current"),
            (self.cgroups + "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            most, now = (self._read("%s%s/%s" % (base, folder, name)).strip() for name in (limit, used))
            if most.isdigit() and now.isdigit() and int(most) < UNLIMITED:
                return max(0, int(most) - int(now))
        return UNLIMITED

    def _limit_of(self, pid: int) -> float:
        """Bytes of address space that a process may have."""
        for line in self._read("%s/%d/limits" % (self.proc, pid)).splitlines():
            words = line.split()
            if line.startswith("Max address space") and words[3].isdigit():
                return float(words[3])
        return UNLIMITED

    def _cache(self) -> int:
        said = self._read(self.cgroups + self.scope + "/memory.stat")
        return _counted(said, "file") - _counted(said, "shmem") + _counted(said, "slab_reclaimable")

    def _cgroup_of(self, pid: str) -> str:
        """The memory cgroup's path: the only one in v2, the one of `memory` in v1."""
        found = {}  # type: Dict[str, str]
        for line in self._read("%s/%s/cgroup" % (self.proc, pid)).splitlines():
            kind, _, path = line.partition(":")[2].partition(":")
            found["memory" if "memory" in kind.split(",") else kind] = path.rstrip("/")
        return found.get("memory", found.get("", ""))

    @staticmethod
    def _read(path: str) -> str:
        with contextlib.suppress(OSError, ValueError), open(path) as file:
            return file.read()
        return ""


def _own_limit() -> float:
    """Bytes of address space that we may have, and what we start."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return UNLIMITED if soft == resource.RLIM_INFINITY else float(soft)


def _written_limit(command: str) -> float:
    """The least that a command allows itself: `ulimit -v` counts in KiB."""
    return min([1024.0 * int(found) for found in ULIMIT.findall(command)], default=UNLIMITED)


def said_full(tail: bytes) -> str:
    """What the last words of a job that failed say of memory: oom-device, oom-host, or nothing."""
    if any(mark in tail for mark in DEVICE_FULL):
        return "oom-device"
    return "oom-host" if any(mark in _last_error(tail) for mark in HOST_FULL) else ""


def _last_error(tail: bytes) -> bytes:
    """From the last error that is named at a line's beginning on; without one, the last lines."""
    named = [found for found in ERROR_LINE.finditer(tail) if not any(word in found.group() for word in RELAYS)]
    if named:
        return named[-1].group()
    return b"\n".join([line for line in tail.splitlines() if line.strip()][-LAST_LINES:])


def _counted(text: str, name: str) -> int:
    rows = (line.split() for line in text.splitlines())
    return sum(int(row[1]) for row in rows if len(row) > 1 and row[0] == name and row[1].isdigit())


def _above(place: str) -> Iterator[str]:
    """A cgroup and those that hold it."""
    parts = place.split("/")  # type: List[str]
    for length in range(len(parts), 0, -1):
        yield "/".join(parts[:length])
