"""Whole plans from a handed-in world: nothing of this computer, no prices but the test's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dispatcher.domain.hardware import Battery, Machine
from dispatcher.domain.plan import JobSummary, Tariff
from dispatcher.errors import NothingFits
from dispatcher.jobfile.load import from_mapping, load
from dispatcher.planner.assess import assess
from dispatcher.planner.candidates import Terms
from dispatcher.planner.make import World, plan_all, plan_for
from dispatcher.planner.phases import Transfers
from tests.unit.planner.things import device, job, offer, own

CONFIGS = sorted(file for file in Path("configs").glob("*.yaml") if file.stem != "reference")
LAPTOP = Machine("laptop", "Linux", "x86_64", "CPU", 8, 16, 16, 16.0, 9.8)
SMALL = {"family": "custom", "parameters": 1e6, "flops_per_sample": 1e9, "activation_bytes_per_sample": 1e6}
LARGE = {**SMALL, "parameters": 1e9, "activation_bytes_per_sample": 1e8}
TRAINING = {"batch_size": 8, "steps": 1000, "precision": "fp32", "optimizer": "adamw"}


def world(*offers, machine=LAPTOP, seconds_left=None, **changes) -> World:
    here = (device("cuda", memory_gib=4.0), own())
    return World(
        machine=machine,
        here=changes.pop("here", here),
        offers=offers,
        device_of=lambda one: device("cuda", memory_gib=one.device_memory_gib) if one.count else device("cpu"),
        terms=Terms(lambda _where, _region: Tariff(), Transfers(), seconds_left),
        **changes,
    )


def planned(model: dict[str, Any], *offers, bound: tuple[str, ...] = (), keys: dict[str, Any] | None = None, **changes):
    settings = dict(keys or {})
    training = TRAINING | settings.pop("training", {})
    loaded = from_mapping({"run": "true", "model": model, "training": training, **settings})
    return plan_all(loaded.config, JobSummary("j", None, ""), world(*offers, **changes), bound=frozenset(bound))


def test_a_job_that_fits_here_runs_here():
    plan = planned(SMALL, offer())
    assert plan.here.capable
    assert "local" == plan.chosen.offer.where


def test_a_job_that_does_not_fit_here_takes_the_cheapest_that_surely_does():
    plan = planned(
        LARGE,
        offer(machine="large", price_per_hour=2.0, device_memory_gib=48.0),
        offer(machine="small", price_per_hour=1.0, device_memory_gib=40.0),
    )
    assert not plan.here.capable
    assert "small" == plan.chosen.offer.machine


def test_why_not_here_is_data():
    plan = planned(LARGE, offer())
    assert plan.here.reasons[0].startswith("GPU memory: 3.2 GiB to spare")


def test_why_not_that_one_is_data():
    plan = planned(LARGE, offer(machine="tiny", device_memory_gib=8.0))
    assert {"tiny": True} == {one.machine: "GPU memory" in one.reason for one in plan.rejected}


def test_where_nothing_fits_nothing_is_chosen_and_the_nearest_is_named():
    plan = planned(LARGE, offer(machine="tiny", device_memory_gib=8.0), offer(machine="tinier", device_memory_gib=4.0))
    assert plan.choice is None
    assert any(warning.startswith("The nearest is aws tiny (1× T4),") for warning in plan.warnings)


def test_the_nearest_is_the_largest_even_where_the_job_is_many_times_too_large():
    huge = LARGE | {"parameters": 70e9}
    sizes = {"small": 4.0, "medium": 24.0, "large": 80.0}
    plan = planned(huge, *(offer(machine=name, device_memory_gib=gib) for name, gib in sizes.items()))
    assert any(warning.startswith("The nearest is aws large (1× T4),") for warning in plan.warnings)


def test_a_job_that_is_too_slow_everywhere_is_told_so_with_max_time():
    plan = planned(LARGE, offer(device_memory_gib=48.0), keys={"budget": {"max_time": "1s"}, "training": {"steps": 10**6}})
    assert plan.choice is None
    assert any("max_time 1 s" in one.reason for one in plan.rejected if one.where == "aws")
    assert any("max_time 1 s" in warning for warning in plan.warnings)


def test_work_of_gpus_keeps_its_gpu_needs_where_it_runs_without_one():
    on_cpu = (device("cpu"), own(count=0, ram_available_gib=15.0))
    chosen = planned(SMALL, offer(), here=on_cpu)
    assert "local" == chosen.chosen.offer.where
    assert chosen.estimate.gpu_memory is not None
    assert "T4" == chosen.estimate.gpu_device
    assert {"weights", "optimizer", "activations"} <= set(chosen.estimate.ram.terms)


def test_where_no_gpu_is_large_enough_the_headline_still_tells_gpu_memory():
    on_cpu = (device("cpu"), own(count=0))
    plan = planned(LARGE | {"parameters": 70e9}, offer(device_memory_gib=24.0), here=on_cpu)
    assert plan.choice is None
    assert plan.estimate.gpu_memory.range.likely > 24


def test_a_question_about_a_device_that_is_too_small_is_answered_with_what_would_fit():
    loaded = from_mapping({"run": "true", "model": LARGE, "training": TRAINING | {"batch_size": 64}})
    terms = Terms(lambda _where, _region: Tariff(), Transfers())
    small = device("cuda", memory_gib=20.0)
    asked = offer(market="named", price_per_hour=None, device_memory_gib=20.0)
    plan = plan_for(loaded.config, JobSummary("j", None, ""), small, asked, terms)
    assert plan.choice is None
    assert plan.suggestions
    assert not plan.suggestions[0].bound


def test_over_budget_the_cheapest_that_fits_is_named_with_its_limit():
    plan = planned(LARGE, offer(device_memory_gib=48.0), keys={"budget": {"max_hourly": 0.1}})
    assert plan.choice is None
    assert "The cheapest that fits is aws g4dn.xlarge in us-east-1: $0.53 per hour, over max_hourly 0.10." in plan.warnings


def test_an_offer_whose_useful_time_is_too_short_is_rejected_with_that_reason():
    plan = planned(LARGE, offer(device_memory_gib=48.0), seconds_left=200.0, keys={"budget": {"finish_by": "07:30"}})
    assert any("finish_by 07:30 leaves" in one.reason for one in plan.rejected)


def test_a_cloud_without_an_account_is_priced_but_not_chosen():
    plan = planned(LARGE, offer(device_memory_gib=48.0), closed={"aws": "needs an account"})
    assert plan.choice is None
    assert ["needs an account"] == [c.offer.why_unusable for c in plan.candidates if c.offer.where == "aws"]


def test_only_the_cheapest_region_of_each_market_becomes_a_candidate():
    offers = [
        offer(region=region, price_per_hour=price, device_memory_gib=48.0)
        for region, price in (("a", 3.0), ("b", 1.0), ("c", 2.0))
    ]
    plan = planned(LARGE, *offers)
    assert ["b"] == [c.offer.region for c in plan.candidates if c.offer.where == "aws"]


@pytest.mark.parametrize(
    ("keys", "markets"),
    [
        ({}, {"on-demand"}),
        ({"spot": True}, {"spot"}),
        ({"spot": False}, {"on-demand"}),
        ({"checkpoint": {"dir": "runs", "every": "10m"}}, {"on-demand", "spot"}),
    ],
)
def test_spot_is_taken_only_where_a_restart_loses_little_or_the_user_says_so(keys, markets):
    offers = [offer(market=market, device_memory_gib=48.0) for market in ("on-demand", "spot")]
    assert markets == {c.offer.market for c in planned(LARGE, *offers, keys=keys).candidates if c.offer.where == "aws"}


def test_suggestions_are_assessed_and_a_bound_one_can_be_picked():
    model = {**SMALL, "activation_bytes_per_sample": 5e8}
    plan = planned(model, bound=("training.batch_size", "training.gradient_accumulation"))
    assert not plan.here.capable
    picks = [c for c in plan.candidates if c.changes]
    assert {"training.batch_size", "training.gradient_accumulation"} == set(picks[0].changes)
    assert picks[0].surely
    assert plan.choice is None


def test_an_unbound_suggestion_says_what_to_edit():
    plan = planned({**SMALL, "activation_bytes_per_sample": 5e8})
    assert plan.suggestions
    assert [] == [c for c in plan.candidates if c.changes]
    assert all("in the script" in one.edit for one in plan.suggestions)


def test_on_battery_a_long_job_is_told_to_plug_in():
    machine = Machine(
        "laptop", "Linux", "x86_64", "CPU", 8, 16, 16, 16.0, 9.8, battery=Battery(61, plugged=False), fanless=True
    )
    plan = planned({**SMALL, "flops_per_sample": 1e13}, machine=machine, keys={"training": {"steps": 10_000}})
    said = " ".join(plan.here.reasons)
    assert "plug it in" in said
    assert "no fan" in said


def test_a_long_job_here_is_told_what_a_rented_machine_would_take():
    slow = (device("cpu"), own(device="cpu", count=0, device_memory_gib=0.0))
    plan = planned({**SMALL, "flops_per_sample": 1e12}, offer(), here=slow, keys={"training": {"steps": 10_000}})
    assert "local" == plan.chosen.offer.where
    assert any(warning.startswith("It is free here, but slow: aws g4dn.xlarge") for warning in plan.warnings)


def test_where_leaves_this_machine_out():
    plan = planned(SMALL, offer(), keys={"where": "aws"})
    assert "aws" == plan.chosen.offer.where
    assert "where: aws" in plan.here.reasons[0]


def test_the_document_has_every_field_of_the_interface():
    document = planned(LARGE, offer(device_memory_gib=48.0)).as_dict()
    top = {"schema", "job", "estimate", "here", "candidates", "choice", "rejected", "suggestions", "warnings", "not_included"}
    one = {
        "where",
        "machine",
        "device",
        "count",
        "region",
        "market",
        "fits",
        "headroom",
        "memory_gib",
        "hours",
        "step_seconds",
        "samples_per_second",
        "price_per_hour",
        "price_as_of",
        "price_source",
        "cost_usd",
        "phases_seconds",
    }
    assert top <= set(document)
    assert one <= set(document["candidates"][0])
    assert {"low", "likely", "high", "worst_case"} == set(document["candidates"][0]["cost_usd"])


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_likely_is_the_sum_of_the_terms(file, kind):
    config = load(file).config
    plan = plan_for(config, JobSummary("j", None, ""), device(kind), offer(), Terms(lambda _w, _r: Tariff(), Transfers()))
    for amount in filter(None, (plan.estimate.gpu_memory, plan.estimate.ram)):
        assert sum(amount.terms.values()) == pytest.approx(amount.range.likely, rel=1e-6, abs=1e-9)
        assert amount.range.low <= amount.range.likely <= amount.range.high


def test_an_offer_that_is_not_wanted_where_nothing_else_is_ends_with_its_reason():
    with pytest.raises(NothingFits, match=r"aws g4dn\.xlarge: where: gcp"):
        planned(SMALL, offer(), here=None, keys={"where": "gcp"})


def test_an_only_offer_that_cannot_run_it_is_told_with_the_reason():
    plan = planned(SMALL, offer(), here=None, keys={"training": {"precision": "fp8"}})
    assert plan.choice is None
    assert any("fp8 needs" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("budget", "why"), [({"max_cost": 0.01}, "over max_cost 0.01"), ({"max_time": "2m"}, "max_time 2 min")]
)
def test_a_question_about_a_machine_that_the_budget_rules_out_is_answered_with_what_it_would_take(budget, why):
    asked = offer(price_per_hour=1.0)
    terms = Terms(lambda _where, _region: Tariff(), Transfers())
    loaded = from_mapping({"run": "python t.py", "model": SMALL, "training": TRAINING | {"steps": 10**7}, "budget": budget})
    plan = plan_for(loaded.config, JobSummary("j", None, ""), device("cuda", memory_gib=24.0), asked, terms)
    (one,) = plan.candidates
    assert not one.fits
    assert plan.choice is None
    assert why in plan.rejected[0].reason
    assert why in one.notes[0]
    assert one.cost.likely > 0.01
    assert one.cost.range.low < one.cost.likely < one.cost.range.high <= one.cost.worst_case


@pytest.mark.parametrize(
    ("training", "asked"), [({"epochs": 2}, "state dataset.samples."), ({}, "state training.steps, or epochs")]
)
def test_a_time_that_cannot_be_told_asks_for_what_lacks(training, asked):
    model = {"name": "resnet18"}
    job = from_mapping({"run": "python t.py", "model": model, "training": {"batch_size": 8} | training}).config
    terms = Terms(lambda _where, _region: Tariff(), Transfers())
    plan = plan_for(job, JobSummary("j", None, ""), device("cuda", memory_gib=24.0), offer(), terms)
    assert plan.candidates[0].hours is None
    assert any(asked in one for one in plan.warnings)


def test_what_nobody_knows_of_a_job_is_null_in_its_document():
    loaded = from_mapping({"run": "python t.py"})
    plan = plan_all(loaded.config, JobSummary("j", None, ""), world(here=(device("cpu"), own())), bound=frozenset())
    made = plan.as_dict()
    unknown = {"low": None, "likely": None, "high": None, "basis": "unknown"}
    assert made["estimate"]["ram_gib"] == {**unknown, "terms_gib": {}}
    assert made["estimate"]["disk_gb"] == {**unknown, "terms_gb": {}}
    memory = made["candidates"][0]["memory_gib"]
    assert (memory["low"], memory["likely"], memory["high"]) == (None, None, None)
    assert memory["available"] > 0


LLAMA = {"name": "llama-3.1-8b", "sequence_length": 512}


@pytest.mark.parametrize(
    ("keys", "loads"),
    [
        ({"training": {"method": "qlora", "batch_size": 1, "steps": 9}}, True),
        ({"task": "train", "training": {"method": "lora", "batch_size": 1, "steps": 9}}, True),
        ({"task": "finetune", "training": {"batch_size": 1, "steps": 9}}, True),
        ({"task": "inference", "training": {"batch_size": 1, "steps": 9}}, True),
        ({"task": "train", "training": {"batch_size": 1, "steps": 9}}, False),
    ],
)
def test_weights_that_are_there_before_take_disk_pass_through_ram_and_are_downloaded(keys, loads):
    need = assess(job(model=LLAMA, **keys), device())
    assert loads == ("weights" in need.disk.terms)
    assert loads == ("loading" in need.ram.terms)
    assert need.fetched_gb == pytest.approx(16.06 if loads else 0.0, rel=0.01)


def test_what_a_rented_machine_downloads_takes_time_and_money_and_elsewhere_is_said_not_to_be_counted():
    keys = {"task": "finetune", "dataset": {"size": "20GB", "samples": 1000}}
    made = planned(LARGE, offer(device_memory_gib=48.0), keys=keys)
    sent = {**keys, "dataset": {"path": "data", "size": "20GB", "samples": 1000}}
    here = planned(LARGE, offer(device_memory_gib=48.0), keys=sent)
    assert (200, 0) == (made.chosen.fetching_seconds, here.chosen.fetching_seconds)
    assert made.chosen.hours.likely > here.chosen.hours.likely
    assert made.chosen.cost.likely > here.chosen.cost.likely
    assert "tax" in made.not_included
    assert len(made.not_included) == 2


def test_a_table_of_unknown_bytes_takes_rows_times_columns_on_disk():
    need = assess(
        job(model={"library": "xgboost"}, dataset={"rows": 10**13, "columns": 1000, "dtype": "float32"}), device("cpu")
    )
    assert need.disk.terms["data"] == pytest.approx(4e7)


def test_adapters_are_suggested_for_published_weights_where_the_task_is_not_said():
    desk = own(device_memory_gib=24.0, device_memory_free_gib=23.5, ram_gib=64.0, ram_available_gib=60.0)
    keys = {"training": {"batch_size": 1, "steps": 9, "precision": "bf16", "gradient_checkpointing": True}}
    made = planned(LLAMA, here=(device(memory_gib=24.0, compute_capability=8.6), desk), keys=keys)
    assert any(one.change.get("training.method") in ("lora", "qlora") for one in made.suggestions)


def test_over_budget_the_cheapest_is_named_with_its_market_and_region_and_gpu_memory_is_told():
    keys = {"budget": {"max_cost": 0.01}, "spot": True, "where": "aws"}
    desk = (device("cpu"), own(count=0, device="cpu", device_memory_gib=0.0))
    made = planned(SMALL, offer(market="spot", region="sa-east-1"), keys=keys, here=desk)
    assert made.estimate.gpu_memory is not None
    assert any("aws g4dn.xlarge spot in sa-east-1: $" in one for one in made.warnings)


def test_what_an_earlier_suggestion_does_with_fewer_changes_is_not_suggested_again():
    desk = own(device_memory_gib=24.0, device_memory_free_gib=23.5, ram_gib=128.0, ram_available_gib=120.0)
    keys = {"task": "finetune", "training": {"batch_size": 1, "steps": 9, "precision": "bf16", "gradient_checkpointing": True}}
    made = planned(LLAMA, here=(device(memory_gib=24.0, compute_capability=8.6), desk), keys=keys)
    helps = [(one.change.items(), one.gpu_memory_gib) for one in made.suggestions]
    assert helps
    pairs = [(few, many) for i, few in enumerate(helps) for many in helps[i + 1 :] if few[0] <= many[0]]
    assert [] == [(few, many) for few, many in pairs if many[1] >= 0.99 * few[1]]


@pytest.mark.parametrize(
    ("name", "gib", "fits"), [("T4", 16.0, True), ("L4", 24.0, True), ("A10G", 24.0, True), ("M60", 8.0, False)]
)
def test_of_several_gpus_that_are_asked_for_each_is_one(name, gib, fits):
    config = {"run": "true", "resources": {"gpu": ["T4", "L4:1", "24GB+"]}}
    loaded = from_mapping({**config, "where": "aws"})
    place = world(offer(device=name, device_memory_gib=gib))
    there = replace(place, device_of=lambda one: device("cuda", name=one.device, memory_gib=one.device_memory_gib))
    made = plan_all(loaded.config, JobSummary("j", None, ""), there, bound=frozenset())
    assert fits == bool([one for one in made.candidates if one.surely])
