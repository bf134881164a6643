"""What a table job needs and takes on a device."""

from __future__ import annotations

from math import ceil

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.tables.algorithms import find_algorithm
from dispatcher.planner.tables.cores import core_speed
from dispatcher.planner.tables.effort import fit_seconds
from dispatcher.planner.tables.graphics import gpu_memory, gpu_seconds
from dispatcher.planner.tables.ram import peak, table_bytes, tree_bytes
from dispatcher.units import GIB, show_count, show_gib, show_seconds

RAM_SPREAD = (0.35, 0.5)
TIME_SPREAD = (0.5, 1.2)
FIXED = 0.02
"""Seconds that even the smallest fit takes: checking the input."""


def memory(work: TableWorkload, device: Device) -> tuple[Amount | None, Amount]:
    """GPU memory (None where no GPU is used) and RAM, in GiB by term."""
    terms = {name: count / GIB for name, count in peak(work, device).items()}
    host = Amount(Range.around(sum(terms.values()), *RAM_SPREAD), terms)
    return (gpu_memory(work) if work.on_gpu else None), host


def seconds(work: TableWorkload, device: Device) -> Range | None:
    """Seconds of the whole job: reading, where the file's size is known, and every fit."""
    return Range.around(sum(parts(work, device).values()), *TIME_SPREAD)


def parts(work: TableWorkload, device: Device) -> dict[str, float]:
    """Seconds by part, all fits together."""
    one = gpu_seconds(work, device) if work.on_gpu else fit_seconds(work, device)
    turns = ceil(work.fits / work.parallel_fits)
    found = {name: count * turns for name, count in one.items()}
    found["start"] = found.get("start", 0.0) + FIXED * turns
    if work.file_bytes:
        found["reading"] = work.file_bytes / (max(1.0, work.reading_mbs) * 1e6) / core_speed(device.cpu)
    return found


def model_gb(work: TableWorkload) -> float:
    """The saved model, GB."""
    return (tree_bytes(work) or work.columns * 8.0) / 1e9


def forbidden(work: TableWorkload, device: Device) -> tuple[str, ...]:
    """Why the library would fail on this device; empty where it would not."""
    found = []
    algorithm = find_algorithm(work.algorithm)
    if work.library == "cuml" and device.kind != "cuda":
        found.append(f"cuML needs an NVIDIA GPU; {device.name} is not one. Use library: sklearn.")
    if work.library == "cuml" and algorithm and not algorithm.gpu:
        found.append(f"cuML has no {work.algorithm}. Use library: sklearn.")
    return tuple(found)


def explain(work: TableWorkload, device: Device) -> tuple[str, ...]:
    """A line per term of memory, and per part of the time."""
    _, host = memory(work, device)
    lines = [f"{name} {show_gib(gib)}" for name, gib in host.terms.items()]
    lines += [f"{name} {show_seconds(count)}" for name, count in parts(work, device).items()]
    lines.append(
        f"{show_count(work.rows)} rows × {show_count(work.columns)} columns, {show_gib(table_bytes(work) / GIB)} in memory"
    )
    return tuple(lines)
