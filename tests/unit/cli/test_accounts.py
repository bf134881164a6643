"""`setup aws` and `catalog refresh` as they are typed, against the lab on paper."""

from __future__ import annotations

import json

import pytest

from dispatcher.cli.main import main
from tests.lab.clock import SystemClock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts


@pytest.fixture
def ec2(monkeypatch):
    clock = SystemClock()
    cloud = Ec2(PaperHosts(clock), Ledger(clock), Faults(), clock)
    for name, value in cloud.exports().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("DISPATCHER_AWS_REGIONS", "us-east-1")
    yield cloud
    wrong = list(cloud.violations)
    cloud.close()
    clock.close()
    assert [] == wrong


@pytest.fixture
def mlrun(capsys):
    def typed(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return typed


def test_the_policy_is_printed_for_a_file_and_asks_nobody(mlrun):
    code, out, _ = mlrun("setup", "aws", "--policy")
    assert (0, "2012-10-17") == (code, json.loads(out)["Version"])


def test_setting_up_makes_the_group_once_and_takes_it_back(ec2, mlrun):
    code, out, _ = mlrun("setup", "aws", "--yes", "--json")
    assert (0, ["group"]) == (code, [one["kind"] for one in json.loads(out)["made"]])
    assert [] == json.loads(mlrun("setup", "aws", "--json")[1])["made"]
    code, out, _ = mlrun("setup", "aws", "--remove", "--yes", "--json")
    assert (0, [True]) == (code, [one["removed"] for one in json.loads(out)["removed"]])
    assert [] == json.loads(mlrun("setup", "aws", "--remove", "--json")[1])["removed"]


def test_with_nobody_to_ask_nothing_is_made(ec2, mlrun):
    code, _, err = mlrun("setup", "aws")
    assert (2, True, True) == (code, "--yes" in err, "us-east-1" in err)
    assert not [call for call in ec2.calls if call["action"].startswith("Create")]


def test_the_reaper_is_made_told_by_the_doctor_and_taken_back(ec2, mlrun):
    assert "reaper" in mlrun("doctor", "--json")[1].partition('"aws deadline"')[2][:400]
    code, out, _ = mlrun("setup", "aws", "--reaper", "--yes", "--json")
    assert (0, ["role", "function", "role", "schedule", "role"]) == (code, [one["kind"] for one in json.loads(out)["made"]])
    checks = {one["name"]: one for one in json.loads(mlrun("doctor", "--json")[1])["checks"]}
    said = checks["aws deadline"]["message"]
    assert ("ok", True, True) == (checks["aws deadline"]["level"], "reaper" in said, "gets a schedule" in said)
    assert "--reaper --remove" in mlrun("setup", "aws", "--remove", "--yes")[2]
    assert 5 == len(json.loads(mlrun("setup", "aws", "--reaper", "--remove", "--yes", "--json")[1])["removed"])
    assert [] == json.loads(mlrun("setup", "aws", "--reaper", "--remove", "--yes", "--json")[1])["removed"]


def test_what_other_commands_made_is_named_with_what_takes_it_back(ec2, mlrun, monkeypatch):
    assert "Nothing of ours is left in this account" in " ".join(mlrun("setup", "aws", "--remove", "--yes")[2].split())
    mlrun("setup", "aws", "--overnight", "--yes")
    said = " ".join(mlrun("setup", "aws", "--remove", "--yes")[2].split())
    assert "Nothing of ours is left" not in said
    for what in ("role mlrun-night", "role mlrun-results", "role mlrun-end", "bucket mlrun-123456789012-us-east-1"):
        assert f"The {what} stays: mlrun setup aws --overnight --remove" in said
    for name, value in ec2.control(
        "user", {"name": "trainee", "policy": json.loads(mlrun("setup", "aws", "--policy")[1])}
    ).items():
        monkeypatch.setenv(name, value)
    seen = json.loads(mlrun("setup", "aws", "--remove", "--yes", "--json")[1])
    assert [] == seen["standing"]
    assert "iam:ListRoles" in seen["not_looked_at"]


def test_what_machines_schedules_take_is_printed_for_whoever_gives_it(mlrun):
    code, out, _ = mlrun("setup", "aws", "--reaper", "--policy")
    named = {one["Resource"] for one in json.loads(out)["Statement"]} - {"*"}
    assert (0, True) == (code, all("mlrun-end" in one for one in named))


def test_without_a_login_setting_up_says_how_to_log_in(mlrun, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    code, _, err = mlrun("setup", "aws")
    assert (102, True) == (code, "aws configure" in err)


def test_prices_are_refreshed_and_what_the_guards_refuse_is_told(ec2, mlrun):
    ec2.control("set", {"price": {"g5.xlarge": 1.23, "spot:g4dn.xlarge": 9.0}})
    code, out, err = mlrun("catalog", "refresh", "--json")
    assert "" == err
    (told,) = json.loads(out)["refreshed"]
    assert (0, "aws", True) == (code, told["where"], told["kept"] > 500)
    assert any("g4dn.xlarge in us-east-1: spot is" in one for one in told["refused"])


def test_a_region_that_is_not_enabled_is_named_beside_what_came(ec2, mlrun):
    code, out, err = mlrun("catalog", "refresh", "--region", "us-east-1", "--region", "me-south-1")
    assert (0, True, True) == (code, "prices" in out, "me-south-1 did not answer" in err)


JOB = """\
name: tiny
run: python3 train.py
resources: {gpu: 0, cpus: 2+, memory: 2GB+}
where: aws/us-east-1
"""


def test_a_live_plan_is_priced_as_aws_prices_now(ec2, mlrun, tmp_path):
    (tmp_path / "train.yaml").write_text(JOB)
    ec2.control("set", {"price": {"c6a.large": 0.0421}})
    code, out, _ = mlrun("plan", str(tmp_path / "train.yaml"), "--live", "--json")
    found = {one["machine"]: one for one in json.loads(out)["candidates"] if one["market"] == "on-demand"}
    assert (0, 0.0421, "live") == (code, found["c6a.large"]["price_per_hour"], found["c6a.large"]["price_source"])


def test_a_live_plan_without_an_account_is_refused(mlrun, tmp_path):
    (tmp_path / "train.yaml").write_text(JOB)
    code, _, err = mlrun("plan", str(tmp_path / "train.yaml"), "--live")
    assert (102, True) == (code, "Leave out --live" in err)
