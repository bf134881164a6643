"""Money for a whole job."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import Budget
from dispatcher.domain.plan import Range, Tariff
from dispatcher.planner.cost import GRACE_SECONDS, Use, cost, hard_stop, spot_delay
from tests.unit.planner.things import offer, own

HOURS = Range(0.8, 1.0, 1.5)
TARIFF = Tariff(disk_gb_month=0.08, address_hour=0.005, egress_gb=0.09)


def test_the_likely_cost_is_the_sum_of_its_parts():
    money = cost(offer(), HOURS, 7200, TARIFF, Use(100, 1.0))
    assert sum(money.parts.values()) == pytest.approx(money.range.likely)


def test_a_job_pays_for_machine_disk_address_and_download():
    money = cost(offer(price_per_hour=0.5), HOURS, 7200, TARIFF, Use(730, 2.0))
    assert {"machine": 0.5, "disk": pytest.approx(0.08), "address": 0.005, "download": 0.18} == money.parts


def test_at_worst_it_runs_to_the_hard_stop_and_waits_out_the_grace():
    money = cost(offer(price_per_hour=1.0), HOURS, 7200, Tariff(), Use())
    assert (7200 + GRACE_SECONDS) / 3600 == pytest.approx(money.worst_case)


def test_the_worst_case_is_never_below_the_high_end():
    money = cost(offer(price_per_hour=1.0), Range(1, 2, 9), 60, Tariff(), Use())
    assert money.range.high <= money.worst_case


def test_an_unsure_price_widens_both_ends():
    sure = cost(offer(), HOURS, 7200, TARIFF, Use())
    vague = cost(offer(price_spread=0.4), HOURS, 7200, TARIFF, Use())
    assert vague.range.low < sure.range.low
    assert sure.range.high < vague.range.high


def test_an_unknown_price_gives_no_cost():
    assert cost(offer(price_per_hour=None), HOURS, 7200, TARIFF, Use()) is None


def test_an_owned_machine_is_free():
    assert 0.0 == cost(own(), HOURS, 7200, TARIFF, Use(100, 5)).range.high


def test_without_max_time_the_hard_stop_is_twice_the_high_estimate():
    assert 2 * (3 * 3600 + 300) == hard_stop(Range(3600, 7200, 3 * 3600), 300, Budget(), 1.0, None)


def test_the_hard_stop_is_at_least_an_hour():
    assert 3600 == hard_stop(Range(1, 2, 3), 10, Budget(), 1.0, None)


@pytest.mark.parametrize(
    ("limits", "left", "stop"),
    [
        ({"max_time": "2h"}, None, 7200 + 300),
        ({"max_cost": 1.0}, None, 1800),
        ({}, 900.0, 900.0),
        ({"max_time": "2h", "max_cost": 1.0}, 60.0, 60.0),
    ],
)
def test_the_hard_stop_is_the_least_of_what_time_money_and_deadline_allow(limits, left, stop):
    assert stop == hard_stop(Range(3600, 7200, 9000), 300, Budget.model_validate(limits), 2.0, left)


def test_a_checkpoint_makes_interruptions_cheap():
    run = Range(3600, 36000, 50000)
    assert spot_delay(run, 600) < spot_delay(run, None)
