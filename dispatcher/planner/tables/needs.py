"""What a table job needs and takes on a device."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.tables.algorithms import find_algorithm
from dispatcher.planner.tables.cores import core_speed, cores, parallel
from dispatcher.planner.tables.effort import fit_seconds
from dispatcher.planner.tables.graphics import gpu_memory, gpu_seconds
from dispatcher.planner.tables.ram import peak, tree_bytes
from dispatcher.units import GIB

RAM_SPREAD = (0.3, 0.5)
"""Share below and above the likely RAM: the job's own program may hold more than the library does."""
TIME_SPREADS = {"boosting": (0.5, 1.1), "forest": (0.45, 0.9), "gpu": (0.55, 1.4)}
OTHER_SPREAD = (0.6, 1.6)
"""Share below and above the likely time, by shape: how many passes a solver needs hangs on the data."""
CHECKING = 0.01
"""Seconds that even the smallest fit takes: its input is checked."""
NUMBER_BYTES = 8.0
"""A coefficient of a saved linear model."""


def memory(work: TableWorkload, device: Device) -> tuple[Amount | None, Amount]:
    """GPU memory (None where no GPU is used) and RAM, in GiB by term."""
    terms = {name: count / GIB for name, count in peak(work, device).items()}
    span = Range.around(sum(terms.values()), *RAM_SPREAD)
    if work.threads_open:
        most = sum(peak(_on_all_cores(work), device).values()) / GIB
        span = replace(span, high=max(span.high, most * (1 + RAM_SPREAD[1])))
    host = Amount(span, terms)
    return (gpu_memory(work) if work.on_gpu else None), host


def seconds(work: TableWorkload, device: Device) -> Range | None:
    """Seconds of the whole job: reading, where the file's size is known, and every fit."""
    found = find_algorithm(work.algorithm)
    shape = "gpu" if work.on_gpu else found.shape if found else ""
    spreads = TIME_SPREADS.get(shape, OTHER_SPREAD)
    span = Range.around(sum(parts(work, device).values()), *spreads)
    if not work.threads_open:
        return span
    least = Range.around(sum(parts(_on_all_cores(work), device).values()), *spreads)
    return replace(span, low=min(span.low, least.low))


def _on_all_cores(work: TableWorkload) -> TableWorkload:
    return replace(work, threads=0, threads_open=False)


def parts(work: TableWorkload, device: Device) -> dict[str, float]:
    """Seconds by part, all fits together."""
    one = gpu_seconds(work, device) if work.on_gpu else fit_seconds(work, device)
    turns = _turns(work, device)
    found = {"checking": CHECKING * turns} | {name: count * turns for name, count in one.items()}
    if work.file_bytes:
        found["reading"] = work.rows * work.columns * work.reading_ns * 1e-9 / core_speed(device.cpu)
    return found


def _turns(work: TableWorkload, device: Device) -> float:
    """Whole fits' times, one after another: folds leave a part of the rows out, and the best is fitted again on all of them.

    Fits at a time that want more threads than there are cores wait for each other; a GPU serves one after another.
    """
    if work.fits == 1:
        return 1.0
    share = (work.folds - 1) / work.folds if work.folds > 1 else 1.0
    if work.on_gpu:
        return (work.fits - 1) * share + 1
    busy = work.parallel_fits * (float(work.threads or 1) if parallel(work) else 1.0)
    return ceil((work.fits - 1) / work.parallel_fits) * share * max(1.0, busy / cores(device)) + 1


def model_gb(work: TableWorkload) -> float:
    """The saved model, GB (1e9): its trees, the rows that neighbours are sought among, or its coefficients."""
    if work.algorithm in ("knn", "svm"):
        return work.rows * work.columns * work.dtype_bytes / 1e9
    return (tree_bytes(work) or work.columns * NUMBER_BYTES) / 1e9
