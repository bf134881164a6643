"""A finished run's figure: what the formula said, what was measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SECONDS, RAM, GPU_MEMORY = "seconds", "ram_gib", "gpu_memory_gib"
"""The figures that are learned from: seconds of the job itself, and peaks in GiB."""


@dataclass(frozen=True, slots=True)
class Key:
    """What runs must share to tell about each other: family or library and algorithm, method, and the device they ran on."""

    subject: str
    method: str
    device: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One figure of one run that succeeded.

    `predicted` is the formula's likely value without anything learned, `told` what the plan showed; `sizes` are the job's key
    sizes, for people. `time` is when the run ended, Unix seconds.
    """

    run: str
    quantity: str
    key: Key
    predicted: float
    measured: float
    time: float
    model: str = ""
    told: float = 0.0
    sizes: dict[str, Any] = field(default_factory=dict)
