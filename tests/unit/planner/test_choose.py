"""Which candidate a run takes."""

from __future__ import annotations

from dispatcher.planner.choose import choose, ranked
from tests.unit.planner.things import candidate, offer, own


def test_this_machine_is_chosen_if_the_job_fits_here_however_slow():
    order = ranked([candidate(0.1, 0.1), candidate(0.0, 90.0, at=own())])
    assert "local" == order[choose(order) or 0].offer.where


def test_else_the_lowest_likely_cost():
    order = ranked([candidate(2.0, 1.0), candidate(1.0, 3.0)])
    assert 1.0 == order[choose(order)].cost.range.likely


def test_offers_closer_than_their_price_uncertainty_tie_and_the_lower_high_end_wins():
    vague = candidate(1.00, 1.0, at=offer(price_spread=0.4, market="spot"))
    sure = candidate(1.05, 1.0)
    low_end = type(sure)(**{**{n: getattr(sure, n) for n in sure.__slots__}, "offer": offer(price_spread=0.1)})
    cheaper_at_worst = type(sure)(
        **{
            **{n: getattr(low_end, n) for n in sure.__slots__},
            "cost": type(sure.cost)(type(sure.cost.range)(1.0, 1.05, 1.1), 2.0),
        }
    )
    order = ranked([vague, cheaper_at_worst])
    assert 1.1 == order[choose(order)].cost.range.high


def test_among_equal_costs_the_shorter_time_wins():
    order = ranked([candidate(1.0, 5.0), candidate(1.0, 2.0)])
    assert 2.0 == order[choose(order)].hours.likely


def test_prefer_fast_takes_the_fastest():
    order = ranked([candidate(1.0, 5.0), candidate(9.0, 1.0)], "fast")
    assert 1.0 == order[choose(order, "fast")].hours.likely


def test_a_cloud_without_an_account_is_ranked_but_never_chosen():
    order = ranked([candidate(0.1, 1.0, at=offer(usable=False)), candidate(5.0, 1.0)])
    assert 5.0 == order[choose(order)].cost.range.likely
    assert 2 == len(order)


def test_nothing_is_chosen_where_nothing_surely_fits():
    assert choose([candidate(surely=False)]) is None
    assert choose([]) is None


def test_changed_settings_are_never_chosen_by_themselves():
    assert choose([candidate(0.0, 1.0, at=own(), changes={"training.batch_size": 32})]) is None


def test_an_unknown_price_ranks_last():
    order = ranked([candidate(None, 1.0, at=offer(price_per_hour=None)), candidate(100.0, 1.0)])
    assert [100.0, None] == [c.cost and c.cost.range.likely for c in order]
