"""What a table job needs and takes on a device."""

from __future__ import annotations

from math import ceil

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.tables.cores import core_speed
from dispatcher.planner.tables.effort import fit_seconds
from dispatcher.planner.tables.graphics import gpu_memory, gpu_seconds
from dispatcher.planner.tables.ram import peak, tree_bytes
from dispatcher.units import GIB

RAM_SPREAD = (0.35, 0.5)
"""Share below and above the likely RAM."""
TIME_SPREAD = (0.5, 1.2)
"""Share below and above the likely time: how many iterations a solver needs, and how a tree grows, hang on the data."""
CHECKING = 0.01
"""Seconds that even the smallest fit takes: its input is checked."""
NUMBER_BYTES = 8.0
"""A coefficient of a saved linear model."""


def memory(work: TableWorkload, device: Device) -> tuple[Amount | None, Amount]:
    """GPU memory (None where no GPU is used) and RAM, in GiB by term."""
    terms = {name: count / GIB for name, count in peak(work, device).items()}
    host = Amount(Range.around(sum(terms.values()), *RAM_SPREAD), terms)
    return (gpu_memory(work) if work.on_gpu else None), host


def seconds(work: TableWorkload, device: Device) -> Range | None:
    """Seconds of the whole job: reading, where the file's size is known, and every fit."""
    return Range.around(sum(parts(work, device).values()), *TIME_SPREAD)


def parts(work: TableWorkload, device: Device) -> dict[str, float]:
    """Seconds by part, all fits together; fits at a time share cores and memory, a GPU serves one after another."""
    one = gpu_seconds(work, device) if work.on_gpu else fit_seconds(work, device)
    turns = work.fits if work.on_gpu else ceil(work.fits / work.parallel_fits)
    found = {"checking": CHECKING * turns} | {name: count * turns for name, count in one.items()}
    if work.file_bytes:
        found["reading"] = work.file_bytes / (max(1.0, work.reading_mbs) * 1e6) / core_speed(device.cpu)
    return found


def model_gb(work: TableWorkload) -> float:
    """The saved model, GB (1e9): its trees, the rows that neighbours are sought among, or its coefficients."""
    if work.algorithm in ("knn", "svm"):
        return work.rows * work.columns * work.dtype_bytes / 1e9
    return (tree_bytes(work) or work.columns * NUMBER_BYTES) / 1e9
