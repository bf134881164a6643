"""What a script reads its data from: files, bundled tables, collections."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from dispatcher.jobfile.readings import NAMED, Reading, whole
from dispatcher.jobfile.scope import Scope, called

READERS = frozenset({
    "read_csv", "read_table", "read_parquet", "read_feather", "read_excel", "read_json", "read_pickle", "read_hdf", "read_orc",
    "read_stata", "read_sas", "read_ipc", "scan_csv", "scan_parquet", "scan_ipc", "load_svmlight_file", "loadtxt", "genfromtxt",
    "memmap", "load_npz", "load_from_disk", "ImageFolder", "DatasetFolder", "DMatrix", "image_dataset_from_directory",
})  # fmt: skip
"""Functions whose first argument is a file or folder of data."""

OWNED = {"load": ("np", "numpy", "cp", "cupy"), "fromfile": ("np", "numpy")}
"""Those that mean it only on NumPy: a checkpoint is loaded with the same word."""

BUNDLED = {
    "load_iris": (150, 4), "load_digits": (1797, 64), "load_wine": (178, 13), "load_breast_cancer": (569, 30),
    "load_diabetes": (442, 10), "load_linnerud": (20, 3), "fetch_california_housing": (20640, 8), "fetch_covtype": (581012, 54),
    "fetch_kddcup99": (494021, 41), "fetch_olivetti_faces": (400, 4096),
}  # fmt: skip
"""Rows and columns of scikit-learn's own tables (its documentation, 1.7, 2026-11)."""

MADE = {"make_classification": (100, 20), "make_regression": (100, 100), "make_blobs": (100, 2), "make_moons": (100, 2),
    "make_circles": (100, 2), "make_friedman1": (100, 10), "make_hastie_10_2": (12000, 10)}  # fmt: skip
"""Rows and columns that scikit-learn's generators make if not told otherwise (its documentation, 1.7, 2026-11)."""

COLLECTIONS = {"MNIST": 60000, "FashionMNIST": 60000, "KMNIST": 60000, "CIFAR10": 50000, "CIFAR100": 50000, "SVHN": 73257,
    "ImageNet": 1281167, "OxfordIIITPet": 3680, "Flowers102": 1020, "Food101": 75750}  # fmt: skip
"""Training images of torchvision's datasets (its documentation, 0.24, 2026-11)."""

SIDES = {"MNIST": 28, "FashionMNIST": 28, "KMNIST": 28, "CIFAR10": 32, "CIFAR100": 32, "SVHN": 32}
"""Pixels a side of those whose images are all of one size (torchvision's documentation, 0.24, 2026-11)."""
RESIZING = re.compile(r"(?i)resize|interpolate|upsample|crop|create_transform|transforms$|processor|extractor|letterbox")
"""Names of what may change an image's size."""

LEARNED = re.compile(r"(?i)(^|[^a-z])train")
WEB = ("http://", "https://", "s3://", "gs://", "hf://", "ftp://")


@dataclass(frozen=True, slots=True)
class Read:
    """One place where data come in: a path (or none), and what of rows and columns is written beside it."""

    path: str | None
    line: int
    rows: int | None = None
    columns: int | None = None
    words: str = "read in"


def data_reads(scope: Scope, calls: list[ast.Call]) -> list[Read]:
    """Every place where data come in; a path of None is one that cannot be told."""
    return [one for call in calls for one in _read(scope, call)]


def learned_from(reads: list[Read], sizes: dict[str, int]) -> Iterator[Reading]:
    """What is learned from: the one that is called train, else the largest there is; several unknown ones are unread."""
    paths = [one for one in reads if one.path]
    named = [one for one in paths if LEARNED.search(str(one.path))]
    there = sorted((one for one in paths if one.path in sizes), key=lambda one: -sizes[str(one.path)])
    chosen = (named if len(named) == 1 else there or paths)[:1] or reads[:1]
    for one in chosen:
        if one.path or one.rows is None:
            yield Reading("dataset.path", one.path, one.line)
        if one.rows:
            yield Reading("dataset.samples", one.rows, one.line, words=one.words)
        if one.columns:
            yield Reading("dataset.columns", one.columns, one.line, words=one.words)


def own_side(calls: list[ast.Call]) -> Iterator[Reading]:
    """The size of a dataset's images, where nothing in the script changes it."""
    names = [called(call) for call in calls]
    if any(RESIZING.search(name) for name in names):
        return
    for call, name in zip(calls, names, strict=True):
        if name in SIDES:
            yield Reading("model.image_size", SIDES[name], call.lineno, strength=NAMED, words=f"{name}'s own, made in")


def _read(scope: Scope, call: ast.Call) -> Iterator[Read]:
    name, given = called(call), scope.keywords(call)
    owners = OWNED.get(name)
    owned = owners and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
    if name in READERS or (owned and call.func.value.id in owners):  # type: ignore[attr-defined, operator]
        yield _from_file(scope, call, given)
    elif name == "load_dataset" and call.args:
        yield _from_hub(scope, call, given)
    elif name in BUNDLED:
        yield Read(None, call.lineno, *BUNDLED[name], words=f"{name}'s own, called in")
    elif name in MADE:
        yield _generated(scope, call, given)
    elif name in COLLECTIONS and not _is_test(scope, given):
        yield Read(None, call.lineno, COLLECTIONS[name], None, words=f"{name}'s own, made in")


def _from_file(scope: Scope, call: ast.Call, given: dict[str, ast.AST]) -> Read:
    keys = ("filepath_or_buffer", "path", "source", "file", "fname", "io", "root", "data", "f", "directory")
    node = call.args[0] if call.args else next((given[key] for key in keys if key in given), None)
    known = scope.read(node)
    path = str(known.value) if known and isinstance(known.value, str) else None
    columns = scope.read(given.get("usecols") or given.get("columns"))
    rows = scope.read(given.get("nrows") or given.get("n_rows"))
    return Read(
        path and path.partition("?")[0],
        call.lineno,
        whole(rows.value) if rows else None,
        len(columns.value) if columns and isinstance(columns.value, list) else None,
    )


def _from_hub(scope: Scope, call: ast.Call, given: dict[str, ast.AST]) -> Read:
    """load_dataset("csv", data_files="x.csv") is a file; load_dataset("imdb") is the hub's."""
    known, files = scope.read(call.args[0]), scope.read(given.get("data_files"))
    value = files.value if files else None
    if isinstance(value, dict):
        value = value.get("train")
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if "data_files" in given:
        return Read(value if isinstance(value, str) else None, call.lineno)
    name = known.value if known and isinstance(known.value, str) else None
    return Read(f"hf://{name}" if name and not name.startswith((".", "/")) else name, call.lineno)


def _generated(scope: Scope, call: ast.Call, given: dict[str, ast.AST]) -> Read:
    """Rows and columns of a made table; None for one that is given and cannot be read."""
    found: list[int | None] = []
    for index, (key, default) in enumerate(zip(("n_samples", "n_features"), MADE[called(call)], strict=True)):
        node = given.get(key) or (call.args[index] if len(call.args) > index and (index == 0 or key in _ORDERED) else None)
        known = scope.read(node)
        found.append(default if node is None else whole(known.value) if known else None)
    return Read(None, call.lineno, found[0], found[1])


_ORDERED = ("n_samples", "n_features")


def _is_test(scope: Scope, given: dict[str, ast.AST]) -> bool:
    """Whether a collection's part for tests is asked for."""
    train, split = scope.read(given.get("train")), scope.read(given.get("split"))
    return bool((train and train.value is False) or (split and split.value not in ("train", "trainval")))
