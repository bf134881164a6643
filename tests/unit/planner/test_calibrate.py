"""What is learned from runs: bounded, robust, explained, and never worse than not learning."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher.domain.observation import GPU_MEMORY, RAM, SECONDS, Key, Observation
from dispatcher.domain.plan import Range
from dispatcher.planner.assess import assess
from dispatcher.planner.calibrate import BOUNDS, NARROWEST, NOTHING, WIDEST, Learned, correction, key_of
from tests.unit.planner.things import CPU, device, job

KEY = Key("xgboost gradient-boosting", "fit", "Test CPU × 8")
HOUR = Range(2400.0, 3600.0, 5400.0)
TABLE = {
    "model": {"family": "tabular", "library": "xgboost", "algorithm": "gradient-boosting"},
    "dataset": {"rows": 1_000_000, "columns": 20},
}
NETWORK = {
    "model": {"family": "custom", "parameters": 1e6, "flops_per_sample": 1e9, "activation_bytes_per_sample": 1e6},
    "training": {"batch_size": 8, "steps": 1000},
}
ORDERS = ("constant", "drifting", "alternating", "random walk", "noise")


def runs(
    *ratios: float, quantity: str = SECONDS, predicted: float = 3600.0, key: Key = KEY, model: str = ""
) -> list[Observation]:
    """Runs one after another that took `ratio` times what was predicted."""
    return [
        Observation(f"run{i}", quantity, key, predicted, predicted * ratio, float(i), model) for i, ratio in enumerate(ratios)
    ]


def factor(*ratios: float, predicted: Range = HOUR, **more) -> float:
    return correction(runs(*ratios, **more), more.get("quantity", SECONDS), predicted).factor


def error(value: float, measured: float) -> float:
    return abs(math.log(value / measured))


def replayed(ratios: list[float], quantity: str = SECONDS) -> tuple[float, float]:
    """Mean logarithmic error of each run without learning, and with every earlier run learned."""
    plain = learned = 0.0
    for i, ratio in enumerate(ratios):
        found = correction(runs(*ratios[:i], quantity=quantity), quantity, HOUR)
        plain += error(1.0, ratio)
        learned += error(found.factor, ratio)
    return plain / len(ratios), learned / len(ratios)


def test_nothing_is_learned_from_no_run_and_none_from_one():
    assert (1.0, 1.0) == (factor(), factor(1.9))


def test_where_nothing_is_learned_the_formulas_range_stands():
    assert HOUR == correction(runs(1.9), SECONDS, HOUR).on(HOUR)


def test_runs_that_took_longer_make_the_next_estimate_longer():
    assert 1.2 < factor(1.5, 1.5, 1.5) < 1.5


def test_more_runs_that_agree_come_nearer_to_what_they_say():
    found = [factor(*[1.5] * count) for count in (2, 4, 8, 16)]
    assert sorted(found) == found
    assert 1.5 == pytest.approx(found[-1], rel=0.1)


def test_what_one_source_of_many_runs_says_is_read_from_its_newest_runs():
    old, new = [0.6] * 400, [1.4] * 16
    assert factor(*new) == factor(*old, *new)


def test_runs_that_met_the_formula_change_nothing():
    assert 1.0 == factor(1.02, 0.99, 1.01, 0.98, 1.0)


def test_runs_that_contradict_each_other_change_nothing():
    found = correction(runs(1.6, 0.6, 1.7, 0.6), SECONDS, HOUR)
    assert (1.0, 0) == (found.factor, found.count)
    assert "do not agree" in found.why


def test_one_outlier_moves_the_correction_little():
    assert factor(1.3, 1.3, 1.3, 1.3) == pytest.approx(factor(1.3, 1.3, 50.0, 1.3), rel=0.05)


def test_a_newer_run_counts_more_than_an_older_one():
    old, new = [1.2] * 8, [1.6] * 8
    assert factor(*old, *new) > factor(*new, *old)


def test_a_run_of_another_size_counts_less():
    near, far = (factor(1.6, 1.6, 1.6, predicted=Range(size / 2, size, size * 2)) for size in (3600.0, 3_600_000.0))
    assert near > 1.2
    assert 1.0 == far


def test_a_run_of_the_same_model_counts_more():
    seen = runs(1.6, 1.6, 1.6, model="resnet50")
    same, other = (correction(seen, SECONDS, HOUR, name).factor for name in ("resnet50", "vit-b"))
    assert same > other > 1.0


@pytest.mark.parametrize("quantity", BOUNDS)
def test_no_run_whatever_it_says_moves_a_figure_beyond_its_bounds(quantity):
    low, high = BOUNDS[quantity]
    assert (low, high) == pytest.approx(
        (factor(*[1e-3] * 30, quantity=quantity), factor(*[1e3] * 30, quantity=quantity)), rel=1e-9
    )


@pytest.mark.parametrize("spoilt", [0.0, -1.0, math.nan, math.inf])
def test_figures_that_cannot_be_are_left_aside(spoilt):
    good = runs(1.5, 1.5, 1.5)
    bad = [replace(good[0], measured=spoilt), replace(good[0], predicted=spoilt)]
    assert correction(good, SECONDS, HOUR) == correction([*good, *bad], SECONDS, HOUR)


def test_runs_that_agree_narrow_the_range_and_a_scattered_lot_widens_it():
    def width(found):
        return math.log(found.high / found.low)

    own = math.log(HOUR.high / HOUR.low)
    agreeing = correction(runs(*[1.4] * 12), SECONDS, HOUR)
    scattered = correction(runs(1.4, 4.0, 1.3, 4.2, 1.4, 1.2, 3.9, 1.5), SECONDS, HOUR)
    assert NARROWEST * own <= width(agreeing) < own < width(scattered) <= WIDEST * own


def test_memory_that_was_seen_in_use_is_never_promised_away():
    seen = runs(0.75, 0.74, 0.76, 0.75, 1.2, 0.75, 0.74, 0.75, quantity=RAM)
    found = correction(seen, RAM, Range(3500.0, 3600.0, 3700.0))
    assert found.factor < 1.0
    assert 1.2 <= found.high + 1e-9


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("bias", [0.6, 0.9, 1.0, 1.3, 2.5])
@pytest.mark.parametrize("quantity", [SECONDS, RAM])
def test_replayed_learning_is_never_worse_than_not_learning(order, bias, quantity):
    dice = random.Random(f"{order}{bias}{quantity}")
    plain, learned = map(sum, zip(*(replayed(series(order, bias, dice), quantity) for _ in range(8)), strict=True))
    assert learned <= plain * 1.02  # what noise alone does to a few short series
    if bias not in (0.9, 1.0) and order in ("constant", "noise"):
        assert learned < 0.9 * plain


def series(order: str, bias: float, dice: random.Random) -> list[float]:
    walk = 0.0
    found = []
    for i in range(20):
        walk += dice.gauss(0, 0.05)
        wobble = {"constant": 0.0, "drifting": 0.02 * i, "alternating": 0.3 * (-1) ** i, "random walk": walk}
        found.append(bias * math.exp(wobble.get(order, dice.gauss(0, 0.2))))
    return found


@pytest.mark.parametrize(("taught", "asked"), [(1.3, 1.5), (1.5, 1.2), (0.7, 0.8), (1.0, 1.4), (0.95, 1.05)])
def test_one_source_learned_helps_another_that_errs_the_same_way_or_leaves_it_alone(taught, asked):
    dice = random.Random(f"{taught}{asked}")
    known = runs(*(taught * math.exp(dice.gauss(0, 0.08)) for _ in range(12)))
    found = correction(known, SECONDS, HOUR).factor
    others = [asked * math.exp(dice.gauss(0, 0.08)) for _ in range(50)]
    assert sum(error(found, one) for one in others) <= sum(error(1.0, one) for one in others) + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.01, 100), max_size=30), st.sampled_from(list(BOUNDS)))
def test_every_correction_is_bounded_ordered_and_says_why(ratios, quantity):
    found = correction(runs(*ratios, quantity=quantity), quantity, HOUR)
    low, high = BOUNDS[quantity]
    assert low - 1e-9 <= found.factor <= high + 1e-9
    assert found.low <= found.factor <= found.high
    assert found.why


def test_a_key_tells_libraries_searches_and_methods_apart():
    table, search = job(**TABLE), job(**{**TABLE, "model": {**TABLE["model"], "search": {"candidates": 10, "folds": 3}}})
    lora = job(**{**NETWORK, "training": {**NETWORK["training"], "method": "lora"}})
    asked = job(**{**NETWORK, "task": "inference"})
    keys = [key_of(one, device("cpu")) for one in (table, search, job(**NETWORK), lora, asked)]
    assert ["fit", "search", "full", "lora", "inference"] == [key.method for key in keys]
    assert {"xgboost gradient-boosting", "custom"} == {key.subject for key in keys}


def test_a_table_is_learned_for_the_cpu_and_a_network_for_the_gpu_beside_it():
    assert f"{CPU.name} × 8" == key_of(job(**TABLE), device("cuda")).device
    assert "T4 × 1" == key_of(job(**NETWORK), device("cuda")).device


def test_a_job_without_a_model_learns_nothing():
    assert key_of(job(), device("cpu")) is None


def taught(keys: dict, on, ratio: float = 1.4, quantities=(SECONDS, RAM, GPU_MEMORY)) -> tuple:
    """A job's assessment without learning, and with four runs that took `ratio` times what was predicted."""
    plain = assess(job(**keys), on, explained=True)
    figures = {SECONDS: plain.run.likely, RAM: plain.ram.range.likely}
    if plain.gpu:
        figures[GPU_MEMORY] = plain.gpu.range.likely
    key = key_of(job(**keys), on)
    seen = [
        one
        for name in quantities
        if name in figures
        for one in runs(*[ratio] * 4, quantity=name, predicted=figures[name], key=key, model=model(keys))
    ]
    return plain, assess(job(**keys), on, explained=True, learned=Learned.of(seen))


def model(keys: dict) -> str:
    return keys["model"].get("name") or keys["model"].get("algorithm") or ""


@pytest.mark.parametrize(("keys", "on"), [(TABLE, device("cpu")), (NETWORK, device("cuda"))])
def test_an_assessment_is_corrected_in_all_its_figures(keys, on):
    plain, found = taught(keys, on)
    assert 1.15 < found.run.likely / plain.run.likely < 1.4
    assert 1.15 < found.ram.range.likely / plain.ram.range.likely < 1.4
    assert "formula, corrected by 4 runs here" == found.basis == found.ram.basis
    assert found.ram.range.likely == pytest.approx(sum(found.ram.terms.values()))


def test_gpu_memory_steps_and_rates_are_corrected_too():
    plain, found = taught(NETWORK, device("cuda"))
    slower = found.run.likely / plain.run.likely
    assert (slower, 1 / slower) == pytest.approx((found.step.likely / plain.step.likely, found.rate.likely / plain.rate.likely))
    assert found.gpu.range.likely == pytest.approx(sum(found.gpu.terms.values()))
    assert found.gpu.range.likely > plain.gpu.range.likely


def test_explain_tells_each_correction_and_how_to_be_rid_of_it():
    plain, found = taught(TABLE, device("cpu"), quantities=(SECONDS,))
    added = found.explain[len(plain.explain) :]
    assert 1 == len(added)
    assert added[0].startswith(f"learned: time × {found.learned[SECONDS]:.2f} from 4 runs on this machine")
    assert "purge --learned" in added[0]


def test_only_the_figure_that_was_learned_changes():
    plain, found = taught(TABLE, device("cpu"), quantities=(RAM,))
    assert (plain.run, plain.basis) == (found.run, found.basis)
    assert plain.ram != found.ram


def test_another_device_is_not_corrected():
    key = key_of(job(**NETWORK), device("cuda"))
    learned = Learned.of(runs(1.5, 1.5, 1.5, key=replace(key, device="A100 × 1")))
    assert assess(job(**NETWORK), device("cuda")) == assess(job(**NETWORK), device("cuda"), learned=learned)


def test_nothing_learned_is_the_formula():
    assert assess(job(**TABLE), device("cpu")) == assess(job(**TABLE), device("cpu"), learned=NOTHING)


def test_what_resources_state_is_not_corrected():
    stated = {"resources": {"memory": "16GB"}}
    learned = Learned.of(runs(1.5, 1.5, 1.5))
    assert assess(job(**stated), device("cpu")) == assess(job(**stated), device("cpu"), learned=learned)
