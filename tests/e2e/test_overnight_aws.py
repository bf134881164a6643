"""Runs that AWS starts by itself: submitted, left alone, found in the morning. Real hosts of the lab."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path
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
    for file in nights(shell):
        night = json.loads(file.read_text()) | {"due": time.time() - 2 * 3600}
        file.write_text(json.dumps(night))
    return shell.mlrun("ps", timeout=LONGEST)


def nights(shell: Shell) -> list[Path]:
    return list((shell.home / "dispatcher" / "data" / "nights").glob("*.json"))


def bucket(lab: Any, night: dict[str, Any]) -> Any:
    """The night's bucket, in the hands of somebody who may do everything."""
    import boto3

    given = lab.ec2.exports()
    s3 = boto3.resource(
        "s3",
        endpoint_url=given["AWS_ENDPOINT_URL"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    return s3.Bucket(night["bucket"])


def ended(shell: Shell) -> tuple[str, str, int]:
    """Outcome, reason and exit code of the newest run; nothing may be left in AWS."""
    told = shell.mlrun("report", "last", "--json").json()
    assert ("finished", True) == (told["state"], told["teardown"]["confirmed"])
    assert [] == shell.mlrun("schedule", "ls", "--json").json()["schedules"]
    return told["outcome"], told["reason"], told["exit_code"]


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


def test_overnight_aws_fired_twice_makes_one_machine(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"retry": 0.5})
    lab.faults.add("FireSchedule", when="drop_after")
    night = submit(aws, TRAINS.replace("python train.py", "echo once"))
    fire(lab, night)
    aws.until(lambda: lab.ledger.count("CreateFleet", "ok") == 2, "it fires again")
    assert 1 == len(alive(lab))
    check = aws.mlrun("sweep", "--check", "--json")
    assert {"elsewhere"} == {one["action"] for one in check.json()["leftovers"]}, check.said
    assert ["trains"] == [one["name"] for one in aws.runs()]
    morning(aws, lab)
    assert ("succeeded", "exited", 0) == ended(aws)
    assert 1 == len(lab.ec2.control("instances", {"all": True}))


@pytest.mark.long
def test_overnight_aws_a_failing_job_has_its_own_code_its_log_and_its_outputs(aws: Shell, lab: Any) -> None:
    lab.ec2.control("parameter", {"name": "/mlrun/TOKEN", "value": "s3cret"})
    job = TRAINS.replace("python train.py", "python train.py | tr a-z A-Z; exit 9") + "    secrets: [TOKEN]\n"
    night = submit(aws, job)
    assert "s3cret" not in "".join(file.read_text() for file in nights(aws))
    fire(lab, night)
    said = morning(aws, lab)
    assert "failed" in said.err
    assert ("failed", "exited", 9) == ended(aws)
    assert b"TRAINING S3CRET" in aws.mlrun("logs", "trains").stdout
    assert (aws.folder / "made" / "model.bin").is_file()


@pytest.mark.long
def test_overnight_aws_no_capacity_is_said_with_the_types_that_were_tried(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    lab.ec2.control("set", {"capacity": [{"type": "*", "most": 0}]})
    fire(lab, night)
    said = morning(aws, lab)
    assert "AWS had none of" in said.err
    assert "InsufficientInstanceCapacity" in said.err
    assert ("failed", "no-capacity", 103) == ended(aws)
    assert [] == lab.ec2.control("instances", {"all": True})


@pytest.mark.long
def test_overnight_aws_the_ladder_takes_the_zone_that_has_a_machine(aws: Shell, lab: Any) -> None:
    night = submit(aws, TRAINS.replace("python train.py", "echo up"))
    lab.ec2.control("set", {"capacity": [{"zone": "us-east-1[!b]", "most": 0}]})
    fire(lab, night)
    assert ["us-east-1b"] == [one["zone"] for one in alive(lab)]
    morning(aws, lab)
    assert ("succeeded", "exited", 0) == ended(aws)


@pytest.mark.long
def test_overnight_aws_pays_no_more_than_the_plan_said(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    lab.ec2.control("set", {"price": dict.fromkeys(night["machines"], 9.0)})
    fire(lab, night)
    assert "at or below the plan's price" in morning(aws, lab).err
    assert ("failed", "no-capacity", 103) == ended(aws)


@pytest.mark.long
def test_overnight_aws_a_trigger_that_never_fires_is_told_and_deleted(aws: Shell, lab: Any) -> None:
    lab.faults.add("FireSchedule", when="drop_before")
    fire(lab, submit(aws))
    assert "did not fire" in morning(aws, lab).err
    assert ("failed", "never-fired", 103) == ended(aws)
    assert [] == lab.ec2.control("schedules", {})


def test_overnight_aws_a_corrupted_bundle_is_not_run(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    bucket(lab, night).Object(night["bundle"]["key"]).put(Body=b"something else")
    fire(lab, night)
    assert "not the one that was put there" in morning(aws, lab).err
    assert ("failed", "bundle-corrupted", 104) == ended(aws)
    assert not (aws.folder / "notes.txt").exists()


@pytest.mark.long
def test_overnight_aws_a_bucket_that_is_gone_ends_the_machine_and_is_told(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    place = bucket(lab, night)
    place.objects.all().delete()
    place.delete()
    fire(lab, night)
    assert "is gone, and with it" in morning(aws, lab).err
    outcome, _, code = ended(aws)
    assert ("lost", 106) == (outcome, code)


@pytest.mark.long
def test_overnight_aws_a_secret_is_asked_for_at_submit_and_missed_at_night(aws: Shell, lab: Any) -> None:
    job = TRAINS + "    secrets: [TOKEN]\n" + DESCRIBED
    refused = aws.mlrun(aws.write(job), "--at", "23:00", "--yes")
    assert 2 == refused.code
    assert "aws ssm put-parameter --region us-east-1 --type SecureString --name /mlrun/TOKEN" in refused.err
    lab.ec2.control("parameter", {"name": "/mlrun/TOKEN", "value": "s3cret"})
    night = submit(aws, TRAINS + "    secrets: [TOKEN]\n")
    lab.ec2.control("parameter", {"name": "/mlrun/TOKEN", "value": None})
    fire(lab, night)
    assert "The secret TOKEN" in morning(aws, lab).err
    assert ("failed", "secret-missing", 104) == ended(aws)


def test_overnight_aws_a_trigger_that_cannot_be_deleted_is_loud_and_stays_on_record(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    lab.faults.add("DeleteSchedule", code="AccessDeniedException", n=-1)
    refused = aws.mlrun("schedule", "rm", night["id"])
    assert 107 == refused.code
    assert "still stands" in refused.err
    assert "aws scheduler delete-schedule" in refused.err
    lab.faults.clear()
    assert 0 == aws.mlrun("schedule", "rm", night["id"]).code
    assert ([], []) == (lab.ec2.control("schedules", {}), nights(aws))


@pytest.mark.long
def test_overnight_aws_is_seen_and_removed_from_another_computer(aws: Shell, lab: Any) -> None:
    night = submit(aws)
    aws.env["DISPATCHER_HOME"] = str(aws.folder / "another-home")
    [seen] = aws.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert (night["id"], "trains", False) == (seen["id"], seen["name"], seen["here"])
    assert "of another" in aws.mlrun("schedule", "ls").out
    removed = aws.mlrun("schedule", "rm", night["id"])
    assert 0 == removed.code, removed.said
    assert [] == lab.ec2.control("schedules", {})


@pytest.mark.long
def test_overnight_aws_can_be_started_now_and_then_not_again(aws: Shell, lab: Any) -> None:
    night = submit(aws, TRAINS.replace("python train.py", "echo now"))
    begun = aws.mlrun("schedule", "run-now", night["id"])
    assert 0 == begun.code, begun.said
    assert (1, []) == (len(alive(lab)), lab.ec2.control("schedules", {}))
    morning(aws, lab)
    assert ("succeeded", "exited", 0) == ended(aws)


@pytest.mark.long
def test_overnight_aws_asks_first_and_says_what_is_lacking(aws: Shell, lab: Any) -> None:
    file = aws.write(TRAINS + DESCRIBED)
    asked = aws.mlrun(file, "--at", "23:00")
    assert 2 == asked.code
    assert "Add --yes." in asked.err
    assert 0 == aws.mlrun("setup", "aws", "--overnight", "--remove", "--region", "us-east-1", "--yes").code
    refused = aws.mlrun(file, "--at", "23:00", "--yes")
    assert 103 == refused.code
    assert "mlrun setup aws --overnight --region us-east-1" in refused.err
    assert [] == lab.ec2.control("schedules", {})


@pytest.mark.long
def test_overnight_aws_again_and_again_is_armed_once_and_comes_home_each_time(aws: Shell, lab: Any) -> None:
    aws.write(TRAIN, "train.py")
    file = aws.write(TRAINS.replace("python train.py", "date +%s | tee notes.txt") + DESCRIBED)
    often = aws.mlrun("schedule", "add", file, "--cron", "0 * * * *", "--yes")
    assert 2 == often.code
    assert "fires again while the run before it may still go on" in often.err
    done = aws.mlrun("schedule", "add", file, "--cron", "0 1 * * *", "--yes", "--json")
    assert done.code == 0, done.said
    parent = done.json()["schedule"]
    fire(lab, parent)
    aws.until(lambda: alive(lab), "a machine is made")
    assert "overnight, is over: succeeded" in morning(aws, lab).err
    first = aws.last()
    assert first["id"] != parent["id"]
    assert (aws.folder / "notes.txt").read_bytes() == aws.mlrun("logs", first["id"]).stdout
    [standing] = aws.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert parent["id"] == standing["id"]
    assert "again at '0 1 * * *'" in standing["words"]
    assert 0 == aws.mlrun("schedule", "rm", parent["id"]).code
    assert ([], []) == (lab.ec2.control("schedules", {}), nights(aws))


@pytest.mark.long
def test_overnight_aws_is_stopped_while_it_goes_on(aws: Shell, lab: Any) -> None:
    night = submit(aws, TRAINS.replace("python train.py", "echo begun; sleep 300"))
    fire(lab, night)
    aws.until(lambda: alive(lab) and alive(lab)[0]["address"], "a machine is made")
    stopped = aws.mlrun("stop", "trains", "--grace", "1s", timeout=LONGEST)
    assert [] == alive(lab), stopped.said
    told = aws.mlrun("report", "last", "--json").json()
    assert ("finished", True) == (told["state"], told["teardown"]["confirmed"]), stopped.said
    morning(aws, lab)
    assert ([], []) == (lab.ec2.control("schedules", {}), nights(aws))
