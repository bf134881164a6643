"""The plan's screen, as it was looked at and found good."""

from __future__ import annotations

from dataclasses import replace

import click
import pytest
from rich.cells import cell_len

from dispatcher.cli.render.plan import plan_lines
from dispatcher.domain.plan import Here
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
