"""How far the figures may be off, nine times in ten."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import Workload

MEMORY = {"transformer": (0.16, 0.24), "vision": (0.25, 0.3), "detection": (0.35, 0.4), "diffusion": (0.35, 0.4)}
"""Share below and above the likely memory, by family."""
TIME = {"transformer": (0.25, 0.35), "vision": (0.35, 0.5), "detection": (0.35, 0.5), "diffusion": (0.4, 0.6)}
"""Share below and above the likely time, by family; a transformer's hold 91 % of published ones outside the fit."""
RAGGED = (0.4, 0.9)
"""The same where texts of unknown lengths are padded to the longest of a batch."""
TRACED = (0.13, 0.2)
"""Share below and above the memory of a traced network: what the allocator and kernels add is left to guess."""
INT8_BASE = 3.0
"""Share above the likely time where LLM.int8() is trained on: its pass over outliers is not in the formula, and nothing here
was measured."""
UNSURE = (0.4, 0.6)
"""For families without measured rows."""
MEASURED = ("Volta", "Turing", "Ampere", "Ada Lovelace", "Hopper", "Blackwell")
"""Architectures that measured rows are about."""
UNKNOWN_DEVICE = 1.4
"""Widening for all others."""


def memory_spread(work: Workload, device: Device) -> tuple[float, float]:
    """Relative distance of the low and the high end of a memory figure."""
    down, up = TRACED if work.basis == "traced" else MEMORY.get(work.family, UNSURE)
    wider = 1.2 if device.count > 1 and work.sharding != "none" else 1.0
    return min(0.9, down * wider), up * wider


def time_spread(work: Workload, device: Device) -> tuple[float, float]:
    """Relative distance of the low and the high end of a time."""
    down, up = TIME.get(work.family, UNSURE)
    if work.family == "transformer" and work.task == "finetune":
        down, up = RAGGED
    if work.precision == "int8" and work.training:
        up = max(up, INT8_BASE)
    measured = device.accelerator is not None and device.accelerator.arch in MEASURED
    wider = 1.0 if measured else UNKNOWN_DEVICE
    return min(0.9, down * wider), up * wider
