"""How fast this processor is: measured, remembered, else computed."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.hosts.probe.cpu import CpuFacts
from dispatcher.units import MIB

TRIAL = Path(__file__).with_name("speed_trial.py")
TRIAL_SECONDS = 10.0
"""A trial that takes longer is given up: the machine is busy or its Python is broken."""
COPY_BYTES = 32 * MIB
"""Per thread and buffer: over any cache when all threads copy."""
COPY_THREADS = 8
"""More threads than this rarely add bandwidth on one socket."""

FLOPS_PER_CYCLE = {"avx512": 64, "avx2": 32, "avx": 16, "sve": 32, "neon": 16, "sse2": 8}
"""fp32 operations per core and cycle: two vector units of that width, fused multiply-add counted as two.

Makers' architecture manuals, recalled, 2026-11; AVX without FMA and SSE2 add and multiply in separate units.
"""
ATTAINED = 0.7
"""What a good matrix product reaches of the computed peak: a round figure, our assumption."""
TYPICAL_GHZ = 2.5


@dataclass(frozen=True, slots=True)
class Speed:
    """fp32 GFLOP/s over the usable CPUs, GB/s of memory, how each is known, and when (Unix seconds)."""

    gflops: float
    bandwidth_gbs: float
    basis: str
    measured_at: float = 0.0


def key(model: str, cpus: float) -> str:
    """What a measurement belongs to: another processor or another quota is another machine."""
    return f"{model or 'unknown'}|{cpus:g}"


def cached(name: str) -> Speed | None:
    """What was measured before; None where nothing was, or it cannot be read."""
    entry = _entries().get(name)
    try:
        return Speed(**entry) if isinstance(entry, dict) else None
    except TypeError:
        return None


def remember(name: str, speed: Speed) -> None:
    """Keep a measurement; a cache that cannot be written is no error."""
    entries = {**_entries(), name: asdict(speed)}
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:
            json.dump(entries, new)
        Path(new.name).replace(file)
    except OSError:
        return


def measure(cpu: CpuFacts, cpus: float, available: float, pythons: Sequence[str] = ()) -> Speed:
    """Measure now: the product with the first Python that has numpy (this one's first), copies with any."""
    rates: dict[str, Any] = {}
    for python in dict.fromkeys((sys.executable, *pythons)):
        rates = rates | {name: value for name, value in _trial(python, cpus, available).items() if value}
        if "gflops" in rates:
            break
    if "gflops" in rates:
        return Speed(rates["gflops"], rates.get("bandwidth_gbs", 0.0), "measured", time.time())
    return Speed(computed_gflops(cpu, cpus), rates.get("bandwidth_gbs", 0.0), "computed", time.time())


def computed_gflops(cpu: CpuFacts, cpus: float) -> float:
    """fp32 GFLOP/s = usable cores × GHz × operations per cycle × what is attained."""
    words = cpu.simd.split()
    width = next((flops for name, flops in FLOPS_PER_CYCLE.items() if name in words), 4)
    if width == FLOPS_PER_CYCLE["avx2"] and "fma" not in words:
        width = FLOPS_PER_CYCLE["avx"]
    cores = min(float(cpu.cores or 1), cpus)
    return cores * (cpu.clock_ghz or TYPICAL_GHZ) * width * ATTAINED


def _trial(python: str, cpus: float, available: float) -> dict[str, float | None]:
    import subprocess  # the result is kept: most plans try nothing

    threads = max(1, min(COPY_THREADS, round(cpus)))
    size = int(min(COPY_BYTES, max(MIB, available / (8 * threads))))
    blas = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(max(1, round(cpus))))
    try:
        done = subprocess.run(
            [python, "-c", TRIAL.read_text(encoding="utf-8"), str(threads), str(size)],
            capture_output=True,
            timeout=TRIAL_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **blas},
            cwd="/",  # so that no file of the user's, named numpy.py say, is imported
        )
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _file() -> Path:
    return paths.cache_dir() / "machine.json"


def _entries() -> dict[str, Any]:
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
