"""Who may do what in the lab's AWS."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.lab.ec2 import iam
from tests.lab.ec2.cloud import Ec2
from tests.lab.ec2.iam import Need
from tests.lab.ec2.trial import Lab, fresh, metadata, refusal, running  # noqa: F401 — fixtures
from tests.lab.faults import Faults


def test_nobody_and_the_expired_are_refused(lab):
    stranger = {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}
    assert "AuthFailure" == refusal(lab.client(keys=stranger).describe_instances)
    assert "InvalidClientTokenId" == refusal(lab.client("sts", keys=stranger).get_caller_identity)
    keys = lab.ec2.control("user", {"name": "eve", "policy": {"Statement": []}, "seconds": 60})
    assert lab.client("sts", keys=keys).get_caller_identity()["Arn"].endswith("user/eve")
    lab.clock.advance(61)
    assert "ExpiredToken" == refusal(lab.client("sts", keys=keys).get_caller_identity)
    assert "RequestExpired" == refusal(lab.client(keys=keys).describe_instances)


def test_credentials_may_expire_on_the_way(lab):
    one = lab.launch()
    lab.ec2.control("expire", {"name": "admin", "seconds": 10})
    assert "pending" == lab.state(one)
    lab.clock.advance(11)
    assert "RequestExpired" == refusal(lab.client().terminate_instances, InstanceIds=[one])


def test_a_clock_that_is_wrong_signs_in_vain(lab):
    lab.set(skew=3600)
    assert "RequestExpired" == refusal(lab.client().describe_instances)
    assert "SignatureDoesNotMatch" == refusal(lab.client("sts").get_caller_identity)
    lab.set(skew=60)
    told = lab.client().describe_regions()["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert lab.clock.now() + 60 == pytest.approx(parsedate_to_datetime(told).timestamp(), abs=1)


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


def test_a_denial_can_be_decoded(lab):
    ann = lab.client(keys=lab.ec2.control("user", {"name": "ann", "policy": POLICY}))
    with pytest.raises(ClientError, match=r"User: .*user/ann is not authorized to perform: ec2:StopInstances") as caught:
        ann.stop_instances(InstanceIds=[lab.launch()])
    cipher = str(caught.value).rpartition("message: ")[2]
    told = json.loads(lab.client("sts").decode_authorization_message(EncodedMessage=cipher)["DecodedMessage"])
    assert "ec2:StopInstances" == told["context"]["action"]
    assert "InvalidAuthorizationMessageException" == refusal(
        lab.client("sts").decode_authorization_message, EncodedMessage="x!"
    )


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


def test_a_bucket_holds_what_is_put_in_it_once(lab):
    s3 = lab.client("s3")
    s3.create_bucket(Bucket="results")
    s3.put_object(Bucket="results", Key="runs/a b/out", Body=b"x" * 100_000, IfNoneMatch="*")
    assert "PreconditionFailed" == refusal(s3.put_object, Bucket="results", Key="runs/a b/out", Body=b"y", IfNoneMatch="*")
    assert b"x" * 100_000 == s3.get_object(Bucket="results", Key="runs/a b/out")["Body"].read()
    assert 100_000 == s3.head_object(Bucket="results", Key="runs/a b/out")["ContentLength"]
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "runs/"}, "Expiration": {"Days": 30}}
    s3.put_bucket_lifecycle_configuration(Bucket="results", LifecycleConfiguration={"Rules": [rule]})
    assert "old" == s3.get_bucket_lifecycle_configuration(Bucket="results")["Rules"][0]["ID"]
    outcomes = [call["outcome"] for call in lab.ec2.calls if call["action"] == "PutObject"]
    assert ["ok", "PreconditionFailed"] == outcomes


def test_buckets_are_gone_with_their_lab(lab):
    lab.client("s3").create_bucket(Bucket="results")
    lab.ec2.reset()
    assert [] == lab.client("s3").list_buckets()["Buckets"]


def test_a_lab_that_is_closed_leaves_no_bucket_to_the_next(lab):
    other = Lab(lab.clock, lab.hosts, lab.ledger, Faults(), Ec2(lab.hosts, lab.ledger, Faults(), lab.clock))
    other.client("s3").create_bucket(Bucket="results")
    other.client("s3").close()
    other.ec2.close()
    assert [] == lab.client("s3").list_buckets()["Buckets"]


def test_faults_happen_to_buckets_too(lab):
    s3 = lab.client("s3")
    s3.create_bucket(Bucket="results")
    lab.faults.add("PutObject", when="drop_after", match={"Key": "a*"})
    with pytest.raises(ConnectionClosedError):
        s3.put_object(Bucket="results", Key="a", Body=b"x")
    assert ["a"] == [row["Key"] for row in s3.list_objects_v2(Bucket="results")["Contents"]]
    lab.faults.add("ListObjectsV2", code="SlowDown", status=503)
    assert "SlowDown" == refusal(s3.list_objects_v2, Bucket="results")


def test_a_role_limited_to_a_prefix_is_limited_to_it(lab):
    prefix = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::results/runs/*"}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    people = lab.client("iam")
    people.create_role(RoleName="writer", AssumeRolePolicyDocument=json.dumps(trust))
    people.put_role_policy(
        RoleName="writer", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [prefix]})
    )
    people.create_instance_profile(InstanceProfileName="writer")
    people.add_role_to_instance_profile(InstanceProfileName="writer", RoleName="writer")
    lab.client("s3").create_bucket(Bucket="results")
    one = lab.launch(IamInstanceProfile={"Name": "writer"})
    told = json.loads(metadata(lab, one, "/latest/meta-data/iam/security-credentials/writer"))
    keys = {"AWS_ACCESS_KEY_ID": told["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": told["SecretAccessKey"]}
    s3 = lab.client("s3", keys={**keys, "AWS_SESSION_TOKEN": told["Token"]})
    s3.put_object(Bucket="results", Key="runs/one", Body=b"x")
    assert "AccessDenied" == refusal(s3.put_object, Bucket="results", Key="other", Body=b"x")
    address = urlsplit(s3.generate_presigned_url("put_object", {"Bucket": "results", "Key": "runs/two"}, ExpiresIn=10**8))
    reply = lab.hosts.hosts[one].spec.metadata("PUT", f"{address.path}?{address.query}", {"content-length": "6"}, b"inside")
    assert (200, b"inside") == (reply.status, s3.get_object(Bucket="results", Key="runs/two")["Body"].read())
    assert "AccessDenied" == refusal(s3.list_objects_v2, Bucket="results")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_signed_address_is_good_for_its_time(lab, version):
    s3 = lab.client("s3", signature_version=version)
    lab.client("s3").create_bucket(Bucket="results")
    ahead = lab.clock.now() - time.time()
    address = s3.generate_presigned_url("put_object", {"Bucket": "results", "Key": "a"}, ExpiresIn=int(ahead) + 60)
    assert 200 == put(address)
    lab.clock.advance(100)
    assert 403 == put(address)


def put(address: str) -> int:
    request = urllib.request.Request(address, data=b"x", method="PUT", headers={"Content-Type": ""})
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
