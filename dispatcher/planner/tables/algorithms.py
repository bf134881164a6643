"""Classical algorithms: their spellings, how they work, and their libraries' defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

BOOSTERS = ("xgboost", "lightgbm", "catboost", "boosting")
BAYES = ("gaussian-nb", "multinomial-nb", "bernoulli-nb", "complement-nb")
DISCRIMINANT = ("quadratic-discriminant-analysis",)
NEAREST = ("k-nearest-neighbors", "k-nearest-neighbours")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm. `shape` names the formulas that hold for it; `names` are other spellings.

    `gpu` is whether cuML has it, `scales` whether one fit uses several cores in scikit-learn, `single` whether it takes only
    float32 (so that a float64 table is copied),
    `alone` whether it stays on one core there unless n_jobs asks for more, `streams` whether it can be fed in
    chunks, `iterations` the passes that a
    fit usually needs, `copies` how often the table is held once more meanwhile. `trees` and `depth` are scikit-learn's
    defaults where they are the algorithm's own.
    """

    name: str
    shape: str
    names: tuple[str, ...] = ()
    gpu: bool = False
    scales: bool = False
    single: bool = False
    alone: bool = False
    streams: bool = False
    iterations: int = 1
    copies: int = 0
    trees: int = 0
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a library takes for what is not set; 0: no limit, and for bins that values are sorted instead."""

    trees: int
    depth: int
    leaves: int
    bins: int


ALGORITHMS = (
    Algorithm("hist-gradient-boosting", "boosting", ("histgradientboosting", "hgb", "hist", "histgbm"), scales=True),
    Algorithm("gradient-boosting", "boosting", ("gbm", "gbdt", "xgb", "lgbm", *BOOSTERS), scales=True),
    Algorithm("random-forest", "forest", ("forest", "rf", "xgbrf"), gpu=True, scales=True, alone=True, single=True),
    Algorithm("extra-trees", "forest", ("extremely-randomized-trees",), scales=True, alone=True, single=True),
    Algorithm("decision-tree", "forest", ("tree", "cart", "extra-tree"), single=True, trees=1),
    Algorithm("ada-boost", "forest", (), single=True, trees=50, depth=1),
    Algorithm("isolation-forest", "isolation", (), scales=True, alone=True, single=True),
    Algorithm("logistic-regression", "linear", ("logistic", "logit"), gpu=True, scales=True, iterations=10),
    Algorithm("lasso", "coordinates", (), gpu=True, iterations=4, copies=1),
    Algorithm("elastic-net", "coordinates", (), gpu=True, iterations=4, copies=1),
    Algorithm("sgd", "coordinates", ("sgd-linear", "perceptron", "passive-aggressive"), streams=True, iterations=20),
    Algorithm("linear-svm", "coordinates", ("linearsvc", "linearsvr"), gpu=True, iterations=50, copies=2),
    Algorithm("linear-regression", "least-squares", ("linear", "ols", "least-squares"), gpu=True, scales=True, copies=2),
    Algorithm("ridge", "squares", (), gpu=True, scales=True, copies=1),
    Algorithm("pca", "squares", ("truncated-svd", "svd"), gpu=True, scales=True),
    Algorithm("incremental-pca", "squares", ("ipca",), scales=True, streams=True),
    Algorithm("linear-discriminant-analysis", "least-squares", ("lda", "qda", *DISCRIMINANT), scales=True, copies=4),
    Algorithm("svm", "kernel", ("svc", "svr", "nusvc", "nusvr", "one-class-svm", "support-vector-machine"), gpu=True, copies=1),
    Algorithm("kmeans", "clusters", (), gpu=True, scales=True, iterations=60, copies=1),
    Algorithm("minibatch-kmeans", "batches", (), scales=True, streams=True, iterations=3),
    Algorithm("gaussian-mixture", "mixture", ("gmm", "bayesian-gaussian-mixture"), scales=True, iterations=50, copies=1),
    Algorithm("knn", "neighbours", ("kneighbors", "nearest-neighbors", *NEAREST), gpu=True, scales=True, alone=True, copies=1),
    Algorithm("dbscan", "neighbours", ("hdbscan", "optics"), gpu=True, scales=True, alone=True, copies=1),
    Algorithm("naive-bayes", "pass", BAYES, gpu=True, streams=True, copies=1),
    Algorithm("mlp", "network", ("multilayer-perceptron", "neural-network"), scales=True, streams=True, iterations=100),
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

STREAMING_LIBRARIES = frozenset({"xgboost", "lightgbm"})
"""Boosting libraries that can be fed a table in chunks: they keep its bins, not its values."""

_ENDINGS = ("classifier", "regressor", "regression", "clustering", "cv", "classification")


@lru_cache(maxsize=256)
def find_algorithm(text: str) -> Algorithm | None:
    """The algorithm so spelled, as a class (`RandomForestRegressor`) or in words; None where unknown."""
    known = _spellings()
    plain = _plain(text)
    stems = (plain, *(plain.removesuffix(ending) for ending in _ENDINGS))
    return next((known[stem] for stem in stems if stem in known), None)


def streams(library: str, algorithm: Algorithm) -> bool:
    """Whether the library can fit the algorithm to a table that is read in chunks."""
    return library in STREAMING_LIBRARIES or (library == "sklearn" and algorithm.streams)


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
