"""Who drives a run: one process, told from every other."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its number, the boot it lives in, and when it was born."""

    pid: int
    boot: str
    born: str

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls(os.getpid(), boot_id(), birth(os.getpid()) or "")

    @property
    def alive(self) -> bool:
        """Whether that very process still lives."""
        return self.boot == boot_id() and bool(self.born) and birth(self.pid) == self.born


@cache
def boot_id() -> str:
    """A name of this boot, "" where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _darwin_boot() if sys.platform == "darwin" else ""


def birth(pid: int) -> str | None:
    """When a process began, in the system's own ticks: they do not move when the clock is set. None: there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else _birth_elsewhere(pid)
    return None if fields[0] in "ZX" else fields[19]


def _birth_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def _darwin_boot() -> str:
    answer = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
    return answer.stdout.strip()
