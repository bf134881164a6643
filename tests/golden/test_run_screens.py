"""What is said of runs, as it was looked at and found good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest
from rich.cells import cell_len

from dispatcher.cli.render.listing import cost_lines, ps_lines
from dispatcher.cli.render.receipt import here_lines, last_words, report_lines
from dispatcher.domain.run import Doubt
from dispatcher.store.records import MonthTotal
from tests.golden.plans import full_plan
from tests.golden.runs import ENDS, NOW, doubtful, going, succeeded

LOG = Path("/var/lib/dispatcher/runs/7f3a2b9c1d/log")


def text(lines: list[str]) -> str:
    return click.unstyle("\n".join(lines)) + "\n"


def test_the_last_words_of_every_end(golden):
    golden("last-words-80.txt", "\n".join(f"[{name}]\n{text(last_words(run, LOG, 80))}" for name, run in ENDS.items()))


def test_the_last_words_before_a_run_is_left_alone_and_when_its_end_is_in_doubt(golden):
    runs = [going(), doubtful(Doubt.TEARDOWN), doubtful(Doubt.LAUNCH)]
    golden("last-words-open-80.txt", "\n".join(text(last_words(run, LOG, 80)) for run in runs))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_receipt(golden, width):
    golden(f"report-{width}.txt", text(report_lines(succeeded(), LOG, width)))


def test_the_receipt_of_a_run_on_its_way_and_of_one_in_doubt(golden):
    golden("report-open-80.txt", "\n".join(text(report_lines(run, None, 80)) for run in (going(), doubtful())))


@pytest.mark.parametrize("width", [60, 80])
def test_the_list_of_runs_begins_with_what_may_still_cost_money(golden, width):
    golden(f"ps-{width}.txt", text(ps_lines([going(), *ENDS.values(), doubtful()], NOW + 7200, width)))


def test_the_costs_of_months(golden):
    golden("costs-80.txt", text(cost_lines([MonthTotal("2026-11", 1234, 56.7, 12.3), MonthTotal("2026-10", 2, 0.04, 0.0)], 80)))


def test_what_is_said_before_a_run_here(golden):
    golden("here-80.txt", text(here_lines(full_plan(), 80)))


def test_no_runs_yet_is_said_with_what_to_do():
    assert ["No runs yet. Start one: mlrun train.yaml"] == ps_lines([], NOW, 80)
    assert ["No runs yet, no costs."] == cost_lines([], 80)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ENDS)
def test_no_line_about_a_run_is_wider_than_the_screen(name, width):
    shown = text(last_words(ENDS[name], LOG, width)) + text(report_lines(ENDS[name], LOG, width))
    assert [] == [line for line in shown.splitlines() if cell_len(line) > width and str(LOG) not in line]


def test_a_job_that_nobody_described_is_told_what_it_would_have_cost_elsewhere_had_it_taken_as_long():
    run = succeeded()
    options = [{**one, "hours": None, "cost_usd": one["cost_usd"] and {**one["cost_usd"], "likely": None}}
               for one in run.plan["candidates"]]  # fmt: skip
    shown = text(report_lines(replace(run, plan={**run.plan, "candidates": options}), LOG, 100))
    below = shown.partition("ELSEWHERE, HAD IT TAKEN AS LONG THERE")[2]
    assert "$" in below.splitlines()[2]
