"""Seconds and memory of one fit on a GPU."""

from __future__ import annotations

from dispatcher.domain.hardware import Accelerator, Device
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant
from dispatcher.planner.rates import per_clock
from dispatcher.planner.tables.effort import Parts, fit_seconds
from dispatcher.planner.tables.trees import BOOSTED, UNBOOSTED, leaves, levels, outputs, tried
from dispatcher.units import GIB

SPREAD = (0.4, 0.6)
"""Share below and above the likely GPU memory; no measured row speaks of it."""


STAGED_BYTES = 4.0
"""A value of the table as it is given to the GPU; LightGBM bins on the host."""


def gpu_seconds(work: TableWorkload, device: Device) -> Parts:
    """Seconds of one fit, by part: the table crosses the bus, then every level is a pass over it."""
    part = device.accelerator
    assert part is not None
    transfer = work.rows * work.columns * 4 / (constant("bus") * 1e9)
    rounds = float(work.trees) * outputs(work)
    if work.algorithm in BOOSTED | UNBOOSTED:
        lib = work.library if work.library in ("xgboost", "lightgbm", "catboost") else "cuml"
        meetings = leaves(work) if lib == "lightgbm" else levels(work)
        touched = rounds * work.rows * levels(work) * (tried(work) + constant("gpu_row_columns"))
        return {
            "start": constant("gpu_start"),
            "transfer": transfer,
            "histograms": touched * constant(f"{lib}_gpu_clocks") / _clocks(part),
            "launches": rounds * meetings * constant(f"{lib}_gpu_meeting") * 1e-6,
        }
    slower = fit_seconds(work, device)
    return {"start": constant("gpu_start"), "transfer": transfer, "fit": sum(slower.values()) / _gain(part, device)}


def gpu_memory(work: TableWorkload) -> Amount:
    """GiB of one accelerator's memory."""
    values = work.rows * work.columns
    terms = {
        "table": values * STAGED_BYTES if work.library != "lightgbm" else 0.0,
        "binned": values * (1.0 if work.bins <= 256 else 2.0) if work.algorithm in BOOSTED | UNBOOSTED else 0.0,
        "gradients": work.rows * 24.0 * outputs(work),
        "histograms": leaves(work) * work.columns * work.bins * 16.0 if work.algorithm in BOOSTED | UNBOOSTED else 0.0,
        "context": constant("gpu_context") * GIB,
    }
    known = {name: count / GIB for name, count in terms.items() if count > 0}
    return Amount(Range.around(sum(known.values()), *SPREAD), known)


def _clocks(part: Accelerator) -> float:
    """Clocks per second of all multiprocessors together: histograms are added up in their own memory."""
    return max(1e9, part.fp32_tflops * 1e12 / per_clock(part))


def _gain(part: Accelerator, device: Device) -> float:
    """How much faster the GPU is at work that memory bounds."""
    return max(1.0, part.bandwidth_gbs / max(1.0, device.cpu.bandwidth_gbs) * constant("gpu_share"))
