"""The lab's EventBridge Scheduler, launch templates and fleets."""

from __future__ import annotations

import datetime as dt
import itertools
import json

import pytest

from tests.lab.ec2.state import ACCOUNT
from tests.lab.ec2.trial import HOUR, fresh, refusal, running  # noqa: F401 — fixtures

CREATE = "arn:aws:scheduler:::aws-sdk:ec2:createFleet"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
NUMBERS = itertools.count()
MAY = ["ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags"]


@pytest.fixture(name="role")
def scheduler_role(lab):
    return make_role(lab)


def make_role(lab, trust=TRUST, may=MAY):
    iam = lab.client("iam")
    made = iam.create_role(RoleName="night", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": may, "Resource": "*"}]}
    iam.put_role_policy(RoleName="night", PolicyName="may", PolicyDocument=json.dumps(policy))
    return made


def template(lab, **data):
    data = {"ImageId": lab.image(), "InstanceInitiatedShutdownBehavior": "terminate", **data}
    made = lab.client().create_launch_template(LaunchTemplateName=f"t-{next(NUMBERS)}", LaunchTemplateData=data)
    return made["LaunchTemplate"]["LaunchTemplateId"]


def fleet(name, *overrides, market="on-demand", **more):
    spec = {"LaunchTemplateId": name, "Version": "1"}
    return {
        "Type": "instant",
        "ClientToken": "night-<aws.scheduler.scheduled-time>",
        "TargetCapacitySpecification": {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": market},
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": spec, "Overrides": list(overrides)}],
        **more,
    }


def schedule(lab, role, name, wanted, after=HOUR, **more):
    at = dt.datetime.fromtimestamp(lab.clock.now() + after, dt.UTC)
    lab.client("scheduler").create_schedule(
        **{
            "Name": name,
            "ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": CREATE, "RoleArn": role, "Input": json.dumps(wanted)},
            **more,
        }
    )


def alive(lab):
    return [one for one in lab.ec2.control("instances", {}) if one["state"] in ("pending", "running")]


@pytest.fixture(autouse=True)
def nothing_stays(lab):
    yield
    for one in alive(lab):
        lab.client().terminate_instances(InstanceIds=[one["id"]])
    for one in lab.client().describe_launch_templates()["LaunchTemplates"]:
        lab.client().delete_launch_template(LaunchTemplateId=one["LaunchTemplateId"])


def test_a_schedule_fires_at_its_time_once_and_deletes_itself(lab, role):
    schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    assert ["n1"] == lab.ec2.control("schedules", {})
    lab.clock.advance(HOUR - 2)
    assert [] == alive(lab)
    lab.clock.advance(4)
    assert 1 == len(alive(lab))
    assert [] == lab.client("scheduler").list_schedules(NamePrefix="n")["Schedules"]
    lab.clock.advance(HOUR)
    assert 1 == len(alive(lab))


def test_one_that_fires_twice_launches_once(lab, role):
    lab.faults.add("FireSchedule", when="drop_after")
    schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    lab.clock.advance(HOUR + 120)
    assert (1, 2) == (len(alive(lab)), lab.ledger.count("CreateFleet", "ok"))


@pytest.mark.parametrize(("fault", "after"), [({"when": "drop_before"}, None), ({"when": "late", "seconds": 600}, 600)])
def test_one_can_fire_late_or_never(lab, role, fault, after):
    lab.faults.add("FireSchedule", **fault)
    schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    lab.clock.advance(HOUR + 300)
    assert [] == alive(lab)
    lab.clock.advance(HOUR)
    assert (1 if after else 0) == len(alive(lab))
    assert (0 if after else 1) == len(lab.client("scheduler").list_schedules(NamePrefix="n")["Schedules"])


def test_a_deleted_one_does_not_fire(lab, role):
    schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    lab.client("scheduler").delete_schedule(Name="n1")
    lab.clock.advance(2 * HOUR)
    assert [] == alive(lab)
    assert "ResourceNotFoundException" == refusal(lab.client("scheduler").delete_schedule, Name="n1")


def test_its_role_must_trust_the_scheduler_and_may_no_more_than_it_may(lab):
    other = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "ec2.amazonaws.com"}}]}
    role = make_role(lab, other)
    with pytest.raises(Exception, match="allow AWS EventBridge Scheduler"):
        schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    lab.client("iam").update_assume_role_policy(RoleName="night", PolicyDocument=json.dumps(TRUST))
    lab.client("iam").delete_role_policy(RoleName="night", PolicyName="may")
    schedule(lab, role, "n1", fleet(template(lab), {"InstanceType": "t3.micro"}))
    lab.clock.advance(HOUR + 1)
    assert ([], 1) == (alive(lab), lab.ledger.count("CreateFleet", "UnauthorizedOperation"))


def test_a_trust_can_be_for_this_account_alone(lab):
    mine = {"StringEquals": {"aws:SourceAccount": "999999999999"}}
    role = make_role(lab, {**TRUST, "Statement": [{**TRUST["Statement"][0], "Condition": mine}]})
    with pytest.raises(Exception, match="allow AWS EventBridge Scheduler"):
        schedule(lab, role, "n1", fleet(template(lab)))
    mine["StringEquals"]["aws:SourceAccount"] = ACCOUNT
    document = json.dumps({**TRUST, "Statement": [{**TRUST["Statement"][0], "Condition": mine}]})
    lab.client("iam").update_assume_role_policy(RoleName="night", PolicyDocument=document)
    schedule(lab, role, "n1", fleet(template(lab)))


def test_cron_is_amazons_own_and_repeats(lab, role):
    wanted = {**fleet(template(lab), {"InstanceType": "t3.micro"})}
    schedule(lab, role, "n1", wanted, ScheduleExpression="cron(0 1 ? * 2-6 *)", ScheduleExpressionTimezone="Europe/Rome")
    lab.clock.advance(7 * 24 * HOUR)
    assert 5 == lab.ledger.count("FireSchedule", "ok")
    assert 5 == len(alive(lab))


def test_a_fleet_walks_its_overrides_and_tells_what_refused(lab):
    lab.set(capacity=[{"type": "t3.micro", "most": 0}])
    ec2 = lab.client()
    types = [{"InstanceType": "t3.micro", "Priority": 1.0}, {"InstanceType": "t3.small", "Priority": 2.0}]
    made = ec2.create_fleet(**fleet(template(lab), *types))
    assert ["InsufficientInstanceCapacity"] == [one["ErrorCode"] for one in made["Errors"]]
    assert ["t3.small"] == [one["InstanceType"] for one in made["Instances"]]
    assert [] == ec2.describe_fleets()["Fleets"]
    [shown] = ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"]
    assert made["Errors"] == shown["Errors"]
    [event] = lab.client("cloudtrail").lookup_events()["Events"]
    assert made["FleetId"] in event["CloudTrailEvent"]


def test_a_fleet_pays_no_more_than_it_says(lab):
    lab.set(price={"t3.micro": 5.0})
    dear = lab.client().create_fleet(
        **fleet(template(lab), {"InstanceType": "t3.micro"}, OnDemandOptions={"MaxTotalPrice": "1"})
    )
    assert (["UnfulfillableCapacity"], []) == ([one["ErrorCode"] for one in dear["Errors"]], dear["Instances"])
    wanted = fleet(template(lab, EbsOptimized=False), {"InstanceType": "t3.micro", "MaxPrice": "0.1"}, market="spot")
    spot = lab.client().create_fleet(**{**wanted, "ClientToken": "two"})
    assert ["SpotMaxPriceTooLow"] == [one["ErrorCode"] for one in spot["Errors"]]
