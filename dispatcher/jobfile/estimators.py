"""Estimators of classical libraries in a script, and their searches."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dispatcher.jobfile.readings import Argument, Reading, read, whole
from dispatcher.jobfile.scope import Scope, called, last

CLASSES = re.compile(
    r"(RandomForest|ExtraTrees|HistGradientBoosting|GradientBoosting|DecisionTree|ExtraTree|AdaBoost|SGD|Perceptron"
    r"|PassiveAggressive|Ridge|KNeighbors|MLP|XGB|XGBRF|LGBM|CatBoost)(Classifier|Regressor|ClassifierCV|Ranker)"
    r"|IsolationForest|LogisticRegression(CV)?|Lasso(CV)?|ElasticNet(CV)?|LinearSV[CR]|LinearRegression|Ridge(CV)?|(Nu)?SV[CR]"
    r"|OneClassSVM|KMeans|MiniBatchKMeans|(Bayesian)?GaussianMixture|NearestNeighbors|H?DBSCAN|OPTICS|(Gaussian|Multinomial"
    r"|Bernoulli|Complement)NB|LinearDiscriminantAnalysis|QuadraticDiscriminantAnalysis|CatBoost"
)
"""Classes that fit a model to a table."""

MINOR = ("PCA", "IncrementalPCA", "TruncatedSVD")
"""Those that are a step before another more often than the work itself."""

BOOSTING_CALLS = {("xgboost", "train"), ("xgboost", "cv"), ("lightgbm", "train"), ("lightgbm", "cv"), ("catboost", "train")}
LIBRARIES = ("sklearn", "xgboost", "lightgbm", "catboost", "cuml")
OWNERS = (("XGB", "xgboost"), ("LGBM", "lightgbm"), ("CatBoost", "catboost"))

JOBS = ("n_jobs", "nthread", "num_threads", "num_thread", "thread_count")
ALONE = re.compile(
    r"(RandomForest|ExtraTrees|KNeighbors)(Classifier|Regressor)|IsolationForest|NearestNeighbors|H?DBSCAN|OPTICS"
)
"""scikit-learn's estimators that use one core unless n_jobs says otherwise (documentation of 1.7, 2026-11)."""
TREES = Argument("model.trees", whole)
DEPTH = Argument("model.depth", whole)
LEAVES = Argument("model.leaves", whole)
BINS = Argument("model.bins", whole)
THREADS = Argument("model.threads", lambda value: whole(value) or (-1 if isinstance(value, int) and value < 0 else None))
ARGUMENTS: dict[str, Argument] = {
    **dict.fromkeys(("n_estimators", "num_boost_round", "num_iterations", "num_trees", "num_round", "iterations"), TREES),
    **dict.fromkeys(("max_depth", "depth"), DEPTH),
    **dict.fromkeys(("num_leaves", "max_leaf_nodes", "max_leaves"), LEAVES),
    **dict.fromkeys(("max_bin", "max_bins", "border_count", "n_bins"), BINS),
    **dict.fromkeys(JOBS, THREADS),
}
"""Arguments of estimators, and entries of parameter dicts."""

ON_GPU = {
    "device": ("cuda", "gpu"), "tree_method": ("gpu_hist",), "device_type": ("gpu", "cuda"), "task_type": ("GPU",),
}  # fmt: skip
"""Arguments that put XGBoost, LightGBM or CatBoost on a GPU."""

SEARCHES = ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "BayesSearchCV")
VALIDATIONS = ("cross_val_score", "cross_validate", "cross_val_predict", "learning_curve")
SPLITTERS = {"KFold": 5, "StratifiedKFold": 5, "GroupKFold": 5, "TimeSeriesSplit": 5, "ShuffleSplit": 10,
    "StratifiedShuffleSplit": 10, "RepeatedKFold": 5, "RepeatedStratifiedKFold": 5}  # fmt: skip
"""scikit-learn's splitters and the splits they make by default (documentation of 1.7, 2026-11)."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One estimator that a script makes: its class (or words), library, and what its arguments say."""

    name: str
    library: str
    line: int
    readings: tuple[Reading, ...] = ()
    searched: bool = False
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """How one names it to the person whose script it is."""
        return f"{self.name} in line {self.line}"


def fits(scope: Scope, calls: list[ast.Call], roots: dict[str, str]) -> list[Fit]:
    """The estimators that matter: the searched ones, else all that are no mere step. `roots`: names and their libraries."""
    searches = [call for call in calls if called(call) in (*SEARCHES, *VALIDATIONS)]
    grids = {key: node for call in searches for key, node in _grid(scope, call).items()}
    searched = {id(one) for call in searches for one in _estimators_in(scope, call)}
    notes = tuple(_without_limit(scope, grids))
    found = [
        Fit(called(call), library, call.lineno, tuple(_arguments(scope, call, grids, library)), id(call) in searched, notes)
        for call in calls
        if (library := _library(call, roots)) and (CLASSES.fullmatch(called(call)) or called(call) in MINOR)
    ]
    found += [one for call in calls for one in _boosted(scope, call, roots)]
    major = [one for one in found if one.name not in MINOR] or found
    chosen = [one for one in major if one.searched] or major
    return list({(one.name, one.library, one.readings): one for one in chosen}.values())


def searched(scope: Scope, calls: list[ast.Call]) -> Iterator[Reading]:
    """Candidates, folds and jobs of the script's grid search or cross-validation."""
    found = [call for call in calls if called(call) in SEARCHES]
    validated = [call for call in calls if called(call) in VALIDATIONS]
    for call in found[:1] or validated[:1]:
        given = scope.keywords(call)
        candidates = _candidates(scope, call, given) if found else 1
        yield Reading("model.search.candidates", candidates, call.lineno)
        yield Reading("model.search.folds", _folds(scope, given.get("cv")), call.lineno)
        if "n_jobs" in given:
            yield from read(scope, "model.search.jobs", given["n_jobs"])
    for call in calls:
        given = scope.keywords(call)
        if called(call) == "optimize" and "n_trials" in given:
            yield from read(scope, "model.search.candidates", given["n_trials"], convert=whole)
        if called(call) == "cv" and "nfold" in given:
            yield from read(scope, "model.search.folds", given["nfold"], convert=whole)


def _library(call: ast.Call, roots: dict[str, str]) -> str:
    """The library whose class a call makes; "" where it is another's."""
    name = called(call)
    base: ast.expr = call.func
    while isinstance(base, ast.Attribute):
        base = base.value
    root = roots.get(last(base), "")
    own = next((library for start, library in OWNERS if name.startswith(start)), "")
    return root if root in LIBRARIES else own if root else ""


def _arguments(scope: Scope, call: ast.Call, grids: dict[str, ast.AST], library: str) -> Iterator[Reading]:
    entries = scope.keywords(call) | {key: node for key, node in grids.items() if key in ARGUMENTS}
    entries = {key: node for key, node in entries.items() if key not in JOBS}
    yield from _threads(scope, call, library)
    for key, node in entries.items():
        if key in ARGUMENTS and key in grids:
            yield from _averaged(scope, ARGUMENTS[key], node)
        elif key in ARGUMENTS:
            yield from read(scope, ARGUMENTS[key].setting, node, convert=ARGUMENTS[key].convert)
        elif key in ON_GPU and (known := scope.read(node)) and str(known.value).startswith(ON_GPU[key]):
            yield Reading("resources.gpu", 1, call.lineno)
    if called(call).startswith("HistGradientBoosting") and "max_iter" in entries:
        yield from read(scope, "model.trees", entries["max_iter"], convert=whole)


def _threads(scope: Scope, call: ast.Call, library: str) -> Iterator[Reading]:
    """Cores of one fit: n_jobs, or scikit-learn's default; cpu_count() are all of them."""
    if library == "sklearn" and not ALONE.fullmatch(called(call)):
        return
    given = scope.keywords(call)
    node = next((given[name] for name in JOBS if name in given), None)
    known = scope.read(node)
    if called(scope.behind(node)) == "cpu_count":
        yield Reading("model.threads", -1, call.lineno)
    elif node is not None and not (known and known.value is None):
        yield from read(scope, "model.threads", node, convert=THREADS.convert)
    elif library == "sklearn":
        yield Reading("model.threads", 1, call.lineno, words=f"the default of {called(call)}, made in")


def _averaged(scope: Scope, argument: Argument, node: ast.AST) -> Iterator[Reading]:
    """What a grid tries, as one value: the work of all candidates is that of their mean.

    None and -1 among them are no limit, and so is the mean: then there is nothing to read.
    """
    line = getattr(node, "lineno", 0)
    tried = _tried(scope, node)
    if tried and any(_unlimited(one) for one in tried):
        return
    if not tried or not all(whole(one) for one in tried):
        yield Reading(argument.setting, None, line)
        return
    shown = ", ".join(map(str, tried[:6]))
    yield Reading(argument.setting, max(1, round(sum(tried) / len(tried))), line, words=f"mean of {shown} in")


def _tried(scope: Scope, node: ast.AST) -> list[Any]:
    """The values that a search tries for one argument: a list's, or the bounds of scipy's randint."""
    found = scope.behind(node)
    if isinstance(found, ast.Call) and called(found) == "randint":
        bounds = [one.value if one else None for one in map(scope.read, found.args)]
        return bounds if len(bounds) == 2 else []
    known = scope.read(node)
    return known.value if known and isinstance(known.value, list) else []


def _unlimited(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value < 0)


def _without_limit(scope: Scope, grids: dict[str, ast.AST]) -> Iterator[str]:
    """What is said of arguments that a grid also leaves without a limit."""
    for key, node in grids.items():
        tried = _tried(scope, node) if key in ARGUMENTS else []
        if any(_unlimited(one) for one in tried) and len(tried) > 1:
            shown = ", ".join(map(str, tried[:6]))
            yield f"The search tries {key} {shown}: counted without that limit, as its dearest candidates."


def _boosted(scope: Scope, call: ast.Call, roots: dict[str, str]) -> Iterator[Fit]:
    """xgb.train(params, …) and its like."""
    base = last(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    library = roots.get(base, "")
    if (library, called(call)) not in BOOSTING_CALLS:
        return
    given = scope.keywords(call)
    params = call.args[0] if call.args else given.get("params")
    entries = scope.entries(params) | {key: node for key, node in given.items() if key in ARGUMENTS}
    if len(call.args) > 2 and library in ("xgboost", "lightgbm"):
        entries["num_boost_round"] = call.args[2]
    readings = [r for key, node in entries.items() if key in ARGUMENTS for r in _entry(scope, key, node)]
    for key, node in entries.items():
        known = scope.read(node) if key in ON_GPU else None
        if known and str(known.value).startswith(ON_GPU[key]):
            readings.append(Reading("resources.gpu", 1, call.lineno))
    if library in ("xgboost", "lightgbm") and not any(one.setting == "model.trees" for one in readings):
        trees = 10 if library == "xgboost" else 100
        readings.append(Reading("model.trees", trees, call.lineno, words=f"the default of {library}.{called(call)}, called in"))
    yield Fit("gradient-boosting", library, call.lineno, tuple(readings))


def _entry(scope: Scope, key: str, node: ast.AST) -> Iterator[Reading]:
    yield from read(scope, ARGUMENTS[key].setting, node, convert=ARGUMENTS[key].convert)


def _grid(scope: Scope, call: ast.Call) -> dict[str, ast.AST]:
    """The lists that a grid search tries, by argument: clf__max_depth is max_depth."""
    if called(call) not in SEARCHES:
        return {}
    node = _grid_of(call, scope.keywords(call))
    return {key.rpartition("__")[2]: value for key, value in scope.entries(node).items()}


def _grid_of(call: ast.Call, given: dict[str, ast.AST]) -> ast.AST | None:
    names = ("param_grid", "param_distributions", "search_spaces")
    return next((given[name] for name in names if name in given), call.args[1] if len(call.args) > 1 else None)


def _candidates(scope: Scope, call: ast.Call, given: dict[str, ast.AST]) -> int | None:
    """Combinations tried; None where they cannot be counted."""
    if called(call) in ("RandomizedSearchCV", "BayesSearchCV"):
        known = scope.read(given["n_iter"]) if "n_iter" in given else None
        default = 10 if called(call) == "RandomizedSearchCV" else 50
        return default if "n_iter" not in given else whole(known.value) if known else None
    if called(call) != "GridSearchCV":
        return None
    node = scope.behind(_grid_of(call, given))
    grids = node.elts if isinstance(node, (ast.List, ast.Tuple)) else [node]
    counts = [_product(scope, grid) for grid in grids]
    return sum(one for one in counts if one) if counts and all(counts) else None


def _product(scope: Scope, grid: ast.AST | None) -> int | None:
    lengths = [_length(scope, node) for node in scope.entries(grid).values()]
    return math.prod(one for one in lengths if one) if lengths and all(lengths) else None


def _length(scope: Scope, node: ast.AST) -> int | None:
    """How many values a list has, also where they themselves cannot be read."""
    found = scope.behind(node)
    if isinstance(found, (ast.List, ast.Tuple, ast.Set)) and not any(isinstance(one, ast.Starred) for one in found.elts):
        return len(found.elts)
    if isinstance(found, ast.Call) and called(found) in ("linspace", "logspace", "geomspace"):
        number = found.args[2] if len(found.args) > 2 else scope.keywords(found).get("num")
        known = scope.read(number)
        return whole(known.value) if known else 50 if number is None else None
    if isinstance(found, ast.Call) and called(found) == "arange":
        return _steps([one.value if one else None for one in map(scope.read, found.args)])
    if isinstance(found, ast.ListComp) and len(found.generators) == 1 and not found.generators[0].ifs:
        return _length(scope, found.generators[0].iter)
    known = scope.read(node)
    return len(known.value) if known and isinstance(known.value, list) else None


def _steps(bounds: list[Any]) -> int | None:
    """The length of arange(stop), arange(start, stop) or arange(start, stop, step)."""
    numbers = [float(one) for one in bounds if isinstance(one, (int, float))]
    if len(numbers) != len(bounds) or not 1 <= len(numbers) <= 3:
        return None
    low, high, step = ([0.0, *numbers, 1.0] if len(numbers) == 1 else [*numbers, 1.0])[:3]
    return max(1, math.ceil((high - low) / step)) if step else None


def _folds(scope: Scope, node: ast.AST | None) -> int | None:
    """Splits of a cross-validation; five is scikit-learn's default."""
    found = scope.behind(node) if node is not None else None
    if node is None or (isinstance(found, ast.Constant) and found.value is None):
        return 5
    if isinstance(found, ast.Call) and called(found) in SPLITTERS:
        given = scope.keywords(found)
        splits = scope.read(given.get("n_splits") or (found.args[0] if found.args else None))
        if splits is None and ("n_splits" in given or found.args):
            return None
        count = whole(splits.value) if splits else SPLITTERS[called(found)]
        repeats = scope.read(given.get("n_repeats"))
        times = (whole(repeats.value) if repeats else 10) if called(found).startswith("Repeated") else 1
        return count * times if count and times else None
    known = scope.read(node)
    return whole(known.value) if known else None


def _estimators_in(scope: Scope, call: ast.Call) -> Iterator[ast.AST]:
    """The calls that make what a search is given, through names, pipelines and lists."""
    first = call.args[0] if call.args else scope.keywords(call).get("estimator")
    start = scope.behind(first)
    for one in ast.walk(start) if start is not None else ():
        behind = scope.behind(one) if isinstance(one, ast.Name) else one
        if isinstance(behind, ast.Call):
            yield behind
            yield from (inner for inner in ast.walk(behind) if isinstance(inner, ast.Call))
