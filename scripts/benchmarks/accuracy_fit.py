"""One fit in a process of its own, measured.

Prints its seconds and its peak of memory as JSON.

Called by accuracy.py with the job's model and dataset as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: F401 - a job on tables has it imported

INFORMATIVE = 6
"""Columns that the target hangs on."""
CLASSES = {
    "random-forest": ("sklearn.ensemble", "RandomForestClassifier"),
    "random-forest-regression": ("sklearn.ensemble", "RandomForestRegressor"),
    "extra-trees": ("sklearn.ensemble", "ExtraTreesClassifier"),
    "decision-tree": ("sklearn.tree", "DecisionTreeClassifier"),
    "isolation-forest": ("sklearn.ensemble", "IsolationForest"),
    "hist-gradient-boosting": ("sklearn.ensemble", "HistGradientBoostingClassifier"),
    "gradient-boosting": ("sklearn.ensemble", "GradientBoostingClassifier"),
    "logistic-regression": ("sklearn.linear_model", "LogisticRegression"),
    "linear-regression": ("sklearn.linear_model", "LinearRegression"),
    "ridge": ("sklearn.linear_model", "Ridge"),
    "lasso": ("sklearn.linear_model", "Lasso"),
    "sgd": ("sklearn.linear_model", "SGDClassifier"),
    "linear-svm": ("sklearn.svm", "LinearSVC"),
    "svm": ("sklearn.svm", "SVC"),
    "kmeans": ("sklearn.cluster", "KMeans"),
    "minibatch-kmeans": ("sklearn.cluster", "MiniBatchKMeans"),
    "gaussian-mixture": ("sklearn.mixture", "GaussianMixture"),
    "knn": ("sklearn.neighbors", "KNeighborsClassifier"),
    "dbscan": ("sklearn.cluster", "DBSCAN"),
    "pca": ("sklearn.decomposition", "PCA"),
    "naive-bayes": ("sklearn.naive_bayes", "GaussianNB"),
    "linear-discriminant-analysis": ("sklearn.discriminant_analysis", "LinearDiscriminantAnalysis"),
    "mlp": ("sklearn.neural_network", "MLPClassifier"),
    "ada-boost": ("sklearn.ensemble", "AdaBoostClassifier"),
    "xgboost": ("xgboost", "XGBClassifier"),
    "lightgbm": ("lightgbm", "LGBMClassifier"),
}
NAMES = {
    "sklearn": {"trees": "n_estimators", "depth": "max_depth", "leaves": "max_leaf_nodes"},
    "xgboost": {"trees": "n_estimators", "depth": "max_depth", "bins": "max_bin", "leaves": "max_leaves"},
    "lightgbm": {"trees": "n_estimators", "depth": "max_depth", "leaves": "num_leaves", "bins": "max_bin"},
}
"""The libraries' words for the job's."""


def main() -> int:
    """Make a table, fit it, tell."""
    job = json.loads(sys.argv[1])
    model, data = job["model"], job["dataset"]
    estimator = build(model, int(job["env"]["OMP_NUM_THREADS"]))
    table, target = make(int(data["rows"]), int(data["columns"]), data["dtype"], model["algorithm"])
    before = _peak()
    began, busy = time.perf_counter(), time.process_time()
    if model["library"] == "xgboost" and model["algorithm"] == "gradient-boosting":
        _native(estimator, table, target)
    else:
        estimator.fit(table, target)
    if model["algorithm"] == "knn":
        estimator.predict(table[: len(table) // 4])
    print(
        json.dumps(
            {"seconds": time.perf_counter() - began, "cpu": time.process_time() - busy, "peak": _peak(), "before": before}
        )
    )
    return 0


def build(model: dict[str, Any], threads: int) -> Any:
    """The estimator that the job describes."""
    library, algorithm = model["library"], model["algorithm"]
    module, name = CLASSES[library if library in CLASSES else algorithm]
    words = dict(NAMES[library])
    if algorithm == "hist-gradient-boosting":
        words["trees"] = "max_iter"
    settings = {words[key]: value for key, value in model.items() if key in words}
    made = getattr(importlib.import_module(module), name)
    if library == "lightgbm":
        settings |= {"verbose": -1}
    if "n_jobs" in made().get_params() and algorithm not in ("logistic-regression", "linear-regression"):
        settings |= {"n_jobs": threads}
    if algorithm == "dbscan":
        settings |= {"eps": 0.3}
    if algorithm == "gaussian-mixture":
        settings |= {"n_components": 8, "covariance_type": "diag"}
    return made(**settings)


def _native(estimator: Any, table: Any, target: Any) -> None:
    """XGBoost's own interface, whose DMatrix keeps the values."""
    xgboost = importlib.import_module("xgboost")
    settings = {"max_depth": estimator.max_depth or 6, "nthread": estimator.n_jobs, "objective": "binary:logistic"}
    xgboost.train(settings, xgboost.DMatrix(table, target), num_boost_round=estimator.n_estimators or 100)


def make(rows: int, columns: int, dtype: str, algorithm: str) -> tuple[Any, Any]:
    """A table of noise and a target that a few of its columns tell, with errors; no larger copy of either is made."""
    numbers = np.random.default_rng(0)
    table = numbers.random((rows, columns), dtype=np.dtype(dtype))
    first = min(INFORMATIVE, columns)
    told = np.sin(4 * table[:, :first]).sum(axis=1) + numbers.normal(0, 0.35, rows)
    if algorithm in ("random-forest-regression", "linear-regression", "ridge", "lasso"):
        return table, told
    return table, (told > np.median(told)).astype(np.int64)


def _peak() -> float:
    """GiB: the most memory that this process has held. Linux counts what the parent held before it into ru_maxrss."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    raise SystemExit(main())
