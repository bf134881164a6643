"""The time that a job may take on a machine which another run holds."""

from __future__ import annotations

import pytest

from dispatcher.app.submit import time_there
from dispatcher.domain.run import Attempt, Label, Run, RunState
from dispatcher.errors import UsageError
from dispatcher.jobfile.load import from_mapping

NOW = 1_795_000_000.0


def lender(seconds: float | None) -> Run:
    attempt = Attempt(Label("7f3a2b9c1d"), "aws", "c5.large", "us-east-1", "on-demand", 0.5, NOW - 600, beside_per_hour=0.5)
    ends = None if seconds is None else NOW + seconds
    return Run("7f3a2b9c1d", "pets", RunState.HELD, attempts=[attempt], ends_itself=ends)


@pytest.mark.parametrize(
    ("budget", "seconds", "expected"),
    [
        ({}, 3660, 3600),
        ({"max_time": "10m"}, 3660, 600),
        ({"max_time": "10h"}, 3660, 3600),
        ({"max_cost": 0.5}, 3660, 1800),
        ({"max_cost": 0.5, "max_time": "10m"}, 3660, 600),
        ({"max_cost": 0.5}, None, 1800),
        ({}, None, None),
    ],
)
def test_the_least_of_the_machines_end_and_the_jobs_own_limits(budget, seconds, expected):
    loaded = from_mapping({"run": "true", "budget": budget})
    assert expected == time_there(loaded, lender(seconds), NOW)


def test_finish_by_limits_it_too():
    loaded = from_mapping({"run": "true", "budget": {"finish_by": "2099-01-01 00:00"}})
    assert time_there(loaded, lender(None), NOW) > 1e8


def test_a_machine_that_ends_in_a_moment_takes_no_job():
    with pytest.raises(UsageError, match="no time is left"):
        time_there(from_mapping({"run": "true"}), lender(30), NOW)
