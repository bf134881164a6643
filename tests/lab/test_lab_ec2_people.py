"""Who may do what in the lab's AWS."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.ec2 import iam
from tests.lab.ec2.iam import Need
from tests.lab.ec2.trial import fresh, refusal, running  # noqa: F401 — fixtures


def test_nobody_and_the_expired_are_refused(lab):
    stranger = {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}
    assert "AuthFailure" == refusal(lab.client(keys=stranger).describe_instances)
    assert "InvalidClientTokenId" == refusal(lab.client("sts", keys=stranger).get_caller_identity)
    keys = lab.ec2.control("user", {"name": "eve", "policy": {"Statement": []}, "seconds": 60})
    assert lab.client("sts", keys=keys).get_caller_identity()["Arn"].endswith("user/eve")
    lab.clock.advance(61)
    assert "ExpiredToken" == refusal(lab.client("sts", keys=keys).get_caller_identity)
    assert "RequestExpired" == refusal(lab.client(keys=keys).describe_instances)


def test_a_region_that_is_not_there_is_refused(lab):
    assert "AuthFailure" == refusal(lab.client(region="mars-north-1").describe_instances)


OWNED = {"StringEquals": {"aws:RequestTag/mlrun-owner": "${aws:username}"}}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Read", "Effect": "Allow", "Action": ["ec2:Describe*", "ssm:GetParameter"], "Resource": "*"},
        {"Sid": "Launch", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "arn:aws:ec2:*:*:instance/*",
         "Condition": {**OWNED, "StringLike": {"ec2:InstanceType": ["t3.*"]}}},
        {"Sid": "With", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": [
            "arn:aws:ec2:*:*:subnet/*", "arn:aws:ec2:*:*:security-group/*", "arn:aws:ec2:*::image/*",
            "arn:aws:ec2:*:*:volume/*",
            "arn:aws:ec2:*:*:network-interface/*"]},
        {"Sid": "Tag", "Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*",
         "Condition": {"StringEquals": {"ec2:CreateAction": "RunInstances"}}},
        {"Sid": "End", "Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "*",
         "Condition": {"StringEquals": {"aws:ResourceTag/mlrun-owner": "${aws:username}"}}},
    ],
}  # fmt: skip


def tags_of(owner: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "mlrun-owner", "Value": owner}]}]}


def test_a_user_may_do_what_its_policy_says_and_no_more(lab):
    ann = lab.client(keys=lab.ec2.control("user", {"name": "ann", "policy": POLICY}))
    foreign = lab.launch(**tags_of("bob"), ClientToken="of-bob")
    assert "UnauthorizedOperation" == refusal(ann.run_instances, **lab.request())
    assert "UnauthorizedOperation" == refusal(ann.run_instances, **lab.request(**tags_of("bob")))
    assert "UnauthorizedOperation" == refusal(ann.run_instances, **lab.request(**tags_of("ann"), InstanceType="m5.large"))
    assert "DryRunOperation" == refusal(ann.run_instances, **lab.request(**tags_of("ann"), DryRun=True))
    mine = ann.run_instances(**lab.request(**tags_of("ann")))["Instances"][0]["InstanceId"]
    assert "UnauthorizedOperation" == refusal(ann.terminate_instances, InstanceIds=[foreign])
    assert "UnauthorizedOperation" == refusal(ann.create_tags, Resources=[mine], Tags=[{"Key": "a", "Value": "b"}])
    assert "DryRunOperation" == refusal(ann.terminate_instances, InstanceIds=[mine], DryRun=True)
    ann.terminate_instances(InstanceIds=[mine])
    assert ("terminated", "pending") == (lab.state(mine), lab.state(foreign))


def test_calls_tell_which_permissions_are_missing_and_which_are_idle(lab):
    ann = lab.client(keys=lab.ec2.control("user", {"name": "ann", "policy": POLICY}))
    one = ann.run_instances(**lab.request(**tags_of("ann")))["Instances"][0]["InstanceId"]
    ann.terminate_instances(InstanceIds=[one])
    needed = [Need(**need) for call in lab.ec2.calls if call["by"] == "ann" for need in call["needs"]]
    assert [] == iam.missing([POLICY], needed)
    assert ["Read: ec2:Describe*", "Read: ssm:GetParameter"] == iam.idle(POLICY, needed)
    assert "ec2:TerminateInstances" in {
        need.action for need in iam.missing([{**POLICY, "Statement": POLICY["Statement"][:4]}], needed)
    }


@pytest.mark.parametrize(
    ("condition", "keys", "allowed"),
    [
        ({"StringEquals": {"a": ["x", "y"]}}, {"a": ["y"]}, True),
        ({"StringEquals": {"a": "x"}}, {}, False),
        ({"StringEqualsIfExists": {"a": "x"}}, {}, True),
        ({"StringNotEquals": {"a": "x"}}, {}, True),
        ({"StringNotEquals": {"a": "x"}}, {"a": ["x"]}, False),
        ({"StringLike": {"A": "mlrun-*"}}, {"a": ["mlrun-run"]}, True),
        ({"ForAllValues:StringLike": {"aws:TagKeys": "mlrun-*"}}, {"aws:tagkeys": ["mlrun-run", "other"]}, False),
        ({"ForAllValues:StringLike": {"aws:TagKeys": "mlrun-*"}}, {}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "mlrun-run"}}, {"aws:tagkeys": ["mlrun-run", "other"]}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "mlrun-run"}}, {}, False),
        ({"Null": {"a": "true"}}, {}, True),
        ({"Null": {"a": "false"}}, {}, False),
        ({"Bool": {"ec2:Encrypted": True}}, {"ec2:encrypted": ["true"]}, True),
        ({"NumericLessThanEquals": {"n": "100"}}, {"n": ["99"]}, True),
        ({"StringEquals": {"a": "${b}"}}, {"a": ["x"], "b": ["x"]}, True),
        ({"StringEquals": {"a": "${b}"}}, {"a": [""]}, False),
        ({"StringEquals": {"a": "x", "b": "y"}}, {"a": ["x"]}, False),
    ],
)
def test_conditions_are_read_as_aws_reads_them(condition, keys, allowed):
    statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": condition}
    assert allowed == iam.judge([{"Statement": statement}], Need("ec2:RunInstances", "arn:x", keys)).allowed


def test_a_deny_wins():
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "NotAction": "ec2:describe*", "Resource": "*"}
    verdicts = [iam.judge([{"Statement": [allow, deny]}], Need(action)) for action in ("ec2:DescribeTags", "ec2:StopInstances")]
    assert [True, False] == [verdict.allowed for verdict in verdicts]
    assert [] == iam.check(POLICY)
    assert 2 == len(iam.check({"Statement": {**allow, "Condition": {"StringAlike": {}}}}))
