"""Seconds of one fit on a CPU, algorithm by algorithm, as parts."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant
from dispatcher.planner.tables.algorithms import find_algorithm
from dispatcher.planner.tables.cores import core_speed, cores, speedup, threads
from dispatcher.planner.tables.trees import BOOSTED, leaves, levels, outputs, seen, tried

NS = 1e-9
CLUSTERS = 8.0
"""scikit-learn's default number of clusters and neighbours' order of magnitude."""
HIDDEN = 100.0
"""Neurons in the hidden layer of scikit-learn's MLP, its default; its batches hold 200 rows."""
BATCH = 200.0
CLUSTER_BATCH = 1024.0
"""MiniBatchKMeans' default batch."""
SAMPLED_ROWS = 200_000.0
"""Rows that LightGBM and scikit-learn sort to find the bins' edges; XGBoost summarises them all."""
LEAF_ROWS = 30.0
"""Rows in a leaf of a neighbours' tree, scikit-learn's default."""
TREE_COLUMNS = 15
"""Up to so many columns scikit-learn looks for neighbours in a tree, beyond by comparing all."""
ASKED_SHARE = 0.25
"""Share of the rows whose neighbours are asked for: a usual test part."""

MEASURED = "measured here"
"""Source of a processor's figures that are rates, not peaks."""

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
    """Binning once, mostly on one core; then per tree and level each row adds its gradient to a histogram per column.

    Threads meet at each split: LightGBM and scikit-learn grow leaf by leaf, XGBoost and CatBoost level by level.
    """
    lib, speed = _timed(work), core_speed(device.cpu)
    values, trees = work.rows * work.columns, float(work.trees) * outputs(work)
    gain = speedup(work, device)
    per_row = work.columns * constant_of(lib, "value") + constant_of(lib, "row")
    meetings = levels(work) if lib in ("xgboost", "catboost") else leaves(work)
    nodes = leaves(work) * work.columns * min(work.bins, work.rows)
    sampled = min(work.rows, SAMPLED_ROWS) * work.columns if lib != "xgboost" else 0.0
    binning = values * constant_of(lib, "binning") + sampled * constant("bin_finding")
    return {
        "binning": binning * NS / speed,
        "histograms": trees * work.rows * _scattered(levels(work)) * per_row * NS / speed / gain,
        "splits": trees * nodes * constant("scan") * NS / speed / min(gain, work.columns),
        "meetings": trees
        * meetings
        * (constant_of(lib, "meeting") + constant_of(lib, "thread") * threads(work, device))
        * 1e-6,
    }


def _scattered(deep: float) -> float:
    """Levels, the deeper ones dearer: their rows lie scattered, and all their histograms no longer fit a core's cache."""
    return deep * (1.0 + constant("scatter") * max(0.0, deep - 1) / 2)


def _exact(work: TableWorkload, device: Device) -> Parts:
    """scikit-learn's GradientBoosting: one core sorts each column at each level."""
    trees = float(work.trees) * outputs(work)
    return {"splits": trees * _sorted_levels(work) * NS / core_speed(device.cpu)}


def _forest(work: TableWorkload, device: Device) -> Parts:
    """Each tree sorts the columns it tries, at each level; trees are grown side by side."""
    gain = 1.0 if work.algorithm in ("decision-tree", "ada-boost") else speedup(work, device, constant("forest_scaling"))
    gain = min(gain, float(work.trees))
    grown = work.trees * _sorted_levels(work) * NS / core_speed(device.cpu) / gain
    return {"splits": grown, "trees": work.trees * constant("forest_tree") * 1e-3 / gain}


def _sorted_levels(work: TableWorkload) -> float:
    """Nanoseconds for one tree: at each level every row is moved, and its value in each column tried is fetched and sorted."""
    rows, deep = seen(work), levels(work)
    each = constant("forest_value")
    if work.algorithm != "extra-trees":
        each += constant("forest_sort") * max(1.0, log2(max(2.0, rows)) - log2(max(2.0, leaves(work))) / 2)
    return rows * deep * (tried(work) * each + constant("forest_row"))


def _isolation(work: TableWorkload, device: Device) -> Parts:
    """Each tree sees a few hundred rows, whatever the table's size."""
    gain = min(speedup(work, device, constant("forest_scaling")), float(work.trees))
    grown = work.trees * constant("forest_tree") * 1e-3 / core_speed(device.cpu) / gain
    return {"trees": grown, "copies": work.rows * work.columns * 4 / _core_bandwidth(device)}


def _linear(work: TableWorkload, device: Device) -> Parts:
    """A solver reads the whole table twice per iteration; memory bandwidth bounds it, beyond the caches."""
    size = work.rows * work.columns * work.dtype_bytes
    rate = min(_bandwidth(device), _core_bandwidth(device) * speedup(work, device))
    passes = 2 * work.iterations * outputs(work)
    return {"passes": passes * size / rate, "rows": passes * work.rows * constant("linear_row") * NS / core_speed(device.cpu)}


def _coordinates(work: TableWorkload, device: Device) -> Parts:
    """One core goes through the table value by value, in every iteration."""
    each = work.rows * (work.columns * constant("coordinate_value") + constant("coordinate_row"))
    return {"passes": work.iterations * outputs(work) * each * NS / core_speed(device.cpu)}


def _squares(work: TableWorkload, device: Device) -> Parts:
    """The columns' products with each other, a symmetric matrix: rows·columns² FLOPs, and 10 columns³ to decompose it."""
    least, most = sorted((work.rows, work.columns))
    passes = 2 * work.rows * work.columns * work.dtype_bytes / min(_bandwidth(device), _core_bandwidth(device))
    products = (most * least**2 + 10 * least**3) / _flops(work, device)
    return {"products": products, "passes": passes, "copies": _copying(work, device)}


def _least_squares(work: TableWorkload, device: Device) -> Parts:
    """LAPACK's orthogonal factors, 2 rows·columns² FLOPs, and its passes over the table, on one core."""
    least, most = sorted((work.rows, work.columns))
    passes = work.rows * work.columns * constant("lstsq_value") * NS / core_speed(device.cpu)
    return {"products": 2 * most * least**2 / _flops(work, device), "passes": passes}


def _kernel(work: TableWorkload, device: Device) -> Parts:
    """libsvm: about as many iterations as rows, each with a row of the kernel matrix; one core."""
    each = work.columns * constant("kernel_value") + constant("kernel_row")
    return {"kernel": work.rows**2 * each * max(1, outputs(work) - 1) * NS / core_speed(device.cpu)}


def _clusters(work: TableWorkload, device: Device) -> Parts:
    """Distances of all rows to all centres, at each iteration."""
    distances = work.rows * work.columns * CLUSTERS * work.iterations
    return {"passes": distances * constant("cluster_value") * NS / core_speed(device.cpu) / speedup(work, device)}


def _batches(work: TableWorkload, device: Device) -> Parts:
    """k-means on small batches, until a while has brought nothing."""
    steps = max(1.0, work.rows * work.iterations / CLUSTER_BATCH)
    each = constant("small_batch") * 1e-6 + CLUSTER_BATCH * work.columns * CLUSTERS * constant("cluster_value") * NS
    return {"batches": steps * each / core_speed(device.cpu)}


def _mixture(work: TableWorkload, device: Device) -> Parts:
    """Densities of all rows under all components, and their weighted moments, at each iteration; k-means starts it."""
    values = work.rows * work.columns * CLUSTERS * work.iterations
    return {"passes": values * constant("mixture_value") * NS / core_speed(device.cpu)}


def _neighbours(work: TableWorkload, device: Device) -> Parts:
    """A tree's leaves are searched for few columns; beyond, every row is compared with every other."""
    asked = work.rows * (1.0 if work.algorithm == "dbscan" else ASKED_SHARE)
    if work.columns > TREE_COLUMNS:
        return {"products": 2 * asked * work.rows * work.columns / _flops(work, device)}
    visits = min(work.rows, LEAF_ROWS * 2.0 ** (work.columns * constant("neighbour_branching")))
    each = visits * work.columns * constant("neighbour_value") * NS
    return {"search": asked * each / core_speed(device.cpu) / speedup(work, device, constant("forest_scaling"))}


def _pass(work: TableWorkload, device: Device) -> Parts:
    """Means and variances of each class: a few passes over the table."""
    size = work.rows * work.columns * work.dtype_bytes
    return {"passes": size * constant("moment_byte") * NS / core_speed(device.cpu)}


def _network(work: TableWorkload, device: Device) -> Parts:
    """One hidden layer, forward and backward; each small batch has its own overhead."""
    flops = 6 * work.rows * (work.columns + outputs(work)) * HIDDEN * work.iterations
    batches = work.rows / min(BATCH, max(1.0, work.rows)) * work.iterations
    return {
        "products": flops / _flops(work, device),
        "batches": batches * constant("small_batch") * 1e-6 / core_speed(device.cpu),
    }


def _timed(work: TableWorkload) -> str:
    return work.library if work.library in ("xgboost", "lightgbm", "catboost") else "sklearn"


def _copying(work: TableWorkload, device: Device) -> float:
    """Seconds to copy the table to memory that the process did not have before."""
    found = find_algorithm(work.algorithm)
    copies = found.copies if found else 0
    return copies * work.rows * work.columns * work.dtype_bytes / (constant("copying") * 1e9 * core_speed(device.cpu))


def _flops(work: TableWorkload, device: Device) -> float:
    """FLOP/s of matrix products in the table's type."""
    share = min(threads(work, device), cores(device)) / max(1.0, float(device.cpu.cores or 1))
    rate = max(1.0, device.cpu.gflops) * 1e9 * min(1.0, share)
    reached = 1.0 if device.cpu.source == MEASURED else constant("blas_share")
    return float(rate * reached * (1.0 if work.dtype_bytes <= 4 else 0.5))


def _bandwidth(device: Device) -> float:
    return float(max(1.0, device.cpu.bandwidth_gbs) * 1e9 * constant("cpu_bandwidth_share"))


def _core_bandwidth(device: Device) -> float:
    """Bytes per second that one core reads and works through."""
    return float(constant("core_bandwidth") * 1e9 * core_speed(device.cpu))


_SHAPES: dict[str, Callable[[TableWorkload, Device], Parts]] = {
    "forest": _forest,
    "isolation": _isolation,
    "linear": _linear,
    "coordinates": _coordinates,
    "mixture": _mixture,
    "squares": _squares,
    "least-squares": _least_squares,
    "kernel": _kernel,
    "clusters": _clusters,
    "batches": _batches,
    "neighbours": _neighbours,
    "pass": _pass,
    "network": _network,
}
