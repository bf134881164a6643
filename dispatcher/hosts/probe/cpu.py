"""The processor: its name, cores, threads and vector instructions."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from dispatcher.hosts.probe.reading import read_number, read_text

SIMD = (
    ("amx", {"amx_tile"}),
    ("avx512", {"avx512f"}),
    ("avx2", {"avx2"}),
    ("fma", {"fma", "fma4"}),
    ("avx", {"avx"}),
    ("sse2", {"sse2"}),
    ("sve2", {"sve2"}),
    ("sve", {"sve"}),
    ("neon", {"asimd", "neon"}),
)
"""Our word for a vector extension, and the kernel's flags that mean it; widest first."""

ARM_PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd85"): "Cortex-X925",
    ("0x61", "0x022"): "Apple M1",
    ("0x61", "0x023"): "Apple M1",
}
"""Implementer and part of the MIDR register; Linux, arch/arm64/include/asm/cputype.h, seen from general knowledge 2026-11."""


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """One computer's processor as its system describes it. Clock in GHz, 0 where nobody says."""

    model: str
    cores: int
    threads: int
    simd: str = ""
    clock_ghz: float = 0.0


def parse_cpuinfo(text: str) -> CpuFacts:
    """What Linux's /proc/cpuinfo says, on x86 and on Arm."""
    blocks = [_block(part) for part in re.split(r"\n\s*\n", text.strip()) if part.strip()]
    logical = [block for block in blocks if "processor" in block] or blocks
    first = logical[0] if logical else {}
    pairs = {(one.get("physical id", "0"), one["core id"]) for one in logical if "core id" in one}
    return CpuFacts(
        model=_model(first, blocks),
        cores=len(pairs) or len(logical),
        threads=len(logical),
        simd=simd_of(first.get("flags") or first.get("Features") or ""),
        clock_ghz=_clock(first),
    )


def parse_sysctl(values: dict[str, str]) -> CpuFacts:
    """What macOS's `sysctl` says, on Apple silicon and on Intel."""
    apple = values.get("hw.optional.arm64") == "1" or values.get("machdep.cpu.brand_string", "").startswith("Apple")
    flags = values.get("machdep.cpu.features", "") + " " + values.get("machdep.cpu.leaf7_features", "")
    cores = int(values.get("hw.physicalcpu", 0) or 0)
    return CpuFacts(
        model=values.get("machdep.cpu.brand_string", ""),
        cores=cores,
        threads=int(values.get("hw.logicalcpu", 0) or 0) or cores,
        simd="neon" if apple else simd_of(flags.lower().replace("avx1.0", "avx")),
        clock_ghz=float(values.get("hw.cpufrequency_max", 0) or 0) / 1e9,
    )


def simd_of(flags: str) -> str:
    """Our words for the vector extensions among the kernel's flags, widest first."""
    have = set(flags.split())
    return " ".join(word for word, names in SIMD if have & names)


def usable_cpus(threads: int, affinity: int | None, quota: float | None) -> float:
    """CPUs this process may use: the least of what is built in, what it is pinned to, and the container's quota."""
    limits = [float(threads or 1), *(float(limit) for limit in (affinity, quota) if limit)]
    return min(limits)


def affinity() -> int | None:
    """CPUs that this process may run on; None where the system does not pin."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def linux_cpu(root: Path = Path("/")) -> CpuFacts:
    """This Linux computer's processor."""
    facts = parse_cpuinfo(read_text(root / "proc/cpuinfo"))
    base = root / "sys/devices/system/cpu"
    khz = read_number(base / "cpu0/cpufreq/cpuinfo_max_freq")
    if khz:
        facts = replace(facts, clock_ghz=khz / 1e6)
    siblings = {read_text(path) for path in base.glob("cpu[0-9]*/topology/thread_siblings_list")} - {""}
    if siblings and facts.cores == facts.threads:
        facts = replace(facts, cores=min(len(siblings), facts.threads))
    return facts


def _block(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _model(first: dict[str, str], blocks: list[dict[str, str]]) -> str:
    if first.get("model name"):
        return re.sub(r"\s+", " ", first["model name"])
    part = ARM_PARTS.get((first.get("CPU implementer", ""), first.get("CPU part", "")))
    board = next((block["Model"] for block in blocks if "Model" in block), "")
    return part or board or first.get("Hardware", "")


def _clock(first: dict[str, str]) -> float:
    stated = re.search(r"@ *([0-9.]+) *GHz", first.get("model name", ""))
    if stated:
        return float(stated.group(1))
    try:
        mhz = float(first.get("cpu MHz", "0"))
    except ValueError:
        return 0.0
    return mhz / 1000 if math.isfinite(mhz) else 0.0
