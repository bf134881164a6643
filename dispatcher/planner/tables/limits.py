"""What a classical library cannot do on a device, as rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.tables.algorithms import find_algorithm

LIGHTGBM_ROWS = 2**31 - 1
"""LightGBM counts rows in 32-bit integers (`data_size_t`, its C API's documentation)."""
RAPIDS_CAPABILITY = 7.0
"""RAPIDS needs Volta or newer (its installation guide, 2026)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`breaks(work, device)` is true where the library would fail."""

    breaks: Callable[[TableWorkload, Device], bool]
    message: str


RULES = (
    Rule(
        lambda w, d: w.library == "cuml" and d.kind != "cuda",
        "cuML needs an NVIDIA GPU; {device} is not one. Use library: sklearn.",
    ),
    Rule(
        lambda w, d: w.library == "cuml" and d.kind == "cuda" and 0 < _capability(d) < RAPIDS_CAPABILITY,
        "cuML needs a Volta GPU (compute capability 7.0) or newer; {device} is older. Use library: sklearn.",
    ),
    Rule(
        lambda w, _: w.library == "cuml" and not _in_cuml(w),
        "cuML has no {algorithm}. Use library: sklearn.",
    ),
    Rule(
        lambda w, _: w.library == "lightgbm" and w.rows > LIGHTGBM_ROWS,
        "LightGBM counts at most 2,147,483,647 rows. Use library: xgboost, or fewer rows.",
    ),
)


def forbidden(work: TableWorkload, device: Device) -> tuple[str, ...]:
    """Why the library would fail on this device; empty where it would not."""
    broken = (rule.message for rule in RULES if rule.breaks(work, device))
    return tuple(message.format(device=device.name, algorithm=work.algorithm) for message in broken)


def _capability(device: Device) -> float:
    return device.accelerator.compute_capability if device.accelerator else 0.0


def _in_cuml(work: TableWorkload) -> bool:
    found = find_algorithm(work.algorithm)
    return bool(found and found.gpu)
