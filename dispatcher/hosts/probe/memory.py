"""RAM, swap and disk: what is free now, within limits."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from dispatcher.hosts.probe.cgroup import Limits
from dispatcher.hosts.probe.reading import read_text
from dispatcher.units import GB


@dataclass(frozen=True, slots=True)
class Memory:
    """RAM and swap in bytes. `available` is what a new program can have without swapping."""

    total: float
    available: float
    swap: float = 0.0
    swap_free: float = 0.0


def parse_meminfo(text: str) -> Memory:
    """What Linux's /proc/meminfo says; kernels before 3.14 have no MemAvailable."""
    lines = (line.partition(":") for line in text.splitlines())
    kib = {key: float(value.split()[0]) for key, _, value in lines if value.split()}
    available = kib.get("MemAvailable", kib.get("MemFree", 0.0) + kib.get("Cached", 0.0) / 2)
    amounts = kib.get("MemTotal", 0.0), available, kib.get("SwapTotal", 0.0), kib.get("SwapFree", 0.0)
    return Memory(*(1024 * amount for amount in amounts))


def within(memory: Memory, limits: Limits) -> Memory:
    """The same memory as seen from inside the limits."""
    total = min(memory.total, limits.memory) if limits.memory is not None else memory.total
    swap = min(memory.swap, limits.swap) if limits.swap is not None else memory.swap
    free = memory.available if limits.memory_free is None else min(memory.available, limits.memory_free)
    return Memory(total, min(free, total), swap, min(memory.swap_free, swap))


def read_memory(root: Path = Path("/")) -> Memory:
    """This computer's memory, without regard to containers."""
    if sys.platform == "linux":
        return parse_meminfo(read_text(root / "proc/meminfo"))
    import psutil

    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    return Memory(float(ram.total), float(ram.available), float(swap.total), float(swap.free))


def disk_free_gb(path: Path) -> float:
    """GB (1e9) that this user may still write below `path`, or below its nearest parent that exists."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free / GB
