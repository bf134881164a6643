"""Runs that AWS starts by itself: submitted, left alone, found in the morning. Real hosts of the lab."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest

from tests.e2e.shell import Ended, Shell

DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    budget: {max_time: 20m}
    where: aws/us-east-1
"""
TRAINS = """
    name: trains
    run: |
      python train.py
    outputs: [made/, notes.txt]
"""
TRAIN = """
import os, pathlib
print("training", os.environ.get("TOKEN", "without a token"))
pathlib.Path("made").mkdir()
pathlib.Path("made/model.bin").write_bytes(bytes(range(256)) * 40)
pathlib.Path("notes.txt").write_text("done\\n")
print("deadline", "DISPATCHER_DEADLINE" in os.environ)
"""
LONGEST = 120.0


@pytest.fixture
def aws(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose account is set up for nights."""
    shell.env |= lab_environment
    made = shell.mlrun("setup", "aws", "--overnight", "--region", "us-east-1", "--yes")
    assert made.code == 0, made.said
    return shell


def submit(shell: Shell, text: str = TRAINS, script: str = TRAIN) -> dict[str, Any]:
    """A night an hour from now, as JSON."""
    shell.write(script, "train.py")
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    done = shell.mlrun(
        shell.write(text + DESCRIBED), "--at", soon.isoformat(timespec="seconds"), "--yes", "--json", timeout=LONGEST
    )
    assert done.code == 0, done.said
    return dict(done.json()["schedule"])


def fire(lab: Any, night: dict[str, Any]) -> None:
    """The hour has come."""
    lab.ec2.control("fire", {"name": night["trigger"]})


def alive(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.ec2.control("instances", {}) if one["state"] not in ("shutting-down", "terminated")]


def morning(shell: Shell, lab: Any) -> Ended:
    """What a command says once the night is over; the clock that counts is this computer's."""
    end = time.monotonic() + LONGEST
    while alive(lab):
        assert time.monotonic() < end, "the machine never ended itself"
        time.sleep(0.2)
    later(shell, hours=2)
    return shell.mlrun("ps", timeout=LONGEST)


def later(shell: Shell, hours: float) -> None:
    """This computer's nights were due so long ago: nobody waits an hour in a test."""
    for file in (shell.home / "dispatcher" / "data" / "nights").glob("*.json"):
        night = json.loads(file.read_text())
        night["started_now"] = time.time() - hours * 3600
        file.write_text(json.dumps(night))


def test_overnight_aws_runs_alone_and_the_morning_brings_everything_home(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    assert ["trains"] == [one["name"] for one in aws.mlrun("schedule", "ls", "--json").json()["schedules"]]
    assert 0 < night["worst_case_usd"] < 1
    fire(lab, night)
    [machine] = alive(lab)
    said = morning(aws, lab)
    assert "overnight, is over: succeeded" in said.err, said.said
    assert bytes(range(256)) * 40 == (aws.folder / "made" / "model.bin").read_bytes()
    assert "done\n" == (aws.folder / "notes.txt").read_text()
    assert b"training without a token\ndeadline True\n" == aws.mlrun("logs", "trains").stdout
    told = aws.mlrun("report", "last", "--json").json()
    assert ("finished", "succeeded", 0) == (told["state"], told["outcome"], told["exit_code"])
    assert told["teardown"]["confirmed"] is True
    assert 0 < told["cost_usd"]["so_far"] <= told["cost_usd"]["worst_case"]
    assert float(lab.ledger.usd()) <= told["cost_usd"]["worst_case"]
    assert machine["tags"]["mlrun-run"] == told["id"]
    assert [] == lab.ec2.control("schedules", {})
    assert [] == aws.mlrun("schedule", "ls", "--json").json()["schedules"]
