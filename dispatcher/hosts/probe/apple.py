"""Apple computers: unified memory, Metal's share of it, fans."""

from __future__ import annotations

import json

from dispatcher.domain.hardware import Gpu
from dispatcher.hosts.probe.reading import ask_tool

SYSCTL = (
    "sysctl",
    "hw.memsize",
    "hw.model",
    "hw.physicalcpu",
    "hw.logicalcpu",
    "hw.cpufrequency_max",
    "hw.optional.arm64",
    "machdep.cpu.brand_string",
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
    "iogpu.wired_limit_mb",
)
DISPLAYS = ("system_profiler", "SPDisplaysDataType", "-json")

SMALL_GIB = 36.0
"""Up to this much RAM Metal recommends two thirds, above it three quarters.

Seen in llama.cpp's logs of recommendedMaxWorkingSetSize: 10922.67 MiB of 16 GiB (abetlen/llama-cpp-python#687, 2023-09),
21845.34 of 32 (ollama/ollama#434, 2023-08), 49152.00 of 64 (ggml-org/llama.cpp#1870, 2023-11). Newer systems recommend more:
11.84 GiB of 16 (AlexsJones/llmfit#754, 2026-07), 107.52 of 128 (antirez/ds4#893, 2026-08). The lower figures are kept.
"""

FANLESS = (
    "MacBookAir10,1",
    "MacBook8,1",
    "MacBook9,1",
    "MacBook10,1",
    "Mac14,2",
    "Mac14,15",
    "Mac15,12",
    "Mac15,13",
    "Mac16,12",
    "Mac16,13",
)
"""MacBook Air from M1 to M4, and the 12-inch MacBook. Apple's “Identify your MacBook Air model”, recalled, 2026-11."""


def parse_sysctl(text: str) -> dict[str, str]:
    """`name: value` lines; unknown names are left out by sysctl itself."""
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon and not name.startswith("sysctl")}


def parse_displays(text: str) -> tuple[str, int]:
    """The GPU's name and its cores (0 where unsaid), from system_profiler's JSON. Raises ValueError."""
    entries = json.loads(text).get("SPDisplaysDataType", []) if text.strip() else []
    for entry in entries:
        if "Apple" in str(entry.get("spdisplays_vendor", "")) or str(entry.get("sppci_model", "")).startswith("Apple"):
            return str(entry.get("sppci_model", "Apple GPU")), int(entry.get("sppci_cores") or 0)
    return "", 0


def working_set_gib(ram_gib: float, wired_limit_mb: float = 0.0) -> float:
    """GiB that the GPU may keep resident: the limit its owner set, else Metal's recommendation."""
    if wired_limit_mb > 0:
        return min(wired_limit_mb / 1024, ram_gib)
    return ram_gib * (2 / 3 if ram_gib <= SMALL_GIB else 3 / 4)


def is_fanless(model: str) -> bool:
    """Whether this model of Mac cools without a fan."""
    return model.strip() in FANLESS


def apple_gpu(values: dict[str, str], available_gib: float, displays: str = "") -> Gpu | None:
    """Apple silicon's GPU; None on Intel Macs. What is free is bounded by what RAM is free."""
    chip = values.get("machdep.cpu.brand_string", "")
    if not chip.startswith("Apple"):
        return None
    ram = float(values.get("hw.memsize", 0)) / 2**30
    budget = working_set_gib(ram, float(values.get("iogpu.wired_limit_mb", 0) or 0))
    name, cores = parse_displays(displays) if displays else ("", 0)
    label = f"{name or chip} ({cores}-core GPU)" if cores else chip
    return Gpu(0, label, budget, min(budget, available_gib), vendor="Apple", unified=True)


def read_sysctl() -> dict[str, str]:
    """This Mac's facts. `-i` keeps sysctl quiet about names it lacks."""
    return parse_sysctl(ask_tool((SYSCTL[0], "-i", *SYSCTL[1:])))
