"""Runs that Google starts by itself: submitted, left alone, found in the morning. Real hosts of the lab."""

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
    where: gcp/us-central1
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
def gcp(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose project is set up for nights."""
    shell.env |= lab_environment
    made = shell.mlrun("setup", "gcp", "--overnight", "--region", "us-central1", "--yes")
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


def fire(lab: Any, night: dict[str, Any], number: int = 0) -> None:
    """The hour has come, for a rung of the ladder."""
    lab.gce.control("fire", {"name": night["trigger"] + (f"-{number + 1}" if number else "")})


def alive(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.gce.control("instances", {}) if one["status"] != "STOPPING"]


def morning(shell: Shell, lab: Any) -> Ended:
    """What a command says once the night is over; the clock that counts is this computer's."""
    end = time.monotonic() + LONGEST
    while lab.gce.control("instances", {}):
        assert time.monotonic() < end, "the machine never ended itself"
        time.sleep(0.2)
    for file in nights(shell):
        night = json.loads(file.read_text()) | {"due": time.time() - 2 * 3600}
        file.write_text(json.dumps(night))
    return shell.mlrun("ps", timeout=LONGEST)


def nights(shell: Shell) -> list[Path]:
    return list((shell.home / "dispatcher" / "data" / "nights").glob("*.json"))


def ended(shell: Shell, lab: Any) -> tuple[str, str, int]:
    """Outcome, reason and exit code of the newest run; nothing may be left at Google's."""
    told = shell.mlrun("report", "last", "--json").json()
    assert ("finished", True) == (told["state"], told["teardown"]["confirmed"])
    assert [] == shell.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert [] == lab.gce.control("schedules", {})
    return told["outcome"], told["reason"], told["exit_code"]


def test_overnight_gcp_runs_alone_and_the_morning_brings_everything_home(gcp: Shell, lab: Any) -> None:
    night = submit(gcp)
    assert 0 < night["worst_case_usd"] < 1
    fire(lab, night)
    [machine] = alive(lab)
    said = morning(gcp, lab)
    assert "overnight, is over: succeeded" in said.err, said.said
    assert bytes(range(256)) * 40 == (gcp.folder / "made" / "model.bin").read_bytes()
    assert "done\n" == (gcp.folder / "notes.txt").read_text()
    assert b"training without a token\ndeadline True\n" == gcp.mlrun("logs", "trains").stdout
    told = gcp.mlrun("report", "last", "--json").json()
    assert ("finished", True) == (told["state"], told["teardown"]["confirmed"])
    assert ("succeeded", "exited", 0) == (told["outcome"], told["reason"], told["exit_code"])
    assert float(lab.ledger.usd()) <= told["cost_usd"]["worst_case"]
    assert 0 < told["cost_usd"]["so_far"] <= told["cost_usd"]["worst_case"]
    assert machine["labels"]["mlrun-run"] == told["id"]
    assert ([], []) == (lab.gce.control("schedules", {}), nights(gcp))


@pytest.mark.long
def test_overnight_gcp_fired_twice_runs_the_job_once(gcp: Shell, lab: Any) -> None:
    lab.gce.control("set", {"retry_seconds": 0.2})
    lab.faults.add("jobs.fire", when="drop_after")
    night = submit(gcp, TRAINS.replace("python train.py", "date +%s%N | tee notes.txt"))
    fire(lab, night)
    gcp.until(lambda: lab.ledger.count("jobs.fire") == 2, "it fires again")
    assert 1 == len(alive(lab))
    assert "succeeded" in morning(gcp, lab).err
    assert ("succeeded", "exited", 0) == ended(gcp, lab)
    assert 1 == len(lab.gce.control("instances", {"all": True}))
    assert (gcp.folder / "notes.txt").read_bytes() == gcp.mlrun("logs", "trains").stdout


@pytest.mark.long
def test_overnight_gcp_a_second_rung_that_came_too_early_ends_itself_without_the_job(gcp: Shell, lab: Any) -> None:
    night = submit(gcp, TRAINS.replace("python train.py", "date +%s%N | tee notes.txt"))
    fire(lab, night)
    fire(lab, night, 1)
    gcp.until(lambda: len(lab.gce.control("instances", {"all": True})) == 2, "both are made")
    assert "succeeded" in morning(gcp, lab).err
    assert ("succeeded", "exited", 0) == ended(gcp, lab)
    assert 1 == len((gcp.folder / "notes.txt").read_text().splitlines())


@pytest.mark.long
def test_overnight_gcp_the_ladder_takes_the_zone_that_has_a_machine(gcp: Shell, lab: Any) -> None:
    lab.gce.control("set", {"stockouts": [{"zone": "us-central1-a"}]})
    night = submit(gcp, TRAINS.replace("python train.py", "echo up; touch notes.txt"))
    fire(lab, night)
    assert [] == alive(lab)
    fire(lab, night, 1)
    assert ["us-central1-b"] == [one["zone"] for one in alive(lab)]
    morning(gcp, lab)
    assert ("succeeded", "exited", 0) == ended(gcp, lab)


@pytest.mark.long
def test_overnight_gcp_no_capacity_is_said_with_the_types_and_zones_that_were_tried(gcp: Shell, lab: Any) -> None:
    lab.gce.control("set", {"stockouts": [{}]})
    night = submit(gcp)
    triggers = lab.gce.control("schedules", {})
    for number in range(len(triggers)):
        fire(lab, night, number)
    for file in nights(gcp):  # what was tried is looked for from the night's hour on
        file.write_text(json.dumps(json.loads(file.read_text()) | {"due": time.time() - 60.0 * 60}))
    said = gcp.mlrun("ps", timeout=LONGEST)
    assert "Google had none of" in said.err, said.said
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in said.err
    assert ("failed", "no-capacity", 103) == ended(gcp, lab)
    assert [] == lab.gce.control("instances", {"all": True})


@pytest.mark.long
def test_overnight_gcp_a_bucket_that_is_gone_ends_the_machine_and_is_told(gcp: Shell, lab: Any) -> None:
    night = submit(gcp)
    lab.gce.storage.known.clear()
    fire(lab, night)
    assert "is gone, and with it" in morning(gcp, lab).err
    outcome, _, code = ended(gcp, lab)
    assert ("lost", 106) == (outcome, code)


@pytest.mark.long
def test_overnight_gcp_a_corrupted_bundle_is_not_run(gcp: Shell, lab: Any) -> None:
    night = submit(gcp)
    lab.gce.storage.known[night["bucket"]].objects[night["bundle"]["key"]].content = b"something else"
    fire(lab, night)
    assert "not the one that was put there" in morning(gcp, lab).err
    assert ("failed", "bundle-corrupted", 104) == ended(gcp, lab)
    assert not (gcp.folder / "notes.txt").exists()


@pytest.mark.long
def test_overnight_gcp_a_failing_job_has_its_own_code_its_log_its_outputs_and_its_secret(gcp: Shell, lab: Any) -> None:
    job = TRAINS.replace("python train.py", "python train.py | tr a-z A-Z; exit 9") + "    secrets: [TOKEN]\n"
    refused = gcp.mlrun(gcp.write(job + DESCRIBED), "--at", "23:00", "--yes")
    assert 2 == refused.code
    assert "gcloud secrets create mlrun-TOKEN" in refused.err
    lab.gce.control("secret", {"name": "mlrun-TOKEN", "value": "s3cret"})
    night = submit(gcp, job)
    assert "s3cret" not in "".join(file.read_text() for file in nights(gcp))
    fire(lab, night)
    assert "failed" in morning(gcp, lab).err
    assert ("failed", "exited", 9) == ended(gcp, lab)
    assert b"TRAINING S3CRET" in gcp.mlrun("logs", "trains").stdout
    assert (gcp.folder / "made" / "model.bin").is_file()


@pytest.mark.long
def test_overnight_gcp_a_week_of_nights_comes_home_night_by_night(gcp: Shell, lab: Any) -> None:
    names = []
    for number in range(7):
        night = submit(gcp, TRAINS.replace("python train.py", f"echo night {number} | tee notes.txt"))
        fire(lab, night)
        assert "succeeded" in morning(gcp, lab).err
        assert f"night {number}\n" == (gcp.folder / "notes.txt").read_text()
        names.append(ended(gcp, lab))
    assert [("succeeded", "exited", 0)] * 7 == names
    assert 7 == len(lab.gce.control("instances", {"all": True}))


@pytest.mark.long
def test_overnight_gcp_is_seen_and_removed_from_another_computer(gcp: Shell, lab: Any) -> None:
    night = submit(gcp)
    [mine] = gcp.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert (night["id"], "gcp", True) == (mine["id"], mine["where"], mine["here"])
    gcp.env["DISPATCHER_HOME"] = str(gcp.folder / "another-home")
    [seen] = gcp.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert (night["id"], "trains", False, "us-central1") == (seen["id"], seen["name"], seen["here"], seen["region"])
    removed = gcp.mlrun("schedule", "rm", night["id"])
    assert 0 == removed.code, removed.said
    assert [] == lab.gce.control("schedules", {})


@pytest.mark.long
def test_overnight_gcp_can_be_started_now_and_then_not_again(gcp: Shell, lab: Any) -> None:
    night = submit(gcp, TRAINS.replace("python train.py", "echo now; touch notes.txt"))
    begun = gcp.mlrun("schedule", "run-now", night["id"])
    assert 0 == begun.code, begun.said
    assert (1, []) == (len(alive(lab)), lab.gce.control("schedules", {}))
    morning(gcp, lab)
    assert ("succeeded", "exited", 0) == ended(gcp, lab)


@pytest.mark.long
def test_overnight_gcp_again_and_again_is_armed_once_and_comes_home_each_time(gcp: Shell, lab: Any) -> None:
    gcp.write(TRAIN, "train.py")
    file = gcp.write(TRAINS.replace("python train.py", "date +%s | tee notes.txt") + DESCRIBED)
    done = gcp.mlrun("schedule", "add", file, "--cron", "0 1 * * *", "--yes", "--json")
    assert done.code == 0, done.said
    parent = done.json()["schedule"]
    fire(lab, parent)
    gcp.until(lambda: alive(lab), "a machine is made")
    assert "overnight, is over: succeeded" in morning(gcp, lab).err
    first = gcp.last()
    assert first["id"] != parent["id"]
    assert (gcp.folder / "notes.txt").read_bytes() == gcp.mlrun("logs", first["id"]).stdout
    [standing] = gcp.mlrun("schedule", "ls", "--json").json()["schedules"]
    assert parent["id"] == standing["id"]
    assert "again at '0 1 * * *'" in standing["words"]
    assert 0 == gcp.mlrun("schedule", "rm", parent["id"]).code
    assert ([], []) == (lab.gce.control("schedules", {}), nights(gcp))


@pytest.mark.long
def test_overnight_gcp_setup_says_what_is_lacking_and_takes_everything_back(gcp: Shell, lab: Any) -> None:
    night = submit(gcp)
    refused = gcp.mlrun("setup", "gcp", "--overnight", "--remove", "--yes")
    assert 2 == refused.code
    assert f"mlrun schedule rm {night['id'][:6]}" in refused.err
    assert 0 == gcp.mlrun("schedule", "rm", night["id"]).code
    assert 0 == gcp.mlrun("setup", "gcp", "--overnight", "--remove", "--yes").code
    assert ({}, {}) == (lab.gce.storage.known, lab.gce.settings.accounts)
    late = gcp.mlrun(gcp.write(TRAINS + DESCRIBED), "--at", "23:00", "--yes")
    assert 103 == late.code
    assert "mlrun setup gcp --overnight --region us-central1" in late.err


@pytest.mark.long
def test_overnight_gcp_is_stopped_while_it_goes_on(gcp: Shell, lab: Any) -> None:
    night = submit(gcp, TRAINS.replace("python train.py", "echo begun; sleep 300"))
    fire(lab, night)
    gcp.until(lambda: lab.gce.control("schedules", {}) == [], "the machine takes the triggers away")
    stopped = gcp.mlrun("stop", "trains", "--grace", "1s", timeout=LONGEST)
    assert [] == alive(lab), stopped.said
    told = gcp.mlrun("report", "last", "--json").json()
    assert ("finished", True) == (told["state"], told["teardown"]["confirmed"]), stopped.said
    morning(gcp, lab)
    assert [] == nights(gcp)


@pytest.mark.long
def test_overnight_gcp_what_runs_already_goes_on_when_its_schedule_is_removed(gcp: Shell, lab: Any) -> None:
    night = submit(gcp, TRAINS.replace("python train.py", "echo begun; sleep 300"))
    assert 0 == gcp.mlrun("schedule", "run-now", night["id"]).code
    removed = gcp.mlrun("schedule", "rm", night["id"])
    assert 0 == removed.code, removed.said
    assert f"mlrun stop {night['id'][:6]}" in removed.err
    assert (1, 1) == (len(alive(lab)), len(nights(gcp)))
    refused = gcp.mlrun("setup", "gcp", "--overnight", "--remove", "--yes")
    assert 2 == refused.code, refused.said
    assert "not home yet" in refused.err
    gcp.mlrun("stop", "trains", "--grace", "1s", timeout=LONGEST)
    morning(gcp, lab)
    assert [] == nights(gcp)
