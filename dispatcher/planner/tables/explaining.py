"""Figures of a table job with formula and inputs, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constants
from dispatcher.planner.tables.cores import core_speed, threads
from dispatcher.planner.tables.needs import memory, parts
from dispatcher.planner.tables.trees import BOOSTED, UNBOOSTED, leaves, levels
from dispatcher.units import show_count, show_gib, show_seconds

RAM_WORDS = {
    "import": "Python with pandas and the library, before any data",
    "table": "{rows} rows × {columns} columns × {dtype} bytes, and 8 bytes a row of target",
    "parsing": "the reader's pieces, joined at the end: the table {parsing:g} times more, for a moment",
    "copy": "the values again, in the type or order that the library works on",
    "binned": "each value as the number of its bin, 1 byte up to 256 bins",
    "gradients": "gradient, hessian, prediction and place of each row",
    "histograms": "{leaves} leaves × {columns} columns × {bins} bins",
    "trees": "{trees} trees of about {leaves} leaves",
    "sorting": "each tree that grows orders its own rows",
    "kernel": "the cache of kernel rows",
    "products": "the columns' products with each other",
    "rows": "losses, weights and labels of each row",
    "folds": "each fit of a cross-validation copies its part of the table",
    "workers": "a process for each of {parallel} fits at a time, with the library imported again",
    "threads": "each thread's own histograms",
}
"""What each term of RAM is."""
TIME_WORDS = {
    "reading": "{reading:g} ns a value on the reference core",
    "checking": "input is checked, once a fit",
    "binning": "every value is sorted into its bin, mostly by one core",
    "histograms": "{trees} trees × {levels} levels × every row's value in every column",
    "splits": "{trees} trees: the best split of each node is sought",
    "meetings": "{threads} threads wait for each other at every level or leaf: many threads make it slower",
    "trees": "a tree's overhead in Python",
    "passes": "{iterations:g} passes over the table",
    "products": "matrix products",
    "kernel": "rows² kernel values, one core",
    "search": "neighbours sought in a tree",
    "batches": "small batches, each with its overhead",
    "copies": "the table is copied",
    "rows": "loss and gradient of each row",
    "start": "the GPU's first kernels",
    "launches": "kernels started at every level or leaf of {trees} trees",
    "transfer": "the table's way to the GPU",
    "fit": "the CPU's time over the GPU's advantage in memory bandwidth",
}
"""What each part of the time is."""
FITTED = {"xgboost": "xgboost_row", "lightgbm": "lightgbm_row", "catboost": "catboost_row"}
"""A constant of each library that tells where its others are from."""


def explain(work: TableWorkload, device: Device) -> tuple[str, ...]:
    """A line per term of memory and per part of the time, and where the constants are from."""
    return tuple(_lines(work, device))


def _lines(work: TableWorkload, device: Device) -> Iterator[str]:
    gpu, host = memory(work, device)
    words = _inputs(work, device)
    for name, gib in host.terms.items():
        yield f"RAM {name} {show_gib(gib)}: {RAM_WORDS[name].format(**words)}"
    for name, gib in (gpu.terms if gpu else {}).items():
        yield f"GPU {name} {show_gib(gib)}"
    if work.fits > 1:
        yield f"{work.fits} fits, {work.parallel_fits} at a time"
    for name, count in sorted(parts(work, device).items(), key=lambda part: -part[1]):
        yield f"time {name} {show_seconds(count)}: {TIME_WORDS[name].format(**words)}"
    if not work.on_gpu:
        yield f"a core of {device.cpu.name} does {core_speed(device.cpu):.2f} of the reference core's work (3.0 GHz of 2023)"
    yield f"constants: {constants()[FITTED.get(work.library, 'sklearn_row')].source}"


def _inputs(work: TableWorkload, device: Device) -> dict[str, object]:
    grown = work.algorithm in BOOSTED | UNBOOSTED
    return {
        "rows": show_count(work.rows),
        "columns": show_count(work.columns),
        "dtype": work.dtype_bytes,
        "bins": work.bins,
        "trees": work.trees,
        "leaves": show_count(leaves(work)) if grown else "",
        "levels": f"{levels(work):.3g}" if grown else "",
        "threads": f"{threads(work, device):g}",
        "iterations": work.iterations,
        "parallel": work.parallel_fits,
        "parsing": work.parsing,
        "reading": work.reading_ns,
    }
