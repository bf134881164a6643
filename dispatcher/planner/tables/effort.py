"""Seconds of one fit on a CPU, algorithm by algorithm, as parts."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant
from dispatcher.planner.tables.algorithms import find_algorithm
from dispatcher.planner.tables.cores import core_speed, cores, crossing, speedup, threads
from dispatcher.planner.tables.trees import BOOSTED, leaves, levels, outputs, tried

NS = 1e-9
CLUSTERS = 8.0
"""scikit-learn's default number of clusters and neighbours' order of magnitude."""
HIDDEN = 100.0
"""Neurons in the hidden layer of scikit-learn's MLP, its default; its batches hold 200 rows."""
BATCH = 200.0
TREE_COLUMNS = 15
"""Up to so many columns scikit-learn looks for neighbours in a tree, beyond by comparing all."""
ASKED_SHARE = 0.25
"""Share of the rows whose neighbours are asked for: a usual test part."""
SUBSAMPLE = 256.0
"""Rows each tree of an isolation forest sees, scikit-learn's default."""

Parts = dict[str, float]


def fit_seconds(work: TableWorkload, device: Device) -> Parts:
    """Seconds of one fit, by part."""
    found = find_algorithm(work.algorithm)
    assert found is not None
    if work.algorithm in BOOSTED:
        return _exact(work, device) if work.bins == 0 else _boosting(work, device)
    return _SHAPES[found.shape](work, device)


def constant_of(library: str, name: str) -> float:
    """A constant of one library."""
    return constant(f"{library}_{name}")


def _boosting(work: TableWorkload, device: Device) -> Parts:
    """Binning once; then per tree and level each row adds its gradient to a histogram per column; threads meet at each split.

    LightGBM and scikit-learn grow leaf by leaf and meet once per leaf, XGBoost and CatBoost level by level.
    """
    lib, speed = _timed(work), core_speed(device.cpu)
    values, trees = work.rows * work.columns, float(work.trees) * outputs(work)
    gain = speedup(work, device, constant("boosting_scaling"))
    per_row = work.columns * constant_of(lib, "value") + constant_of(lib, "row")
    meetings = levels(work) if lib in ("xgboost", "catboost") else leaves(work)
    nodes = leaves(work) * work.columns * min(work.bins, work.rows)
    together = threads(work, device) * crossing(work, device)
    return {
        "binning": values * constant_of(lib, "binning") * NS / speed / min(gain, constant("binning_scaling")),
        "histograms": trees * work.rows * levels(work) * per_row * NS / speed / gain,
        "splits": trees * nodes * constant("scan") * NS / speed / min(gain, work.columns),
        "meetings": trees * meetings * (constant_of(lib, "meeting") + constant_of(lib, "thread") * together) * 1e-6,
    }


def _exact(work: TableWorkload, device: Device) -> Parts:
    """scikit-learn's GradientBoosting: one core sorts each column at each level."""
    trees = float(work.trees) * outputs(work)
    return {"splits": trees * _sorted_levels(work, work.rows) * NS / core_speed(device.cpu)}


def _forest(work: TableWorkload, device: Device) -> Parts:
    """Each tree sorts the columns it tries, at each level; trees are grown side by side."""
    gain = 1.0 if work.algorithm in ("decision-tree", "ada-boost") else speedup(work, device, constant("forest_scaling"))
    gain = min(gain, float(work.trees))
    grown = work.trees * _sorted_levels(work, work.rows) * NS / core_speed(device.cpu) / gain
    return {"splits": grown, "trees": work.trees * constant("forest_tree") * 1e-3 / gain}


def _sorted_levels(work: TableWorkload, rows: float) -> float:
    """Nanoseconds for one tree: rows × columns tried × levels × (fetching + sorting a value)."""
    each = constant("forest_value")
    if work.algorithm != "extra-trees":
        each += constant("forest_sort") * log2(max(2.0, rows))
    return rows * tried(work) * levels(work) * each


def _isolation(work: TableWorkload, device: Device) -> Parts:
    gain = min(speedup(work, device, constant("forest_scaling")), float(work.trees))
    grown = work.trees * (constant("forest_tree") * 1e-3 + SUBSAMPLE * 8 * constant("forest_value") * NS)
    return {"splits": grown / core_speed(device.cpu) / gain, "scores": work.rows * work.trees * constant("descend") * NS}


def _linear(work: TableWorkload, device: Device) -> Parts:
    """A solver reads the whole table twice per iteration; memory bandwidth bounds it, beyond the caches."""
    size = work.rows * work.columns * work.dtype_bytes
    rate = min(_bandwidth(device), constant("core_bandwidth") * 1e9 * speedup(work, device, constant("boosting_scaling")))
    passes = 2 * work.iterations * outputs(work)
    return {"passes": passes * size / rate, "rows": passes * work.rows * constant("linear_row") * NS / core_speed(device.cpu)}


def _squares(work: TableWorkload, device: Device) -> Parts:
    """The columns' products with each other, and their decomposition: 2 rows·columns² + 10 columns³ FLOPs."""
    least, most = sorted((work.rows, work.columns))
    flops = 2 * most * least**2 * constant("squares_passes") + 10 * least**3
    copies = 3 * work.rows * work.columns * work.dtype_bytes / _bandwidth(device)
    return {"products": flops / _flops(work, device), "copies": copies}


def _kernel(work: TableWorkload, device: Device) -> Parts:
    """libsvm: about as many iterations as rows, each with a row of the kernel matrix; one core."""
    each = work.columns * constant("kernel_value") + constant("kernel_row")
    return {"kernel": work.rows**2 * each * max(1, outputs(work) - 1) * NS / core_speed(device.cpu)}


def _clusters(work: TableWorkload, device: Device) -> Parts:
    """Distances of all rows to all centres, at each iteration: products, and a pass over the table."""
    flops = 2 * work.rows * work.columns * CLUSTERS * work.iterations
    passes = work.iterations * work.rows * work.columns * work.dtype_bytes / _bandwidth(device)
    return {"products": flops / _flops(work, device), "passes": passes}


def _neighbours(work: TableWorkload, device: Device) -> Parts:
    """A tree's leaves are searched for few columns; beyond, every row is compared with every other."""
    asked = work.rows * (1.0 if work.algorithm == "dbscan" else ASKED_SHARE)
    if work.columns <= TREE_COLUMNS:
        visits = log2(max(2.0, work.rows)) * 2.0 ** (work.columns / 3)
        gain = speedup(work, device, constant("forest_scaling"))
        return {"search": asked * visits * work.columns * constant("forest_value") * NS / core_speed(device.cpu) / gain}
    return {"products": 2 * asked * work.rows * work.columns / _flops(work, device)}


def _pass(work: TableWorkload, device: Device) -> Parts:
    return {
        "passes": 4 * work.rows * work.columns * work.dtype_bytes / min(_bandwidth(device), constant("core_bandwidth") * 1e9)
    }


def _network(work: TableWorkload, device: Device) -> Parts:
    """One hidden layer, forward and backward; each small batch has its own overhead."""
    flops = 6 * work.rows * (work.columns + outputs(work)) * HIDDEN * work.iterations
    batches = work.rows / min(BATCH, max(1.0, work.rows)) * work.iterations
    return {
        "products": flops / _flops(work, device),
        "batches": batches * constant("mlp_batch") * 1e-6 / core_speed(device.cpu),
    }


def _timed(work: TableWorkload) -> str:
    return work.library if work.library in ("xgboost", "lightgbm", "catboost") else "sklearn"


def _flops(work: TableWorkload, device: Device) -> float:
    """FLOP/s of matrix products in the table's type."""
    share = min(threads(work, device), cores(device)) / max(1.0, float(device.cpu.cores or 1))
    peak = max(1.0, device.cpu.gflops) * 1e9 * min(1.0, share)
    return float(peak * constant("blas_share") * (1.0 if work.dtype_bytes <= 4 else 0.5))


def _bandwidth(device: Device) -> float:
    return float(max(1.0, device.cpu.bandwidth_gbs) * 1e9 * constant("cpu_bandwidth_share"))


_SHAPES: dict[str, Callable[[TableWorkload, Device], Parts]] = {
    "forest": _forest,
    "isolation": _isolation,
    "linear": _linear,
    "squares": _squares,
    "kernel": _kernel,
    "clusters": _clusters,
    "neighbours": _neighbours,
    "pass": _pass,
    "network": _network,
}
