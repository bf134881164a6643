"""The account's own reaper: made, at work, removed; with no more rights than it needs."""

from __future__ import annotations

import json

import pytest

from dispatcher.backends.aws import reaper
from dispatcher.backends.aws.client import Account
from dispatcher.backends.cloud.tags import MAX_SECONDS, OWNER
from tests.lab.ec2.trial import HOUR, Lab, fresh, running

__all__ = ["fresh", "running"]
MINUTE = 60.0


@pytest.fixture
def account(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name, value in lab.ec2.exports().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(reaper, "EVERY", "rate(1 hours)")  # each call is a process: six times less of them
    return Account()


def launch(lab: Lab, seconds: float | None, region: str = "us-east-1", **more: object) -> str:
    tags = [{"Key": OWNER, "Value": "somebody"}]
    tags += [{"Key": MAX_SECONDS, "Value": str(int(seconds))}] if seconds is not None else []
    asked = lab.request(
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        ImageId=lab.image(region=region), Placement={"AvailabilityZone": f"{region}a"}, ClientToken=f"{region}-{seconds}",
        **more,
    )  # fmt: skip
    return str(lab.client(region=region).run_instances(**asked)["Instances"][0]["InstanceId"])


def alive(lab: Lab) -> set[str]:
    return {one["id"] for one in lab.ec2.control("instances", {})}


def invoked(lab: Lab) -> list[str]:
    return [call.outcome for call in lab.ledger.calls if call.action == "InvokeFunction"]


def test_what_is_overdue_is_ended_in_every_region_and_nothing_else(lab, account):
    reaper.make(account)
    assert reaper.armed(account)
    overdue = {launch(lab, HOUR), launch(lab, HOUR, "eu-west-1")}
    young, strange = launch(lab, 3 * HOUR), launch(lab, None)
    lab.clock.advance(HOUR + 1 * MINUTE)
    assert overdue <= alive(lab)
    lab.clock.advance(HOUR)
    assert {young, strange} == alive(lab)
    lab.clock.advance(2 * HOUR)
    assert {strange} == alive(lab)
    assert {"ok"} == set(invoked(lab))


def test_a_machine_that_is_protected_does_not_save_the_others(lab, account):
    reaper.make(account)
    kept, other = launch(lab, HOUR, DisableApiTermination=True), launch(lab, HOUR + 1)
    lab.clock.advance(2 * HOUR + MINUTE)
    assert {kept} == alive(lab)
    assert other not in alive(lab)
    assert "failed" in invoked(lab)


def test_it_is_made_again_without_harm_and_removed_whole(lab, account):
    assert list(reaper.MADE) == [(one.kind, one.id) for one in reaper.make(account)]
    reaper.make(account)
    assert 5 == len(reaper.remove(account))
    assert [] == reaper.remove(account)
    assert not reaper.armed(account)
    assert [] == lab.ec2.server.others.schedules.names()
    assert [] == lab.client("iam").list_roles()["Roles"]
    assert [] == lab.client("lambda").list_functions()["Functions"]


@pytest.mark.parametrize("action", ["ec2:DescribeInstances", "ec2:DescribeRegions", "ec2:TerminateInstances"])
def test_without_any_one_of_its_permissions_it_ends_nothing(lab, account, action):
    reaper.make(account)
    whole = reaper.function_policy(account.identity()["Account"])
    look, end = whole["Statement"]
    look["Action"] = [one for one in look["Action"] if one != action]
    whole["Statement"] = [look] if end["Action"] == action else [look, end]
    asked = {"RoleName": reaper.NAME, "PolicyName": reaper.POLICY, "PolicyDocument": json.dumps(whole)}
    lab.client("iam").put_role_policy(**asked)
    machine = launch(lab, HOUR)
    lab.clock.advance(2 * HOUR + MINUTE)
    assert {machine} == alive(lab)
    assert {"failed"} == set(invoked(lab)[-1:])


def test_without_the_right_to_call_the_function_the_schedule_is_refused(lab, account):
    reaper.make(account)
    lab.client("iam").delete_role_policy(RoleName=reaper.CLOCK, PolicyName=reaper.POLICY)
    machine = launch(lab, HOUR)
    lab.clock.advance(2 * HOUR + MINUTE)
    assert {machine} == alive(lab)
    assert [] == invoked(lab)


def test_a_schedule_that_is_switched_off_is_not_called_armed(lab, account):
    reaper.make(account)
    there = lab.client("scheduler").get_schedule(Name=reaper.NAME)
    asked = {name: there[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    lab.client("scheduler").update_schedule(**asked, State="DISABLED")
    assert not reaper.armed(account)
