"""What is known of clouds before, beside and after runs: access, limits, rungs, reminders, sightings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.app.access import closed
from dispatcher.app.limits import check_limits, foreseen, times_this_month
from dispatcher.app.reminders import reminders
from dispatcher.app.rungs import none_dearer, rungs
from dispatcher.app.sightings import look, matching
from dispatcher.backends.base import Terms
from dispatcher.domain.plan import Cost, Offer, Range, Tariff
from dispatcher.domain.run import Attempt, Doubt, Label, Run, RunState, new_run_id
from dispatcher.errors import HostUnreachable, NothingFits, UsageError
from dispatcher.jobfile.settings import Limits, Settings
from dispatcher.overnight import night as nights
from dispatcher.overnight.night import Night
from dispatcher.store.store import Store
from tests.fakes import FakeCloud
from tests.golden.plans import full_plan

NOW = 1_795_000_000.0
OFFER = Offer(where="fake", machine="m1", device="cpu")


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "data" / "runs.sqlite3") as opened:
        yield opened


def test_clouds_without_credentials_are_closed_and_those_with_are_not(tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert {"aws": "needs an account", "gcp": "needs an account"} == closed(Settings(), {}, tmp_path)
    assert {"gcp"} == set(closed(Settings(), keys, tmp_path))
    assert {"aws"} == set(closed(Settings(), {"DISPATCHER_GCP_ENDPOINT": "http://127.0.0.1:1"}, tmp_path))


def test_a_profile_of_the_settings_that_no_file_holds_closes_its_cloud(tmp_path):
    settings = Settings.model_validate({"aws": {"profile": "work"}})
    assert "work" in closed(settings, {}, tmp_path)["aws"]


def rented(worst, market="on-demand"):
    plan = full_plan()
    return replace(plan.candidates[1], cost=Cost(Range(0.1, 0.2, 0.3), worst), offer=replace(OFFER, market=market))


@pytest.mark.parametrize(
    ("limits", "worst", "fine"), [({}, 99, True), ({"per_run": 1}, 0.9, True), ({"per_run": 1}, 1.1, False)]
)
def test_no_run_may_cost_more_at_worst_than_the_settings_allow(store, limits, worst, fine):
    if fine:
        assert check_limits(rented(worst), Limits(**limits), store, NOW) is None
        return
    with pytest.raises(NothingFits, match=r"over limits\.per_run"):
        check_limits(rented(worst), Limits(**limits), store, NOW)


def test_a_job_of_unknown_time_is_held_to_the_limit_by_what_it_costs_at_worst(store):
    endless = replace(rented(2.0), hours=None, cost=Cost(None, 2.0))
    check_limits(endless, Limits(per_run=2.5), store, NOW)
    with pytest.raises(NothingFits, match=r"over limits\.per_run"):
        check_limits(endless, Limits(per_run=1.5), store, NOW)


def test_what_open_runs_may_cost_counts_in_this_months_limit(store):
    store.add(Run(new_run_id(), "going", RunState.RUNNING, submitted=NOW, cost_worst=4.0, cost_so_far=0.1))
    store.add(Run(new_run_id(), "last-month", RunState.RUNNING, submitted=NOW - 40 * 86400, cost_worst=90.0))
    check_limits(rented(0.9), Limits(per_month=5), store, NOW)
    with pytest.raises(NothingFits, match=r"\$4.00 are spent or promised"):
        check_limits(rented(1.1), Limits(per_month=5), store, NOW)


def test_what_armed_nights_may_cost_counts_in_this_months_limit(store, tmp_path, monkeypatch):
    """NOW is 18 November, 11:06 UTC; one of the nights is a run already."""
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
    once = Night("0000000001", "once", "aws", "us-east-1", NOW + 3600, "UTC", cost_worst=2.0)
    daily = replace(once, id="0000000002", cron="0 1 * * *", due=1795050000.0, cost_worst=0.5)
    run = replace(once, id="0000000003", cost_worst=50.0)
    store.add(Run(run.id, "is-a-run", RunState.RUNNING, submitted=NOW, cost_worst=1.0))
    for night in (once, daily, run):
        nights.keep(night)
    assert (1, 12) == (times_this_month(once, NOW), times_this_month(daily, NOW))
    assert 4 == times_this_month(replace(daily, until=NOW + 4 * 86400), NOW)
    check_limits(rented(0.9), Limits(per_month=10), store, NOW)
    with pytest.raises(NothingFits, match=r"\$9.00 are spent or promised, \$8.00 of it by scheduled nights"):
        check_limits(rented(1.1), Limits(per_month=10), store, NOW)
    with pytest.raises(NothingFits, match=r"adds \$1.20 in 12 times"):
        check_limits(rented(0.1), Limits(per_month=10), store, NOW, 12)


def test_owned_machines_know_no_limit(store):
    check_limits(rented(None, "owned"), Limits(per_run=0.01), store, NOW)


def walked(plan, others=(), dear_disk=(), **more):
    def tariff(_where, region):
        return Tariff(disk_gb_month=1.0 if region in dear_disk else 0.1)

    found = rungs(plan, lambda offer: [replace(offer, region=r, price_per_hour=p) for r, p in others], tariff, **more)
    return [(one.machine, one.region, one.market) for one in found]


def test_after_the_choice_come_its_other_regions_then_other_types_and_nothing_dearer():
    plan = full_plan()
    assert ("g4dn.xlarge", "spot") == (plan.chosen.offer.machine, plan.chosen.offer.market)
    price = plan.chosen.offer.price_per_hour
    same = [("us-east-2", price), ("us-west-1", price + 0.01), ("eu-west-1", price)]
    tried = walked(plan, same, dear_disk=("eu-west-1",))
    assert [("g4dn.xlarge", plan.chosen.offer.region, "spot"), ("g4dn.xlarge", "us-east-2", "spot")] == tried[:2]
    assert not {"us-west-1", "eu-west-1"} & {region for _, region, _ in tried}
    cheaper = replace(plan.chosen, offer=replace(plan.chosen.offer, machine="g5.tiny", price_per_hour=price / 2))
    dearer = replace(plan.chosen, offer=replace(plan.chosen.offer, machine="g5.huge", price_per_hour=price * 2))
    plan = replace(plan, candidates=(*plan.candidates, dearer, cheaper))
    assert ["g4dn.xlarge", "g5.tiny"] == [machine for machine, _, _ in walked(plan)]
    assert ["g4dn.xlarge"] == [machine for machine, _, _ in walked(plan, named=True)]


def test_a_run_here_has_no_other_rung():
    plan = full_plan()
    local = next(i for i, one in enumerate(plan.candidates) if one.offer.where == "local")
    assert [(None, None, "owned")] == walked(plan.picked(local), [("us-east-2", 0.0)])


def test_what_became_dearer_than_the_line_shown_is_told_and_left_out_and_what_only_rose_is_counted():
    plan = full_plan()
    shown = plan.chosen.offer.price_per_hour
    offers = [replace(plan.chosen.offer, market="on-demand", machine=name, price_per_hour=shown / 2) for name in "abcd"]
    now = {"a": shown * 1.01, "b": shown * 0.9, "c": shown / 4, "d": None}
    told = []
    found = list(none_dearer(offers, plan, lambda one: now[one.machine], told.append))
    assert [("b", shown * 0.9), ("c", shown / 2), ("d", shown / 2)] == [(one.machine, one.price_per_hour) for one in found]
    assert 1 == len(told)
    assert f"more than the ${shown:.4f} that was shown" in told[0]
    spot = [replace(one, market="spot") for one in offers]
    assert spot == list(none_dearer(spot, plan, lambda _one: 99.0, told.append))


def going(name, state=RunState.RUNNING, **more):
    run_id = new_run_id()
    attempt = Attempt(Label(run_id), "aws", "g4dn.xlarge", "us-east-1", "spot", 0.36, launched=NOW - 600)
    return Run(run_id, name, state, attempts=[attempt], ends_itself=NOW + 3600, **more)


def test_every_command_says_what_runs_elsewhere_costs_the_doubtful_first():
    doubtful = going("doubtful", RunState.TERMINATING, doubt=Doubt.TEARDOWN)
    told = [(one.message, one.fix) for one in reminders([going("fine"), doubtful], NOW)]
    assert [("doubtful", "mlrun stop"), ("fine", "mlrun attach")] == [(m.split()[0], f.rpartition(" ")[0]) for m, f in told]
    assert "may still exist on aws g4dn.xlarge us-east-1" in told[0][0]
    assert "$0.36 per hour, $0.06 so far, ends by itself at" in told[1][0]


def test_the_run_that_a_command_is_about_runs_here_and_lent_machines_are_not_told():
    meant, here, lent = going("meant"), going("here"), going("lent")
    here.attempt.market, lent.attempt.market = "owned", "held"
    assert [] == list(reminders([meant, here, lent], NOW, "meant"))
    assert [] == list(reminders([meant], NOW, meant.id[:4]))


def test_many_are_counted():
    told = list(reminders([going(f"job-{n}") for n in range(8)], NOW))
    assert (6, "3 more runs have rented machines") == (len(told), told[-1].message)


def test_a_run_that_should_be_over_is_told_as_such():
    (told,) = reminders([replace(going("old"), ends_itself=NOW - 60)], NOW)
    assert "nobody has looked since" in told.message


def test_runs_of_other_computers_are_read_from_their_tags(tmp_path):
    cloud = FakeCloud(tmp_path / "cloud")
    label, stranger = Label(new_run_id()), Label(new_run_id())
    cloud.provision(OFFER, label, Terms(max_seconds=7200, run_name="pets", client="another"))
    cloud.adopt_stranger(stranger, "somebody")
    seen = look(["fake"], lambda _name: cloud)
    now = cloud.clock.now()
    (run,) = seen.runs(now, lambda _run: False)
    assert (label.run, "pets", RunState.RUNNING, [label]) == (run.id, run.name, run.state, [one.label for one in run.attempts])
    assert 7200 == pytest.approx(run.ends_itself - run.submitted, abs=1)
    assert run is matching([run], "pets") is matching([run], label.run[:4])
    assert [stranger] == [one.label for one in seen.strangers()]
    assert [] == seen.runs(now, lambda _run: True)
    with pytest.raises(UsageError, match="neither here nor in the clouds"):
        matching([run], "cats")


def test_a_cloud_that_does_not_answer_is_told_and_never_empty(tmp_path):
    cloud = FakeCloud(tmp_path / "cloud", faults={"leftovers": ["before"]})
    assert {"fake": "the request did not leave"} == look(["fake"], lambda _name: cloud).silent

    def unloadable(_name):
        raise HostUnreachable("no")

    assert {"fake": "no"} == look(["fake"], unloadable).silent


@pytest.mark.parametrize(("most", "told"), [(0.05, True), (50.0, False), (None, False)])
def test_a_plan_says_beforehand_that_the_settings_would_refuse_its_run(most, told):
    assert told == bool(foreseen(full_plan(), Limits(per_run=most)))
