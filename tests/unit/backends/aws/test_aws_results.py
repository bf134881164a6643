"""Results on S3, on paper: what is looked up, made, allowed, read back."""

from __future__ import annotations

import json

import pytest

from dispatcher.backends.aws import results, roles, standing
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.aws.bucket import Bucket
from dispatcher.backends.base import Terms
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import CloudRefused, UsageError
from dispatcher.hosts.base import Entry
from tests.lab.ec2 import iam
from tests.lab.ec2.iam import Need, judge

REGION, PLACE = "us-east-1", "s3://my-bucket/pets"
SHA = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def bucket(backend):
    there = {"LocationConstraint": "eu-west-1"}
    backend.account.call("s3", "eu-west-1", "create_bucket", "x", Bucket="my-bucket", CreateBucketConfiguration=there)
    return Bucket(backend.account, "eu-west-1", "my-bucket")


def test_a_place_is_looked_up_with_its_region_and_its_role_and_what_is_lacking_is_named(backend, bucket):
    with pytest.raises(CloudRefused) as lacking:
        backend.results.place(PLACE, REGION)
    assert f"mlrun setup aws --results {PLACE}" == lacking.value.fix
    [role] = results.make(backend.account, PLACE)
    assert [] == results.make(backend.account, PLACE)
    found = backend.results.place(f"{PLACE}/", REGION)
    assert ("my-bucket", "eu-west-1", "pets", role, PLACE) == (found.bucket, found.region, found.below, found.role, found.url)
    assert ([role], []) == (results.remove(backend.account, PLACE), results.remove(backend.account, PLACE))


def test_auto_is_the_bucket_that_setup_made(backend):
    with pytest.raises(CloudRefused, match="mlrun-results and the bucket mlrun-123456789012-us-east-1") as lacking:
        backend.results.place("auto", REGION)
    assert "mlrun setup aws --overnight --region us-east-1" == lacking.value.fix
    roles.make(backend.account)
    Bucket(backend.account, REGION).make()
    found = backend.results.place("auto", REGION)
    assert ("s3://mlrun-123456789012-us-east-1/out", "mlrun-results") == (found.url, found.role)


def test_a_machine_that_keeps_results_in_our_bucket_reads_neither_secrets_nor_other_peoples_bundles():
    may, own = [roles.keeper_policy("123456789012")], {"aws:userid": ["AROAX:i-1"]}
    assert [] == iam.check(may[0])
    bucket = "arn:aws:s3:::mlrun-123456789012-us-east-1"
    assert judge(may, Need("s3:PutObject", f"{bucket}/out/mlrun-a-1/AROAX:i-1/log/0", own)).allowed
    for action, what in (
        ("s3:PutObject", f"{bucket}/out/mlrun-a-1/AROAX:i-2/log/0"),
        ("s3:GetObject", f"{bucket}/bundles/b.tar.gz"),
        ("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/mlrun/token"),
    ):
        assert not judge(may, Need(action, what, own)).allowed


def test_who_brings_results_home_lists_no_other_folder_of_the_bucket():
    may = [results.user_policy(PLACE)]
    for prefix, allowed in (("pets/mlrun-a-1/", True), ("cats/", False), ("", False)):
        assert allowed is judge(may, Need("s3:ListBucket", "arn:aws:s3:::my-bucket", {"s3:prefix": [prefix]})).allowed


@pytest.mark.parametrize("wish", ["gs://my-bucket/pets", "s3://my.bucket/pets"])
def test_a_place_that_machines_could_not_write_to_is_refused(backend, wish):
    with pytest.raises(UsageError):
        backend.results.place(wish, REGION)


def test_a_bucket_that_is_not_there_is_said(backend):
    with pytest.raises(CloudRefused, match="no bucket my-bucket"):
        backend.results.place(PLACE, REGION)


def test_what_a_machine_wrote_is_read_and_verified(backend, bucket, tmp_path):
    results.make(backend.account, PLACE)
    place, label = backend.results.place(PLACE, REGION), Label(new_run_id())
    assert backend.results.look(place, label) is None
    own = f"pets/{label}/AROAX:i-1"
    rows = [{"path": "a.bin", "size": 3, "mode": 0o644, "sha256": SHA}]
    for name, body in (
        ("log/00000000", b"one\n"), ("log/00000001", b"two\n"), (f"files/{SHA}", b"abc"),
        ("outcome.json", json.dumps({"outputs": rows}).encode()), ("checkpoint.json", b'{"files": [], "time": 1}'),
    ):  # fmt: skip
        bucket.put(f"{own}/{name}", body)
    found = backend.results.look(place, label)
    assert ("over", rows, {"files": [], "time": 1}) == (found.seen.phase, found.seen.outcome["outputs"], found.checkpoint)
    backend.results.bring_log(place, found, tmp_path / "log")
    backend.results.bring_files(place, found, [Entry("a.bin", 3, 0o644, SHA)], tmp_path / "here")
    assert (b"one\ntwo\n", b"abc") == ((tmp_path / "log" / "log").read_bytes(), (tmp_path / "here" / "a.bin").read_bytes())


def test_a_machine_writes_below_its_own_name_and_does_no_more():
    own = {"aws:userid": ["AROAX:i-1"]}
    may = [results.machine_policy("my-bucket", "pets")]
    assert [] == iam.check(may[0])

    def allowed(action, key):
        return judge(may, Need(action, f"arn:aws:s3:::my-bucket/{key}", own)).allowed

    assert allowed("s3:PutObject", "pets/mlrun-a-1/AROAX:i-1/log/0")
    assert not allowed("s3:PutObject", "pets/mlrun-a-1/AROAX:i-2/log/0")
    assert not allowed("s3:PutObject", "cats/mlrun-a-1/AROAX:i-1/log/0")
    assert not allowed("s3:GetObject", "pets/mlrun-a-1/AROAX:i-1/log/0")


def test_the_users_policies_are_enough_and_none_of_the_new_permissions_is_idle(
    ec2, backend, bucket, settings, offer, clock, tmp_path, monkeypatch
):
    results.make(backend.account, PLACE)
    standing.make(backend.account, REGION, None)
    policies = [json.loads(standing.policy()), results.user_policy(PLACE)]
    assert [] == iam.check(policies[1])
    label = Label(new_run_id())
    bucket.put(f"pets/{label}/AROAX:i-1/outcome.json", b"{}")
    ec2.calls.clear()
    for name, value in ec2.control("user", {"name": "trainee", "policy": policies}).items():
        monkeypatch.setenv(name, value)
    user = AwsBackend(settings, runs=tmp_path / "users", clock=clock)
    place = user.results.place(PLACE, REGION)
    user.provision(offer, label, Terms(role=place.role))
    assert user.results.look(place, label) is not None
    user.terminate(label)
    story = [Need(**need) for call in ec2.calls if call["by"] == "trainee" for need in call["needs"]]
    assert [] == [need.action for need in iam.missing(policies, story) if need.action != "sts:GetCallerIdentity"]
    for number, statement in enumerate(policies[1]["Statement"]):
        fewer = policies[1] | {"Statement": [one for at, one in enumerate(policies[1]["Statement"]) if at != number]}
        assert statement["Action"] in {need.action for need in iam.missing([policies[0], fewer], story)}
