"""What a job uses: memory, processor time and GPUs, sampled."""

from __future__ import annotations

import os
import resource
import time
from typing import Any, Dict, List, Optional, Set, Tuple  # noqa: F401 (type comments of 3.8)

from files import append, disk_free_gb, no_room  # type: ignore[import-not-found]
from processes import LINUX, cpu_seconds, on_path, ram_bytes  # type: ignore[import-not-found]
from scarcity import Scarcity  # type: ignore[import-not-found]

GIB = float(1 << 30)
GPU_SECONDS = 5.0
SAMPLES_PER_STRIDE = 5000
"""After this many, samples come half as often, and so on: a week's job leaves a small file."""
SMI = (
    "nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits; echo --;"
    "nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits"
)
AWAKE = (
    ("caffeinate", "-i", "cat"),
    ("systemd-inhibit", "--what=sleep:idle", "--mode=block", "--who=mlrun", "--why=a training job runs", "cat"),
)
"""`cat` reads a pipe of ours: sleep is allowed again when we are gone, however that came."""


class Gauge:
    """Samples a job's use of the machine and keeps the peaks."""

    def __init__(self, folder: str, place: str, command: str = "") -> None:
        self.folder, self.place, self.tools = folder, place, []  # type: Tuple[str, str, List[Any]]
        self.ram_peak, self.gpu_peak = 0.0, None  # type: Tuple[float, Optional[float]]
        self.samples, self.disk_full = 0, False
        self.scarcity = Scarcity(os.path.basename(folder), command=command)
        self._base = None  # type: Optional[float]
        self._now = (None, None)  # type: Tuple[Optional[float], Optional[float]]
        self._gpu_due = 0.0
        self._before = None  # type: Optional[Tuple[float, float]]
        self._smi = on_path("nvidia-smi")

    @property
    def stride(self) -> int:
        """How many times the wished interval lies between samples now."""
        return 1 + self.samples // SAMPLES_PER_STRIDE

    def sample(self, now: float, family: Set[int]) -> None:
        """Measure, and add a line to the samples."""
        ram, cpus = ram_bytes(family), self._cpus(now, family)
        self.ram_peak = max(self.ram_peak, ram)
        self.scarcity.look(family, ram)
        self.disk_full = self.disk_full or no_room(self.folder)
        if self._smi:
            self._sample_gpu(now, family)
        line = {
            "t": round(time.time(), 3),
            "cpus": cpus,
            "ram_gib": round(ram / GIB, 3),
            "disk_free_gb": disk_free_gb(self.place),
        }
        if self._now[0] is not None:
            line.update(gpu_utilisation=self._now[0], gpu_memory_gib=self._now[1])
        self.samples += 1
        append(self.folder, "samples.jsonl", line)

    def peaks(self) -> Dict[str, Any]:
        """The most that was seen, and processor time, of all that has ended."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = round(ended.ru_utime + ended.ru_stime, 3)
        cut = self.disk_full or no_room(self.folder)
        return {"ram_peak_gib": round(self.most() / GIB, 3), "gpu_peak_gib": self.gpu_peak, "cpu_seconds": cpu, "log_cut": cut}

    def most(self) -> float:
        """The most bytes the job was seen to hold: all of it at a sample, one process at its end, its cgroup at any time."""
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1024 if LINUX else 1)  # bytes on macOS
        return float(max(self.ram_peak, largest, self.scarcity.peak()))

    def _cpus(self, now: float, family: Set[int]) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu, before = cpu_seconds(family) + ended.ru_utime + ended.ru_stime, self._before
        self._before = (now, cpu)
        return round(max(0.0, (cpu - before[1]) / max(1e-3, now - before[0])), 2) if before else 0.0

    def _sample_gpu(self, now: float, family: Set[int]) -> None:
        """Ask in the background: the answer is read at a later sample."""
        asking = [tool for tool in self.tools if tool.stdout]
        if self._gpu_due > now or (asking and asking[0].poll() is None):
            return
        for tool in asking:
            self._now = self._gpu_use(tool.stdout.read().decode("utf-8", "replace"), family)
            tool.stdout.close()
            tool.stdin.close()
            self.tools.remove(tool)
        self._gpu_due = now + (GPU_SECONDS if asking else 0.0)
        self.tools.append(spawn(["/bin/sh", "-c", SMI], out=True))

    def _gpu_use(self, text: str, family: Set[int]) -> Tuple[float, float]:
        """(utilisation 0-1, GiB of this job). Where process ids are hidden from us, what came on top of the first look."""
        apps, _, whole = text.partition("--")
        devices = [row for row in map(_numbers, whole.splitlines()) if len(row) == 2]
        total = sum(row[1] for row in devices)
        self._base = total if self._base is None else self._base
        rows = [row for row in map(_numbers, apps.splitlines()) if row]
        ours = [row for row in rows if int(row[0]) in family]
        used = sum(row[1] for row in ours if len(row) == 2)
        hidden = not rows or (ours and not used)  # no process is named, or ours without its memory
        gib = round((max(0.0, total - self._base) if hidden else used) / 1024, 3)
        self.gpu_peak = max(self.gpu_peak or 0.0, gib)
        return (max((row[0] for row in devices), default=0.0) / 100, gib)


def _numbers(line: str) -> List[float]:
    cells = [cell.strip() for cell in line.split(",")]
    return [float(cell) for cell in cells if cell.isdigit()]


def spawn(argv: List[str], *, out: bool = False) -> Any:
    """A tool of ours beside the job; one that reads stdin ends with us."""
    import subprocess

    env = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
    sink = subprocess.PIPE if out else subprocess.DEVNULL
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.DEVNULL, env=env)
