"""Several jobs in a night, in turn, within one budget; real hosts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.e2e import test_overnight_gcp as google
from tests.e2e.shell import Shell
from tests.e2e.test_overnight_aws import DESCRIBED, LONGEST, alive, aws, fire, morning, nights
from tests.e2e.test_overnight_gcp import gcp

__all__ = ["aws", "gcp"]
BUDGET = 0.5


def later() -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).isoformat(timespec="seconds")


def queue(shell: Shell, *runs: str, described: str = DESCRIBED) -> list[str]:
    return [
        str(shell.write(f"    run: {run}\n    outputs: [made/]\n{described}", f"{name}.yaml"))
        for name, run in zip("abcdef", runs, strict=False)
    ]


def submit(shell: Shell, *jobs: str, budget: float = BUDGET) -> dict[str, Any]:
    words = ("--at", later(), "--one-after-another", "--budget", budget, "--yes", "--json")
    done = shell.mlrun("schedule", "add", *jobs, *words, timeout=LONGEST)
    assert done.code == 0, done.said
    return dict(done.json()["schedule"])


@pytest.mark.long
def test_overnight_queue_runs_in_turn_on_one_machine_and_the_morning_sums_it(aws: Shell, lab: Any) -> None:
    night = submit(aws, *queue(aws, "mkdir made; echo one > made/a", "exit 3", "cat made/a; echo three > made/c"))
    assert (0 < night["worst_case_usd"] <= BUDGET, BUDGET) == (True, night["budget_usd"])
    fire(lab, night)
    assert 1 == len(alive(lab))
    said = morning(aws, lab)
    assert "is over: 2 of its 3 jobs succeeded" in said.err, said.said
    runs = {run["name"]: run for run in aws.runs()}
    assert {"a": 0, "b": 3, "c": 0} == {name: run["exit_code"] for name, run in runs.items()}
    assert ("one\n", "three\n") == tuple((aws.folder / "made" / name).read_text() for name in "ac")
    assert b"one\n" == aws.mlrun("logs", "c").stdout
    told = aws.mlrun("report", "c", "--json").json()["queue"]
    assert (3, ["a", "b", "c"], 2) == (told["of"], [one["name"] for one in told["runs"]], told["succeeded"])
    assert 0 < told["cost_usd"] <= night["worst_case_usd"]
    assert 1 == len(lab.ec2.control("instances", {"all": True}))
    assert ([], []) == (lab.ec2.control("schedules", {}), nights(aws))


@pytest.mark.long
def test_overnight_queue_is_refused_where_its_budget_buys_too_little(aws: Shell, lab: Any) -> None:
    jobs = queue(aws, "echo a", "echo b")
    words = ("--at", later(), "--one-after-another", "--yes")
    poor = aws.mlrun("schedule", "add", *jobs, *words, "--budget", "0.0001")
    assert 101 == poor.code
    assert "--budget" in poor.err
    assert [] == lab.ec2.control("schedules", {})


@pytest.mark.long
def test_overnight_queue_runs_in_turn_on_google_too(gcp: Shell, lab: Any) -> None:
    jobs = queue(gcp, "mkdir made; echo one > made/a", "cat made/a; exit 3", described=google.DESCRIBED)
    night = submit(gcp, *jobs)
    assert 0 < night["worst_case_usd"] <= BUDGET
    google.fire(lab, night)
    said = google.morning(gcp, lab)
    assert "is over: 1 of its 2 jobs succeeded" in said.err, said.said
    assert {"a": 0, "b": 3} == {run["name"]: run["exit_code"] for run in gcp.runs()}
    assert b"one\n" == gcp.mlrun("logs", "b").stdout
    assert [] == nights(gcp)
