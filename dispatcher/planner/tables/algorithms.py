"""Classical algorithms: their spellings, how they work, and their libraries' defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm. `shape` names the formulas that hold for it; `names` are other spellings.

    `gpu` is whether cuML has it, `scales` whether one fit uses several cores in scikit-learn, `single` whether it takes
    only float32 (so that a float64 table is copied), `iterations` the passes that a fit usually needs.
    """

    name: str
    shape: str
    names: tuple[str, ...] = ()
    gpu: bool = False
    scales: bool = False
    single: bool = False
    iterations: int = 1


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a library takes for what is not set; depth 0 and leaves 0: no limit."""

    trees: int
    depth: int
    leaves: int
    bins: int


ALGORITHMS = (
    Algorithm("hist-gradient-boosting", "boosting", ("histgradientboosting", "hgb", "hist", "histgbm"), scales=True),
    Algorithm("gradient-boosting", "boosting", ("gbm", "gbdt", "xgb", "lgbm", "xgbrf", "catboost", "boosting"), scales=True),
    Algorithm("random-forest", "forest", ("forest", "rf"), gpu=True, scales=True, single=True),
    Algorithm("extra-trees", "forest", ("extratrees", "extremely-randomized-trees"), scales=True, single=True),
    Algorithm("decision-tree", "forest", ("tree", "cart"), single=True),
    Algorithm("isolation-forest", "isolation", (), scales=True, single=True),
    Algorithm("logistic-regression", "linear", ("logistic", "logisticregressioncv", "logit"), gpu=True, scales=True, iterations=100),
    Algorithm("linear-regression", "squares", ("linear", "ols", "least-squares"), gpu=True, scales=True),
    Algorithm("ridge", "squares", ("ridgecv", "ridge-regression"), gpu=True, scales=True),
    Algorithm("lasso", "linear", ("lassocv", "lasso-regression"), gpu=True, iterations=100),
    Algorithm("elastic-net", "linear", ("elasticnetcv",), gpu=True, iterations=100),
    Algorithm("sgd", "linear", ("sgd-linear", "perceptron", "passive-aggressive"), iterations=20),
    Algorithm("linear-svm", "linear", ("linearsvc", "linearsvr", "linear-svc"), gpu=True, iterations=100),
    Algorithm("svm", "kernel", ("svc", "svr", "nusvc", "nusvr", "oneclasssvm", "support-vector-machine"), gpu=True),
    Algorithm("kmeans", "clusters", ("k-means",), gpu=True, scales=True, iterations=100),
    Algorithm("minibatch-kmeans", "clusters", ("mini-batch-k-means",), scales=True, iterations=5),
    Algorithm("gaussian-mixture", "clusters", ("gmm", "bayesiangaussianmixture"), scales=True, iterations=100),
    Algorithm("knn", "neighbours", ("kneighbors", "k-nearest-neighbors", "k-nearest-neighbours", "nearest-neighbors"), gpu=True, scales=True),
    Algorithm("dbscan", "neighbours", ("hdbscan", "optics"), gpu=True, scales=True),
    Algorithm("pca", "squares", ("incremental-pca", "truncated-svd", "svd"), gpu=True, scales=True),
    Algorithm("naive-bayes", "pass", ("gaussiannb", "multinomialnb", "bernoullinb", "complementnb", "nb"), gpu=True),
    Algorithm("linear-discriminant-analysis", "squares", ("lda", "qda", "quadratic-discriminant-analysis"), scales=True),
    Algorithm("mlp", "network", ("multilayer-perceptron", "neural-network"), scales=True, iterations=100),
    Algorithm("ada-boost", "forest", ("adaboost",), single=True),
)  # fmt: skip
"""What is known, with scikit-learn's behaviour."""

LIBRARY_DEFAULTS = {
    "xgboost": Defaults(100, 6, 0, 256),
    "lightgbm": Defaults(100, 0, 31, 255),
    "catboost": Defaults(1000, 6, 0, 254),
    "sklearn": Defaults(100, 0, 31, 255),
    "cuml": Defaults(100, 16, 0, 128),
}
"""Boosting rounds (trees), depth, leaves and bins of each library's documentation, 2026-11."""

EXACT = Defaults(100, 3, 0, 0)
"""scikit-learn's GradientBoosting, which sorts values instead of binning them."""

OWNERS = {"xgb": "xgboost", "lgbm": "lightgbm", "lightgbm": "lightgbm", "catboost": "catboost", "xgboost": "xgboost"}
"""Beginnings of class names that tell their library."""

_ENDINGS = ("classifier", "regressor", "regression", "clustering", "cv")


def find_algorithm(text: str) -> Algorithm | None:
    """The algorithm so spelled, as a class (`RandomForestRegressor`) or in words; None where unknown."""
    known = _spellings()
    plain = _plain(text)
    if plain in known:
        return known[plain]
    for ending in _ENDINGS:
        if plain.endswith(ending) and plain.removesuffix(ending) in known:
            return known[plain.removesuffix(ending)]
    return None


def similar_algorithms(text: str) -> tuple[str, ...]:
    """Names like this one, best first."""
    near = get_close_matches(_plain(text), list(_spellings()), n=4, cutoff=0.5)
    return tuple(dict.fromkeys(_spellings()[name].name for name in near))


def library_of(text: str) -> str | None:
    """The library that a class name tells; None where it is not a class of one of them."""
    plain = _plain(text)
    return next((library for start, library in OWNERS.items() if plain.startswith(start)), None)


def is_regression(text: str) -> bool:
    """Whether the spelling says that numbers are predicted, not classes."""
    plain = _plain(text)
    return plain.endswith(("regressor", "svr", "regression")) and "logistic" not in plain


@cache
def _spellings() -> dict[str, Algorithm]:
    found = {_plain(word): entry for entry in reversed(ALGORITHMS) for word in entry.names}
    return found | {_plain(entry.name): entry for entry in ALGORITHMS}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.rpartition(".")[2].lower())
