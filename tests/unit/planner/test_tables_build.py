"""What a table job's settings become."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.errors import UnknownError
from dispatcher.planner.tables.algorithms import ALGORITHMS, find_algorithm
from dispatcher.planner.workload.tabular import build
from tests.unit.planner.tables_things import CPU, job, machine, work


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("RandomForestClassifier", "random-forest"),
        ("random_forest", "random-forest"),
        ("sklearn.ensemble.RandomForestRegressor", "random-forest"),
        ("HistGradientBoostingRegressor", "hist-gradient-boosting"),
        ("XGBRegressor", "gradient-boosting"),
        ("LGBMClassifier", "gradient-boosting"),
        ("CatBoostClassifier", "gradient-boosting"),
        ("SVC", "svm"),
        ("OneClassSVM", "svm"),
        ("LinearSVC", "linear-svm"),
        ("k-means", "kmeans"),
        ("KNeighborsClassifier", "knn"),
        ("k-nearest neighbours", "knn"),
        ("LogisticRegressionCV", "logistic-regression"),
        ("RidgeCV", "ridge"),
        ("ElasticNet", "elastic-net"),
        ("GaussianNB", "naive-bayes"),
        ("MLPClassifier", "mlp"),
        ("DBSCAN", "dbscan"),
        ("IsolationForest", "isolation-forest"),
        ("SGDClassifier", "sgd"),
        ("PCA", "pca"),
    ],
)
def test_an_algorithm_is_found_by_its_class_and_in_words(spelled: str, name: str):
    found = find_algorithm(spelled)
    assert found is not None
    assert name == found.name


def test_every_algorithm_is_found_by_its_own_name():
    assert [entry.name for entry in ALGORITHMS] == [
        found.name for entry in ALGORITHMS if (found := find_algorithm(entry.name)) is not None
    ]


def test_an_unknown_algorithm_is_refused_with_what_is_near():
    with pytest.raises(UnknownError) as caught:
        work("sklearn", "random-forrest")
    assert "random-forest" in (caught.value.fix or "")


def test_an_algorithm_that_resembles_nothing_is_refused_with_examples():
    with pytest.raises(UnknownError) as caught:
        work("sklearn", "qqqqqq")
    assert "random-forest" in (caught.value.fix or "")


def test_sklearn_without_an_algorithm_is_asked_for_it():
    with pytest.raises(UnknownError, match="algorithm"):
        build(
            JobConfig.model_validate({"run": "x", "model": {"library": "sklearn"}, "dataset": {"rows": 9, "columns": 9}}), CPU
        )


def test_a_boosting_library_alone_means_boosting():
    found = build(
        JobConfig.model_validate({"run": "x", "model": {"library": "xgboost"}, "dataset": {"rows": 9, "columns": 9}}), CPU
    )
    assert ("xgboost", "gradient-boosting", 100, 6, 256) == (
        found.library,
        found.algorithm,
        found.trees,
        found.depth,
        found.bins,
    )


@pytest.mark.parametrize(("name", "library"), [("XGBClassifier", "xgboost"), ("LGBMRegressor", "lightgbm"), ("SVC", "sklearn")])
def test_a_class_name_tells_its_library(name: str, library: str):
    assert library == work(None, name).library


def test_a_table_without_sizes_is_asked_for_them():
    with pytest.raises(UnknownError, match="rows and columns"):
        build(JobConfig.model_validate({"run": "x", "model": {"library": "xgboost"}}), CPU)


def test_rows_follow_from_the_files_size_and_are_noted():
    found = build(
        JobConfig.model_validate({"run": "x", "model": {"library": "xgboost"}, "dataset": {"columns": 10, "size": "800MB"}}),
        CPU,
    )
    assert 1e7 == found.rows
    assert any("Rows are not stated" in note for note in found.notes)


def test_columns_follow_from_the_size_of_an_array_file_in_its_own_type():
    data = {"path": "x.npy", "rows": 1000, "size": "80kB", "dtype": "float64"}
    assert 10 == build(JobConfig.model_validate({"run": "x", "model": {"library": "xgboost"}, "dataset": data}), CPU).columns


def test_an_unstated_type_is_float64_and_noted():
    found = work(dataset={"dtype": None})
    assert 8 == found.dtype_bytes
    assert any("float64" in note for note in found.notes)


def test_a_search_fits_every_candidate_on_every_fold_and_the_best_again():
    found = work(model={"search": {"candidates": 12, "folds": 5, "jobs": 4}})
    assert (61, 4, 5) == (found.fits, found.parallel_fits, found.folds)


def test_all_cores_are_as_many_fits_as_the_device_has():
    assert 16 == work(model={"search": {"candidates": 12, "folds": 5, "jobs": -1}}).parallel_fits


def test_no_more_fits_run_at_a_time_than_there_are():
    assert 3 == work(model={"search": {"candidates": 1, "folds": 2, "jobs": 64}}).parallel_fits


@pytest.mark.parametrize(("text", "threads"), [("8", 8), ("", 0), ("0", 0), ("many", 0), ("9" * 30, 0)])
def test_threads_are_what_the_environment_sets(text: str, threads: int):
    assert threads == work("sklearn", "hist-gradient-boosting", env={"OMP_NUM_THREADS": text or " "}).threads


def test_a_regression_has_no_classes():
    assert (0, 2) == (work("sklearn", "RandomForestRegressor").classes, work("sklearn", "RandomForestClassifier").classes)


def test_logistic_regression_tells_classes():
    assert 2 == work("sklearn", "LogisticRegression").classes


def test_lightgbm_without_leaves_grows_what_its_depth_allows_and_says_so():
    found = work("lightgbm", "gradient-boosting", model={"depth": 10})
    assert (10, None) == (found.depth, found.leaves)
    assert any("stops at 31" in note for note in found.notes)


def test_lightgbm_with_nothing_stated_has_31_leaves():
    assert 31 == work("lightgbm", "gradient-boosting").leaves


def test_ada_boost_grows_stumps():
    assert (50, 1) == (work("sklearn", "AdaBoostClassifier").trees, work("sklearn", "AdaBoostClassifier").depth)


def test_a_gpu_is_used_where_the_job_asks_and_the_library_can():
    gpu = machine("p3.2xlarge")
    asked = {"resources": {"gpu": "V100"}}
    assert work("xgboost", "gradient-boosting", device=gpu, **asked).on_gpu
    assert not work("xgboost", "gradient-boosting", device=gpu).on_gpu
    assert not work("sklearn", "random-forest", device=gpu, **asked).on_gpu


def test_scikit_learn_on_a_gpu_machine_is_told_that_it_will_not_use_it():
    notes = work("sklearn", "random-forest", resources={"gpu": "T4"}).notes
    assert any("does not use a GPU" in note and "cuml.accel" in note for note in notes)


def test_no_accelerated_twin_is_promised_where_there_is_none():
    notes = work("sklearn", "ExtraTreesClassifier", resources={"gpu": "T4"}).notes
    assert any("does not use a GPU" in note for note in notes)
    assert not any("cuml" in note for note in notes)


def test_a_forest_in_chunks_is_counted_whole_and_says_so():
    found = work("sklearn", "random-forest", dataset={"in_memory": False})
    assert found.in_memory
    assert any("whole table" in note for note in found.notes)


def test_xgboosts_own_interface_keeps_the_values_its_classes_do_not():
    assert (True, False) == (work("xgboost", "gradient-boosting").keeps_raw, work("xgboost", "XGBClassifier").keeps_raw)


def test_a_job_is_read_the_same_twice():
    assert build(job(), CPU) == build(job(), CPU)


@pytest.mark.parametrize(("said", "threads"), [(None, 1), (4, 4), (-1, 0)])
def test_a_forest_uses_one_core_unless_n_jobs_says_more(said: int | None, threads: int):
    found = work("sklearn", "random-forest", model={"threads": said} if said else {})
    assert threads == found.threads
    assert any("n_jobs" in note for note in found.notes) == (said is None)
