"""Money for a whole job."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import Budget
from dispatcher.domain.plan import Range, Tariff
from dispatcher.planner.cost import GRACE_SECONDS, Spending, Stop, Use, cost, hard_stop, spending, spot_delay
from tests.unit.planner.things import offer, own

HOURS = Range(0.8, 1.0, 1.5)
STOP = Stop(7200)
TARIFF = Tariff(disk_gb_month=0.08, address_hour=0.005, egress_gb=0.09)


def test_the_likely_cost_is_the_sum_of_its_parts():
    money = cost(offer(), HOURS, STOP, TARIFF, Use(100, 1.0))
    assert sum(money.parts.values()) == pytest.approx(money.range.likely)


def test_a_job_pays_for_machine_disk_address_and_download():
    money = cost(offer(price_per_hour=0.5), HOURS, STOP, TARIFF, Use(730, 2.0))
    assert {"machine": 0.5, "disk": pytest.approx(0.08), "address": 0.005, "download": 0.18} == money.parts


def test_at_worst_it_runs_to_the_hard_stop_and_waits_out_the_grace():
    money = cost(offer(price_per_hour=1.0), HOURS, Stop(7200), Tariff(), Use())
    assert (7200 + GRACE_SECONDS) / 3600 == pytest.approx(money.worst_case)


def test_the_worst_case_is_never_below_the_high_end():
    money = cost(offer(price_per_hour=1.0), Range(1, 2, 9), Stop(60), Tariff(), Use())
    assert money.range.high <= money.worst_case


def test_an_unsure_price_widens_both_ends():
    sure = cost(offer(), HOURS, STOP, TARIFF, Use())
    vague = cost(offer(price_spread=0.4), HOURS, STOP, TARIFF, Use())
    assert vague.range.low < sure.range.low
    assert sure.range.high < vague.range.high


def test_an_unknown_price_gives_no_cost():
    assert cost(offer(price_per_hour=None), HOURS, STOP, TARIFF, Use()) is None


def test_an_owned_machine_is_free():
    assert 0.0 == cost(own(), HOURS, STOP, TARIFF, Use(100, 5)).range.high


def test_without_max_time_the_hard_stop_is_twice_the_high_estimate():
    assert 2 * (3 * 3600 + 300) == hard_stop(Range(3600, 7200, 3 * 3600), 300, Budget(), Spending(1.0), None).seconds


def test_the_hard_stop_is_at_least_an_hour():
    assert 3600 == hard_stop(Range(1, 2, 3), 10, Budget(), Spending(1.0), None).seconds


@pytest.mark.parametrize(
    ("limits", "left", "stop"),
    [
        ({"max_time": "2h"}, None, 7200 + 300),
        ({"max_cost": 4.0}, None, 7200 * 0.75),
        ({}, 900.0, 900.0),
        ({"max_time": "2h", "max_cost": 4.0}, 60.0, 60.0),
    ],
)
def test_the_hard_stop_is_the_least_of_what_time_money_and_deadline_allow(limits, left, stop):
    found = hard_stop(Range(3600, 7200, 9000), 300, Budget.model_validate(limits), Spending(2.0), left)
    assert stop == pytest.approx(found.seconds)


@pytest.mark.parametrize("usd", [0.05, 0.5, 1.0, 5.0, 50.0])
@pytest.mark.parametrize("hours", [0.2, 2.0, 20.0])
def test_max_cost_holds_at_worst_with_grace_disk_address_and_download(usd, hours):
    run, at, use = Range(0.8 * hours, hours, 1.5 * hours), offer(price_per_hour=0.6, price_spread=0.2), Use(200, 0.3)
    stop = hard_stop(run.scaled(3600), 300, Budget(max_cost=usd), spending(at, TARIFF, use), None)
    money = cost(at, run, stop, TARIFF, use)
    if money.range.likely <= usd and stop.seconds > hours * 3600:
        assert money.worst_case <= usd + 1e-9
        assert money.range.high <= money.worst_case
    else:
        assert stop.by == "max_cost"


def test_a_generous_max_cost_leaves_hard_stop_and_grace_as_they_are():
    plain = hard_stop(Range(60, 120, 180), 10, Budget(), Spending(1.0), None)
    assert plain == hard_stop(Range(60, 120, 180), 10, Budget(max_cost=100), Spending(1.0), None)
    assert GRACE_SECONDS == plain.grace


def test_a_checkpoint_makes_interruptions_cheap():
    run = Range(3600, 36000, 50000)
    assert spot_delay(run, 600) < spot_delay(run, None)


def test_the_cost_at_worst_is_known_where_the_jobs_time_is_not():
    one = offer(price_per_hour=1.0)
    tariff = Tariff(disk_gb_month=0.73, address_hour=0.01)
    stop = hard_stop(None, 60.0, Budget(max_time=7200), spending(one, tariff, Use(disk_gb=10.0)), None)
    found = cost(one, None, stop, tariff, Use(disk_gb=10.0))
    hourly = 1.0 + 0.01 + 0.01
    assert found is not None
    assert (None, None) == (found.range, found.likely)
    assert pytest.approx((7260 + 3600) / 3600 * hourly) == found.worst_case
    assert pytest.approx(0.02) == found.beside_per_hour
    told = found.as_dict()
    assert (None, None, None) == (told["low"], told["likely"], told["high"])
    assert told["worst_case"] == pytest.approx(found.worst_case, rel=1e-2)
