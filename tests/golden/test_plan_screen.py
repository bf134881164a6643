"""The plan's screen, as it was looked at and found good."""

from __future__ import annotations

import re
from dataclasses import replace

import click
import pytest
from rich.cells import cell_len

from dispatcher.cli.render.plan import plan_lines
from dispatcher.domain.plan import Amount, Cost, Estimate, Here, Offer, Range, Rejection
from tests.golden.plans import LAPTOP, full_plan


def text(plan, **options) -> str:
    return click.unstyle("\n".join(plan_lines(plan, **options))) + "\n"


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen(golden, width):
    golden(f"plan-{width}.txt", text(full_plan(), width=width))


def test_everything_and_how_it_comes_about(golden):
    golden("plan-all-explain-100.txt", text(full_plan(), width=100, everything=True, explain=True))


def test_a_plan_whose_choice_is_here(golden):
    plan = full_plan()
    here = replace(plan.candidates[0], changes={})
    verdict = Here(capable=True, reasons=("About 1 h 35 (1 h 18 – 2 h 00).",), machine=LAPTOP)
    golden(
        "plan-here-80.txt",
        text(replace(plan, candidates=(here, *plan.candidates[1:]), choice=0, here=verdict, suggestions=()), width=80),
    )


def test_a_plan_that_nothing_fits(golden):
    golden("plan-nothing-80.txt", text(replace(full_plan(), candidates=(), choice=None), width=80))


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_line_is_wider_than_the_screen(width):
    lines = text(full_plan(), width=width, everything=True, explain=True).splitlines()
    assert [] == [line for line in lines if cell_len(line) > width and "NOTHING WAS STARTED" not in line]


@pytest.mark.parametrize("fits", [True, False])
def test_a_question_about_one_device_is_answered_and_offers_nothing(golden, fits):
    asked = Offer("any", None, "T4", 2, 16.0, market="named", price_per_hour=None)
    one = replace(full_plan().candidates[1], offer=asked, cost=None, fits=fits, surely=fits, memory_available_gib=3.5, notes=())
    plan = replace(full_plan(), candidates=(one,), choice=0 if fits else None, here=Here(capable=False, reasons=()), sends={})
    golden(f"plan-device-{'fits' if fits else 'small'}-80.txt", text(replace(plan, suggestions=(), warnings=()), width=80))


def test_what_is_unknown_is_not_called_nothing():
    nothing = Amount(Range(0, 0, 0), {}, "stated")
    plan = replace(full_plan(), estimate=Estimate(None, nothing, nothing), work="")
    shown = text(plan, width=80)
    assert "  RAM          unknown: describe `model`, or state `resources`\n  Disk         unknown\n" in shown


def test_a_narrow_screen_keeps_the_cost_of_the_job():
    shown = text(full_plan(), width=60)
    assert "per hour" not in shown
    assert "$0.20 (0.15–0.62)" in shown


def test_without_an_account_the_first_option_is_still_told_phase_by_phase():
    plan = replace(full_plan(), choice=None)
    shown = text(plan, width=80)
    assert "OPTION 2" in shown
    assert "at worst" in shown
    assert "  mlrun train.yaml --pick 2" in shown


def test_regions_that_differ_are_told_on_a_narrow_screen_and_rows_are_told_apart():
    two = [
        replace(full_plan().candidates[1], offer=replace(full_plan().candidates[1].offer, region=r))
        for r in ("us-east-1", "eu-west-1")
    ]
    shown = text(replace(full_plan(), candidates=tuple(two), choice=None), width=80, everything=True)
    assert "in us-east-1" in shown
    assert "in eu-west-1" in shown


def test_data_that_git_ignores_are_said_to_travel():
    plan = full_plan()
    shown = text(replace(plan, sends={**plan.sends, "despite": [("data/pets/", ".gitignore")], "despite_count": 1}), width=80)
    assert "sent anyway  data/pets/ (.gitignore): dataset.path names it" in shown


def test_everything_does_not_recommend_everything_again():
    assert "--all" in text(replace(full_plan(), choice=None), width=80)
    assert "--all" not in text(replace(full_plan(), choice=None), width=80, everything=True)


def test_reasons_against_machines_are_told_once_each_the_rare_ones_first():
    many = [Rejection("aws", f"m5.{size}xlarge", "no GPU") for size in range(300)]
    rare = [Rejection("aws", "g6e.xlarge", "needs 2 h 13, but max_time 20 min leaves 20 min")] * 9
    shown = text(replace(full_plan(), rejected=(*many, *rare)), width=80, everything=True)
    assert 1 == shown.count("no GPU")
    assert 1 == shown.count("aws g6e.xlarge")
    assert "and 295 more" in shown
    assert shown.index("max_time 20 min") < shown.index("no GPU")


def test_memory_of_several_gpus_is_said_to_be_that_of_each():
    estimate = replace(full_plan().estimate, gpu_device="H100-80GB", gpu_count=8)
    assert "3.6 GiB on each of 8 H100-80GB" in text(replace(full_plan(), estimate=estimate), width=80)


def test_times_beyond_imagination_are_told_by_their_power_of_ten():
    endless = replace(full_plan().candidates[2], hours=Range(4e17, 5e17, 6e17), cost=Cost(Range(1e15, 2e15, 3e15), 4e15))
    shown = text(replace(full_plan(), candidates=(endless,), choice=None), width=80)
    assert "5.7e+13 years" in shown
    assert not re.search(r"[0-9,]{15}", shown)


def test_the_listed_terms_come_to_the_total():
    many = {f"term {n}": 0.5 for n in range(9)}
    memory = Amount(Range(4.0, 4.5, 5.0), many)
    shown = text(replace(full_plan(), estimate=replace(full_plan().estimate, gpu_memory=memory)), width=80)
    listed = [float(found) for found in re.findall(r"(?:term \d|others) +([0-9.]+) GiB", shown)]
    assert 4.5 == pytest.approx(sum(listed))


def test_large_sums_are_told_without_cents():
    dear = replace(full_plan().candidates[2], cost=Cost(Range(67.74, 115.21, 219.42), 400.0))
    assert "$115 (68–219)" in text(replace(full_plan(), candidates=(dear,), choice=None), width=80)


def test_what_is_left_out_and_secret_says_how_many_more_and_all_shows_all():
    sends = {
        "files": 9, "bytes": 9, "left_out": [[f"c{n}/", "rule"] for n in range(7)], "left_out_count": 7,
        "secrets": [f"s{n}" for n in range(6)], "secrets_count": 6, "secrets_hold": {"s0": "a private key"},
    }  # fmt: skip
    plan = replace(full_plan(), sends=sends)
    short = " ".join(text(plan, width=100).split())
    assert "c3/ (rule) and 3 more" in short
    assert "s0 (holds a private key), s1" in short
    assert "s4 and 1 more look like secrets" in short
    assert "--all names them all" in short
    whole = " ".join(text(plan, width=100, everything=True).split())
    assert "c6/ (rule)" in whole
    assert "s5 look like secrets" in whole


def test_what_was_picked_by_hand_is_run_with_the_same_pick():
    plan = full_plan()
    assert "--pick 2" in text(replace(plan, choice=1, by_hand=True), width=100).rpartition("NEXT")[2].splitlines()[0]
    assert "--pick" not in text(replace(plan, choice=1), width=100).rpartition("NEXT")[2].splitlines()[0]


def test_where_settings_come_from_is_explained_and_what_a_script_says_is_shown():
    origins = {"training.epochs": "default", "model.trees": "read in fit.py line 7", "model.depth": "read in fit.py line 7"}
    plan = full_plan()
    script = replace(plan, job=replace(plan.job, file="fit.py", origins=origins))
    assert "Read         model.trees, model.depth: fit.py line 7" in text(script, width=100)
    assert "training.epochs" not in text(script, width=100)
    explained = text(script, width=100, explain=True)
    assert "WHERE EACH SETTING COMES FROM" in explained
    assert "default: training.epochs" in explained


def test_where_nothing_may_be_chosen_the_free_option_that_works_is_what_comes_next():
    first, *others = full_plan().candidates
    closed = [replace(one, offer=replace(one.offer, usable=False, why_unusable="needs an account")) for one in others]
    shown = text(replace(full_plan(), candidates=(first, *closed), choice=None), width=100)
    free, paid, *_ = shown.partition("NEXT")[2].splitlines()
    assert "--pick 1" in free
    assert "free" in free
    assert "--pick 2" in paid


def test_an_option_picked_without_an_account_is_not_said_to_ask():
    shown = text(replace(full_plan(), choice=3, by_hand=True), width=100)
    assert "--pick 4   run option 4, needs an account" in shown
