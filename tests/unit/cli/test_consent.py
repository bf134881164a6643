"""What is said before a machine is rented: above all what ends it, and what it costs if nobody comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.cli.render.consent import consent_lines
from dispatcher.domain.plan import Plan
from tests.golden.plans import full_plan

WAITS = "If no mlrun of yours is there when its job is over, it waits for one until then, which costs up to $"


def on(where: str) -> Plan:
    """A plan whose choice is rented there: an hour of a machine of $0.50 that ends two hours after its launch at the latest."""
    plan = full_plan()
    one = next(one for one in plan.candidates if one.offer.market == "on-demand")
    one = replace(
        one, offer=replace(one.offer, where=where, price_per_hour=0.5), hard_stop_seconds=3600.0, grace_seconds=3600.0
    )
    assert one.hours
    one = replace(one, hours=replace(one.hours, low=1.0, likely=1.0, high=1.0), cost=None)
    return replace(plan, candidates=(one,), choice=0)


def said(where: str, watched: str) -> str:
    return " ".join(" ".join(consent_lines(on(where), 120, detached=False, outputs=True, watched=watched)).split())


def test_a_machine_that_cannot_delete_itself_is_said_to_wait_with_the_price_of_that():
    assert f"{WAITS}0.50: mlrun setup gcp lets it delete itself." in said("gcp", "")


@pytest.mark.parametrize(("where", "watched"), [("gcp", "account"), ("aws", ""), ("aws", "reaper"), ("aws", "schedule")])
def test_one_that_can_is_not(where, watched):
    assert WAITS not in said(where, watched)
    assert "whatever happens to this computer" in said(where, watched)


@pytest.mark.parametrize(
    ("watched", "words"),
    [("", "nothing ends it before you do"), ("reaper", "the reaper in your account"), ("schedule", "a schedule of its own")],
)
def test_what_ends_a_machine_of_awss_that_hangs_is_said(watched, words):
    plan = replace(on("aws"), warnings=())
    text = " ".join(" ".join(consent_lines(plan, 120, detached=False, outputs=True, watched=watched)).split())
    assert f"If this AWS host itself hangs, {words}" in text
    assert ("nothing ends it" in text) is (not watched)
