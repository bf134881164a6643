"""From a run's record to the next plan: what is kept, of which runs, and how it is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dispatcher import paths
from dispatcher.app import learning, plans, runs, submit
from dispatcher.domain.observation import GPU_MEMORY, RAM, SECONDS, Key, Observation
from dispatcher.domain.run import Attempt, Label, Outcome, Peak, Run, RunState
from dispatcher.errors import UsageError
from dispatcher.jobfile.load import load
from dispatcher.jobfile.settings import load_settings
from dispatcher.store.observations import MOST, observations
from dispatcher.store.schema import MIGRATIONS
from dispatcher.store.store import Store

JOB = """\
run: {python} -c "import time; time.sleep(1.2){ending}"
where: local
model: {{family: tabular, library: xgboost, algorithm: gradient-boosting, trees: 20}}
dataset: {{rows: 100000, columns: 20, dtype: float32}}
"""
ABOUT = {
    "subject": "vision",
    "method": "full",
    "device": "T4 × 1",
    "model": "resnet50",
    "sizes": {"batch_size": 8},
    "factors": {},
}
PLAN = {
    "estimate": {"ram_gib": {"likely": 4.0}, "gpu_memory_gib": {"likely": 3.0}},
    "choice": 0,
    "candidates": [{"phases_seconds": {"run": 100.0}, "memory_gib": {"likely": 3.0}, "changes": {}}],
}


def finished(**changes) -> Run:
    """A run on a GPU that met its plan but for `changes`."""
    known = {
        "state": RunState.FINISHED, "outcome": Outcome.SUCCEEDED, "phases_seconds": {"run": 130.0}, "peak": Peak(5.0, 3.3),
        "job": {"learning": ABOUT}, "plan": PLAN, "ended": 1_800_000_000.0, "teardown_confirmed": True,
    }  # fmt: skip
    return Run(**{"id": "abcdefghjk", "name": "digits", **known, **changes})


def shown(run: Run) -> dict[str, tuple[float, float]]:
    return {one.quantity: (one.predicted, one.measured) for one in learning.observed(run)}


def job(folder: Path, ending: str = "") -> Path:
    file = folder / "train.yaml"
    file.write_text(JOB.format(python=sys.executable, ending=ending))
    return file


def ran(file: Path) -> Run:
    loaded, settings = load(file), load_settings()
    made = plans.plan_loaded(loaded, settings=settings)
    with runs.opened() as ctx:
        return submit.submit(ctx, loaded, made, settings)


def test_a_run_that_succeeded_shows_time_ram_and_gpu_memory():
    assert {SECONDS: (100.0, 130.0), RAM: (4.0, 5.0), GPU_MEMORY: (3.0, 3.3)} == shown(finished())


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED, Outcome.PREEMPTED, Outcome.LOST, None])
def test_a_run_that_did_not_succeed_shows_nothing(outcome):
    assert {} == shown(finished(outcome=outcome))


def test_a_run_that_goes_on_shows_nothing():
    assert {} == shown(finished(state=RunState.RUNNING))


def test_a_run_without_a_formula_behind_it_shows_nothing():
    assert {} == shown(finished(job={"run": "true"}))


def test_what_was_not_measured_is_left_out():
    assert {SECONDS: (100.0, 130.0)} == shown(finished(peak=Peak(None, None)))


def test_a_job_of_less_than_a_second_says_nothing_about_time():
    assert {RAM, GPU_MEMORY} == set(shown(finished(phases_seconds={"run": 0.4})))


def test_a_corrected_plan_is_learned_from_without_its_correction():
    corrected = finished(job={"learning": ABOUT | {"factors": {SECONDS: 1.25}}})
    found = {one.quantity: one for one in learning.observed(corrected)}
    assert (80.0, 100.0, 130.0) == (found[SECONDS].predicted, found[SECONDS].told, found[SECONDS].measured)
    assert 4.0 == found[RAM].predicted


def test_the_ram_of_changed_settings_beside_a_gpu_is_not_in_the_plan_and_not_learned():
    changed = PLAN | {"candidates": [PLAN["candidates"][0] | {"changes": {"training.batch_size": 4}}]}
    assert {SECONDS, GPU_MEMORY} == set(shown(finished(plan=changed)))


def test_without_a_gpu_the_machines_memory_is_what_is_compared():
    on_cpu = PLAN | {"estimate": {"ram_gib": {"likely": 9.9}, "gpu_memory_gib": None}}
    assert (3.0, 5.0) == shown(finished(plan=on_cpu, peak=Peak(5.0, None)))[RAM]


def test_the_same_run_told_twice_is_kept_once(tmp_path):
    path = tmp_path / "runs.sqlite3"
    with Store.open(path) as store:
        for _ in range(2):
            learning.keep(store, finished())
    assert [SECONDS, RAM, GPU_MEMORY] == sorted(
        (one.quantity for one in observations(path)), key=[SECONDS, RAM, GPU_MEMORY].index
    )


def test_an_observation_comes_back_as_it_was_written(tmp_path):
    kept = list(learning.observed(finished()))
    with Store.open(tmp_path / "runs.sqlite3") as store:
        store.observe(kept)
    assert sorted(kept, key=str) == sorted(observations(tmp_path / "runs.sqlite3"), key=str)


def test_a_run_teaches_when_it_finishes_and_plans_say_so(tmp_path):
    file = job(tmp_path)
    for _ in range(2):
        assert Outcome.SUCCEEDED is ran(file).outcome
    kept = observations(paths.database())
    assert {SECONDS: 2, RAM: 2} == {name: sum(one.quantity == name for one in kept) for name in (SECONDS, RAM)}
    assert "formula, corrected by 2 runs here" == plans.plan_loaded(load(file), explained=True).estimate.ram.basis


def test_a_run_that_fails_teaches_nothing(tmp_path):
    assert Outcome.FAILED is ran(job(tmp_path, "; raise SystemExit(3)")).outcome
    assert [] == observations(paths.database())


def test_a_run_that_was_left_alone_teaches_when_mlrun_next_looks(tmp_path):
    file = job(tmp_path)
    loaded, settings = load(file), load_settings()
    will = runs.Will()
    will.detach.set()
    with runs.opened(will=will) as ctx:
        run = submit.submit(ctx, loaded, plans.plan_loaded(loaded), settings)
        assert run.open
    until = time.monotonic() + 30
    while time.monotonic() < until and not observations(paths.database()):
        with runs.opened() as ctx:
            runs.going_on(ctx, run.id)
    assert {run.id} == {one.run for one in observations(paths.database())}


def teach(ratio: float = 1.4, count: int = 4) -> None:
    """Runs of the test's job that took `ratio` times what the formula said."""
    loaded = load(job(paths.data_dir()) if paths.data_dir().is_dir() else _made(paths.data_dir()))
    plan = plans.plan_loaded(loaded, settings=without())
    about = learning.subject(loaded.config, plan)
    key = Key(about["subject"], about["method"], about["device"])
    figures = {SECONDS: plan.chosen.phases_seconds["run"], RAM: plan.estimate.ram.range.likely}
    with Store.open(paths.database()) as store:
        store.observe(
            Observation(f"run{i}", name, key, value, value * ratio, float(i), about["model"])
            for i in range(count)
            for name, value in figures.items()
        )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return job(folder)


def without():
    return load_settings(environment={"DISPATCHER_LOCAL_LEARN": "no"})


def test_what_was_learned_corrects_the_plan_and_explains_itself(tmp_path):
    loaded = load(job(tmp_path))
    before = plans.plan_loaded(loaded)
    teach()
    after = plans.plan_loaded(loaded, explained=True)
    assert after.estimate.ram.range.likely > 1.15 * before.estimate.ram.range.likely
    assert "formula, corrected by 4 runs here" == after.chosen.hours_basis
    assert any(line.startswith("learned: time × 1.2") for line in after.explain)


def test_a_device_that_was_asked_for_by_name_is_planned_by_formula_alone(tmp_path):
    loaded = load(job(tmp_path))
    before = plans.plan_loaded(loaded, device="Core-i7-12700H").as_dict()
    teach()
    assert before == plans.plan_loaded(loaded, device="Core-i7-12700H").as_dict()


@pytest.mark.parametrize("word", ["no", "false", "off"])
def test_learning_is_switched_off_by_a_setting(tmp_path, monkeypatch, word):
    teach()
    monkeypatch.setenv("DISPATCHER_LOCAL_LEARN", word)
    assert "formula" == plans.plan_loaded(load(job(tmp_path))).chosen.hours_basis


def test_where_learning_is_switched_off_a_run_teaches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPATCHER_LOCAL_LEARN", "no")
    assert Outcome.SUCCEEDED is ran(job(tmp_path)).outcome
    assert [] == observations(paths.database())


def test_a_plan_alone_makes_no_database(tmp_path):
    plans.plan_loaded(load(job(tmp_path)))
    assert not paths.database().exists()


@pytest.mark.parametrize("spoilt", [b"", b"not a database at all " * 100])
def test_a_damaged_record_costs_the_plan_only_what_was_learned(tmp_path, spoilt):
    paths.database().parent.mkdir(parents=True, exist_ok=True)
    paths.database().write_bytes(spoilt)
    assert "formula" == plans.plan_loaded(load(job(tmp_path))).chosen.hours_basis


def test_a_record_from_before_learning_is_brought_up_to_date(tmp_path):
    import sqlite3

    path = tmp_path / "runs.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(MIGRATIONS[0])
        db.execute("PRAGMA user_version = 1")
    db.close()
    assert [] == observations(path)
    with Store.open(path) as store:
        learning.keep(store, finished())
    assert 3 == len(observations(path))


def test_what_was_learned_is_read_in_two_milliseconds(tmp_path):
    path = tmp_path / "runs.sqlite3"
    with Store.open(path) as store:
        store.observe(
            Observation(f"run{i}", SECONDS, Key(f"s{i % 40}", "full", "cpu"), 1.0, 1.1, float(i)) for i in range(20_000)
        )
    took = []
    for _ in range(9):
        began = time.process_time()
        found = observations(path)
        took.append(time.process_time() - began)
    assert MOST == len(found)
    assert min(took) < 0.004  # this machine is busy, and others are slower


def test_runs_forgotten_by_purge_still_teach_until_they_are_told_not_to(tmp_path):
    path = tmp_path / "runs.sqlite3"
    with Store.open(path) as store:
        run = finished(attempts=[Attempt(Label("abcdefghjk"), "local", None)])
        store.add(run)
        learning.keep(store, run)
        assert [run.id] == store.purge(4e9)
        with pytest.raises(UsageError):
            store.find(run.id)
        assert 3 == len(observations(path))
        assert (1, 0) == (store.forget_observations(), store.forget_observations())
    assert [] == observations(path)


def test_purge_learned_forgets_what_was_learned_and_nothing_else(tmp_path):
    teach(count=3)
    with Store.open(paths.database()) as store:
        store.add(finished())
    told = [mlrun("purge", "--learned") for _ in range(2)]
    assert "What 3 runs taught was forgotten." in told[0].stderr
    assert "Nothing was learned yet." in told[1].stderr
    assert [] == observations(paths.database())
    with Store.open(paths.database()) as store:
        assert "digits" == store.find("last").name


def test_purge_all_forgets_what_was_learned_too():
    teach(count=3)
    with Store.open(paths.database()) as store:
        store.add(finished())
    assert 0 == mlrun("purge", "--all", "--yes").returncode
    assert [] == observations(paths.database())


def mlrun(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "dispatcher", *words]
    return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False, timeout=60)
