"""RAM at its peak: the table, its copies, the library's own."""

from __future__ import annotations

from math import ceil

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant
from dispatcher.planner.tables.algorithms import find_algorithm
from dispatcher.planner.tables.cores import threads
from dispatcher.planner.tables.trees import BOOSTED, UNBOOSTED, leaves, outputs
from dispatcher.units import GIB

CHUNK_ROWS = 1e6
"""Rows held at a time by a table that is read in chunks."""
HISTOGRAM_BYTES = 16.0
"""A bin's gradient and hessian, in float64."""
KERNEL_CACHE = 200 * 2**20
"""libsvm's cache of kernel rows in scikit-learn: 4 bytes a value, filled as they are needed."""
NODE_BYTES = 64.0
"""A node of a scikit-learn tree, beside 8 bytes per class."""
RAW_BYTES = 8.0
"""A value in XGBoost's DMatrix: its column and itself, 4 bytes each; QuantileDMatrix keeps none."""
SORTING_BYTES = 24.0
"""Of a row in a tree that grows: its place, its value, its weight, 8 bytes each."""
KEPT_BYTES = {"catboost": 4.0}
"""Of a value in the library's own copy, beside its bin."""
EARLY_ROWS, KEPT_SHARE = 10_000, 0.9
"""Beyond so many rows scikit-learn's histogram boosting sets a tenth aside to stop early, and copies the rest."""

Terms = dict[str, float]


def peak(work: TableWorkload, device: Device) -> Terms:
    """Bytes by term, when reading or when fitting, whichever is more."""
    reading, fitting = _reading(work), _fitting(work, device)
    return max(reading, fitting, key=lambda terms: sum(terms.values()))


def table_bytes(work: TableWorkload) -> float:
    """The table as the job's program holds it, with its target."""
    held = work.rows if work.in_memory else min(work.rows, CHUNK_ROWS)
    return held * work.columns * work.dtype_bytes + work.rows * 8.0


def tree_bytes(work: TableWorkload) -> float:
    """The finished model's trees."""
    if work.algorithm not in BOOSTED | UNBOOSTED | {"isolation-forest"}:
        return 0.0
    nodes = 2 * leaves(work) * work.trees * (outputs(work) if work.algorithm in BOOSTED else 1)
    return nodes * (NODE_BYTES + (8.0 * max(1, work.classes) if work.algorithm in UNBOOSTED else 0.0))


def _reading(work: TableWorkload) -> Terms:
    """A text file is parsed in pieces that are joined and put in order: for a moment the table is there several times."""
    if not work.file_bytes or not work.parsing:
        return {}
    table = table_bytes(work)
    return {"import": _import(work), "table": table, "parsing": table * work.parsing}


def _fitting(work: TableWorkload, device: Device) -> Terms:
    own = _library(work, device)
    many = work.parallel_fits
    terms = {"import": _import(work), "table": table_bytes(work)}
    terms |= {name: count * many for name, count in own.items()}
    if work.fits > 1:
        terms["folds"] = table_bytes(work) * many * (work.folds > 1)
    if many > 1:
        terms["workers"] = many * _import(work)
    return {name: count for name, count in terms.items() if count > 0}


def _library(work: TableWorkload, device: Device) -> Terms:
    """What one fit keeps beside the table."""
    shape = find_algorithm(work.algorithm)
    assert shape is not None
    values = work.rows * work.columns
    if work.on_gpu and work.library != "lightgbm":
        return {"copy": values * RAW_BYTES if work.keeps_raw else 0.0, "trees": tree_bytes(work)}
    if work.algorithm in BOOSTED and work.bins:
        return _boosted(work, device, values)
    if shape.shape == "isolation":
        return {"copy": values * 4.0 if work.dtype_bytes != 4 else 0.0, "trees": tree_bytes(work)}
    if work.algorithm in BOOSTED or shape.single:
        copy = values * 4.0 if work.dtype_bytes != 4 else 0.0
        return {"copy": copy, "trees": tree_bytes(work), "sorting": _forest_threads(work, device)}
    terms = {"copy": values * max(4.0, float(work.dtype_bytes)) * shape.copies}
    if shape.shape == "kernel":
        terms["kernel"] = min(float(KERNEL_CACHE), work.rows**2 * 4.0)
    if shape.shape in ("squares", "least-squares"):
        terms["products"] = min(work.rows, work.columns) ** 2 * 8.0 * 3
    if shape.shape != "pass":
        terms["rows"] = work.rows * constant("solver_row_bytes") * max(1, outputs(work))
    return terms


def _boosted(work: TableWorkload, device: Device, values: float) -> Terms:
    lib = work.library if work.library in ("xgboost", "lightgbm", "catboost") else "sklearn"
    width = 1.0 if work.bins <= 256 else 2.0
    return {
        "copy": values * _kept(work, lib),
        "binned": values * width * constant(f"{lib}_binned"),
        "gradients": work.rows * outputs(work) * constant(f"{lib}_row_bytes"),
        "histograms": leaves(work) * work.columns * min(work.bins, work.rows) * constant(f"{lib}_histogram"),
        "trees": tree_bytes(work),
        "threads": threads(work, device) * work.columns * work.bins * HISTOGRAM_BYTES,
    }


def _kept(work: TableWorkload, lib: str) -> float:
    """Bytes per value of the library's own copy of the table, beside its bins."""
    if lib == "sklearn":
        return KEPT_SHARE * work.dtype_bytes if work.rows > EARLY_ROWS else 0.0
    return RAW_BYTES if work.keeps_raw else KEPT_BYTES.get(lib, 0.0)


def _forest_threads(work: TableWorkload, device: Device) -> float:
    """Trees that grow at the same time hold the order of their rows, a column's values, and the rows' weights."""
    growing = min(ceil(threads(work, device)), work.trees)
    return growing * work.rows * SORTING_BYTES


def _import(work: TableWorkload) -> float:
    return constant(f"import_{work.library}") * GIB
