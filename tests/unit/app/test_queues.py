"""One machine for several jobs, its end, its cost at worst."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dispatcher.app import plans, queues
from dispatcher.app.queues import together
from dispatcher.app.schedules import Planned
from dispatcher.cli.queues import lines, question
from dispatcher.errors import LoginNeeded, NothingFits, UsageError
from dispatcher.jobfile.load import load

DUE = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
JOB = """
run: python train.py
model: {{family: tabular, library: sklearn, algorithm: random-forest, trees: 10}}
dataset: {{rows: {rows}, columns: 10, dtype: float64}}
budget: {{max_time: {most}}}
where: aws/us-east-1
"""


def usable(plan):
    """As though there were a login."""
    candidates = tuple(replace(one, offer=replace(one.offer, usable=True)) for one in plan.candidates)
    return replace(plan, candidates=candidates, choice=0)


@pytest.fixture
def planned(tmp_path, monkeypatch):
    real = plans.plan_loaded
    monkeypatch.setattr(queues, "plan_loaded", lambda *args, **more: usable(real(*args, **more)))

    def make(*jobs, ends=None, cron=None):
        loaded = []
        for number, (rows, most) in enumerate(jobs):
            file = tmp_path / f"{'abc'[number]}.yaml"
            file.write_text(JOB.format(rows=rows, most=most))
            loaded.append(load(file))
        made = tuple(usable(real(one)) for one in loaded)
        return Planned(tuple(loaded), made, DUE, cron, ends or (None,) * len(loaded))

    return make


def test_the_machine_suits_the_most_demanding_and_ends_when_all_may_have(planned):
    queue = together(planned((1000, "20m"), (50_000_000, "40m")), 20.0)
    small, large = (plan.chosen for plan in queue.plans)
    assert (small.offer.machine, small.offer.region, small.offer.market) == (
        large.offer.machine, large.offer.region, large.offer.market,
    )  # fmt: skip
    assert all(plan.chosen.surely for plan in queue.plans)
    assert queue.machine.hard_stop_seconds == small.hard_stop_seconds + large.hard_stop_seconds
    assert "" != queue.machine.offer.machine
    assert large.cost.worst_case < queue.machine.cost.worst_case <= 20.0


def test_a_budget_is_kept_by_the_hard_stop(planned):
    made = planned((1000, "10h"), (1000, "10h"))
    free, bound = together(made, None).machine, together(made, 0.1).machine
    assert bound.hard_stop_seconds < free.hard_stop_seconds
    assert ("max_cost", True) == (bound.stopped_by, bound.cost.worst_case <= 0.1 + 1e-9 < free.cost.worst_case)


def test_a_budget_that_buys_too_little_is_refused(planned):
    with pytest.raises(NothingFits, match=r"--budget \$0\.01 leaves .* on aws"):
        together(planned((1000, "1h"), (1000, "1h")), 0.005)


def test_the_last_end_is_the_machines(planned):
    ends = (DUE.timestamp() + 1800, DUE.timestamp() + 2400)
    assert 2400 == together(planned((1000, "1h"), (1000, "1h"), ends=ends), None).machine.hard_stop_seconds


def test_what_is_no_queue_of_one_machine_is_refused(planned):
    made = planned((1000, "20m"), (1000, "20m"))
    with pytest.raises(UsageError, match="--cron"):
        together(replace(made, cron="0 1 * * *"), None)
    elsewhere = replace(made.plans[1].chosen, offer=replace(made.plans[1].chosen.offer, where="gcp"))
    mixed = replace(made.plans[1], candidates=(elsewhere,), choice=0)
    with pytest.raises(UsageError, match="aws and gcp"):
        together(replace(made, plans=(made.plans[0], mixed)), None)


def test_what_is_asked_names_jobs_machine_and_the_most_it_can_cost(planned, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = planned((1000, "2h"), (1000, "2h"))
    queue = together(made, 0.1)
    offer = queue.machine.offer
    said = "\n".join(lines(queue, made, DUE))
    assert f"on one aws {offer.machine} ({offer.market}) in us-east-1" in " ".join(said.split())
    assert "at worst $0.10: the machine ends by itself" in said
    assert "which the budget of $0.10 sets" in " ".join(said.split())
    assert f"Have a, b run on aws {offer.machine}, " in question(queue, made, DUE)


def test_a_login_that_expired_meanwhile_is_told_as_that(planned, monkeypatch):
    made = planned((1000, "20m"), (1000, "20m"))

    def expired(*_args, **_more):
        raise LoginNeeded("the login is over")

    monkeypatch.setattr(queues, "plan_loaded", expired)
    with pytest.raises(LoginNeeded):
        together(made, None)
