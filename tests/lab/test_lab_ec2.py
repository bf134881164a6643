"""The lab's EC2 behaves as AWS does, counts what it costs, and notices what is wrong."""

from __future__ import annotations

import base64
import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.lab.clock import SystemClock
from tests.lab.ec2 import tables
from tests.lab.ec2.cloud import Ec2
from tests.lab.ec2.trial import DEEP, HOUR, PASSES, ZONE, Lab, fresh, metadata, refusal, running  # noqa: F401 — fixtures
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts


def test_an_instance_runs_is_paid_for_and_ends(lab):
    one = lab.launch(InstanceType="c5.large")
    assert ("pending", []) == (lab.state(one), lab.ledger.open(kind="x"))
    lab.clock.advance(1)
    assert "running" == lab.state(one)
    lab.clock.advance(HOUR - 0.7)
    lab.client().terminate_instances(InstanceIds=[one])
    lab.clock.advance(HOUR)
    price = tables.usd_per_hour("c5.large", "us-east-1")
    assert HOUR == pytest.approx(lab.ledger.seconds("instance"))
    assert price == pytest.approx(lab.ledger.usd("instance"))
    assert tables.USD_PER_ADDRESS_HOUR == pytest.approx(lab.ledger.usd("address"))
    assert 8 * 0.08 / 730 == pytest.approx(lab.ledger.usd("volume"), rel=1e-3)
    assert [] == lab.ledger.open()


def test_the_bill_knows_tags_and_a_planted_second_is_seen(lab):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "mlrun-run", "Value": "r1"}]}]
    one = lab.launch(TagSpecifications=tags)
    lab.clock.advance(100.3)
    assert 100 == pytest.approx(lab.ledger.seconds(mlrun_run="r1"))
    assert 0 == lab.ledger.seconds(mlrun_run="r2")
    lab.ledger.begin("aws", "instance", "planted", 1.0, {})
    assert {"planted", one} == {line.name for line in lab.ledger.open() if line.kind == "instance"}, PASSES
    lab.ledger.end("aws", "instance", "planted")


def test_the_public_address_comes_after_the_reply(lab):
    lab.set(pending=1, address=2)
    reply = lab.client().run_instances(**lab.request())["Instances"][0]
    assert "PublicIpAddress" not in reply
    lab.clock.advance(1.5)
    assert ("running", False) == (lab.state(reply["InstanceId"]), "PublicIpAddress" in lab.instance(reply["InstanceId"]))
    lab.clock.advance(2)
    assert lab.hosts.hosts[reply["InstanceId"]].address == lab.instance(reply["InstanceId"])["PublicIpAddress"]


def test_one_token_launches_once(lab):
    assert lab.launch() == lab.launch()
    assert 1 == len(lab.hosts.hosts)


def test_one_token_sent_many_times_at_once_launches_once(lab):
    client, asked = lab.client(), lab.request()
    with ThreadPoolExecutor(8) as many:
        replies = list(many.map(lambda _: client.run_instances(**asked), range(16)))
    assert set(lab.hosts.hosts) == {reply["Instances"][0]["InstanceId"] for reply in replies}
    assert 1 == len(lab.hosts.hosts)


def test_a_token_of_several_launches_all_of_them_once(lab):
    first, again = (lab.client().run_instances(**lab.request(MinCount=3, MaxCount=3))["Instances"] for _ in range(2))
    assert {one["InstanceId"] for one in first} == {one["InstanceId"] for one in again} == set(lab.hosts.hosts)


def test_a_token_is_of_its_zone_and_its_region(lab):
    first = lab.launch()
    second = lab.launch(Placement={"AvailabilityZone": "us-east-1b"})
    other = lab.client(region="eu-west-1")
    there = lab.request(ImageId=lab.image(region="eu-west-1"), Placement={"AvailabilityZone": "eu-west-1a"})
    assert 3 == len({first, second, other.run_instances(**there)["Instances"][0]["InstanceId"]})


def test_a_token_with_other_parameters_is_refused(lab):
    lab.launch()
    assert "IdempotentParameterMismatch" == refusal(lab.client().run_instances, **lab.request(InstanceType="t3.small"))


def test_a_token_of_the_dead_is_refused(lab):
    lab.client().terminate_instances(InstanceIds=[lab.launch()])
    assert "IdempotentInstanceTerminated" == refusal(lab.client().run_instances, **lab.request())


def test_an_instance_is_found_by_its_token(lab):
    one = lab.launch()
    lab.launch(ClientToken="token-2")
    found = lab.client().describe_instances(Filters=[{"Name": "client-token", "Values": ["token-1"]}])
    assert [one] == [row["InstanceId"] for group in found["Reservations"] for row in group["Instances"]]


def test_what_was_just_made_is_not_found_for_a_while(lab):
    lab.set(lag=5)
    one = lab.launch()
    assert [] == lab.client().describe_instances()["Reservations"]
    assert "InvalidInstanceID.NotFound" == refusal(lab.client().describe_instances, InstanceIds=[one])
    assert "InvalidInstanceID.NotFound" == refusal(lab.client().terminate_instances, InstanceIds=[one])
    assert one == lab.launch()
    lab.clock.advance(5)
    assert "running" == lab.state(one)


def test_the_terminated_are_shown_for_an_hour(lab):
    one = lab.launch()
    lab.client().terminate_instances(InstanceIds=[one])
    lab.clock.advance(HOUR - 1)
    assert ("terminated", "Client.UserInitiatedShutdown") == (lab.state(one), lab.instance(one)["StateReason"]["Code"])
    lab.clock.advance(2)
    assert "InvalidInstanceID.NotFound" == refusal(lab.client().terminate_instances, InstanceIds=[one])


def test_a_lost_answer_took_effect_once(lab):
    lab.ec2.control("fault", {"action": "RunInstances", "when": "drop_after"})
    with pytest.raises(ConnectionClosedError):
        lab.launch()
    assert 1 == len(lab.hosts.hosts)
    lab.launch()
    assert 1 == len(lab.hosts.hosts)
    assert (1, 1) == (lab.ledger.count("RunInstances", "lost"), lab.ledger.count("RunInstances", "ok"))


def test_a_lost_request_took_none(lab):
    lab.ec2.control("fault", {"action": "RunInstances", "when": "drop_before"})
    with pytest.raises(ConnectionClosedError):
        lab.launch()
    assert {} == lab.hosts.hosts


def test_a_launch_may_take_effect_when_its_client_has_long_given_up(lab):
    lab.ec2.control("fault", {"action": "RunInstances", "when": "late", "seconds": 30})
    with pytest.raises(ConnectionClosedError):
        lab.launch()
    assert [] == lab.client().describe_instances()["Reservations"]
    lab.clock.advance(31)
    assert 1 == len(lab.client().describe_instances()["Reservations"])


@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_a_fault_comes_before_or_after_the_effect(lab, when, made):
    fault = {"action": "RunInstances", "when": when, "code": "RequestLimitExceeded", "n": 2}
    lab.ec2.control("fault", {**fault, "match": {"Placement.AvailabilityZone": "us-east-1?"}})
    assert ["RequestLimitExceeded"] * 2 == [refusal(lab.client().run_instances, **lab.request()) for _ in range(2)]
    assert made == len(lab.hosts.hosts)
    lab.launch()
    assert 1 == len(lab.hosts.hosts)


def test_a_fault_for_another_zone_does_not_happen_here(lab):
    lab.faults.add("RunInstances", match={"Placement.AvailabilityZone": "us-east-1b"})
    lab.launch()
    assert 1 == len(lab.faults.planned())


def test_capacity_is_of_zone_type_and_market(lab):
    lab.set(capacity=[{"zone": "us-east-1a", "type": "g4dn.*", "market": "spot", "most": 0}])
    gpu = {"InstanceType": "g4dn.xlarge", "ImageId": lab.image(DEEP)}
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert "InsufficientInstanceCapacity" == refusal(lab.client().run_instances, **lab.request(**gpu, **spot))
    lab.launch(**gpu, ClientToken="on-demand")
    lab.launch(**gpu, **spot, Placement={"AvailabilityZone": "us-east-1b"})
    assert 2 == len(lab.hosts.hosts)


def test_a_limit_counts_vcpus_of_what_is_alive(lab):
    lab.set(quota={"L-DB2E81BA": 4, "L-3819A6DF@us-east-1": 0})
    gpu = {"InstanceType": "g4dn.xlarge", "ImageId": lab.image(DEEP)}
    one = lab.launch(**gpu)
    assert "VcpuLimitExceeded" == refusal(lab.client().run_instances, **lab.request(**gpu, ClientToken="two"))
    spot = {"InstanceMarketOptions": {"MarketType": "spot"}}
    assert "MaxSpotInstanceCountExceeded" == refusal(
        lab.client().run_instances, **lab.request(**gpu, **spot, ClientToken="three")
    )
    lab.client().terminate_instances(InstanceIds=[one])
    lab.launch(**gpu, ClientToken="four")
    quotas = lab.client("service-quotas").list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert {"L-DB2E81BA": 4.0, "L-3819A6DF": 0.0}.items() <= {row["QuotaCode"]: row["Value"] for row in quotas}.items()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"InstanceType": "t3.enormous"}, "InvalidParameterValue"),
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "ubuntu"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
        ({"InstanceType": "p4d.24xlarge", "Placement": {"AvailabilityZone": "us-east-1f"}}, "Unsupported"),
        ({"Placement": {"AvailabilityZone": "us-east-1z"}}, "InvalidParameterValue"),
        ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"MinCount": 2, "MaxCount": 1}, "InvalidParameterValue"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}]}, "InvalidBlockDeviceMapping"),
        ({"TagSpecifications": [{"ResourceType": "spot-instances-request", "Tags": [{"Key": "a", "Value": "b"}]}]},
         "InvalidParameterValue"),
        ({"TagSpecifications": [{"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "b"}]}]}, "InvalidParameterValue"),
        ({"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0001"}}}, "SpotMaxPriceTooLow"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused_and_makes_nothing(lab, change, code):
    assert code == refusal(lab.client().run_instances, **lab.request(**change))
    assert ({}, []) == (lab.hosts.hosts, lab.ledger.open())


def test_user_data_of_16_kib_pass(lab):
    one = lab.launch(UserData="x" * 16384)
    assert 16384 == len(metadata(lab, one, "/latest/user-data"))


def test_tags_are_there_from_birth_on_all_four(lab):
    tags = [{"Key": "mlrun-run", "Value": "r1"}]
    kinds = ("instance", "volume", "network-interface", "spot-instances-request")
    given = [{"ResourceType": kind, "Tags": tags} for kind in kinds]
    lab.launch(TagSpecifications=given, InstanceMarketOptions={"MarketType": "spot"})
    rows = lab.client().describe_tags(
        Filters=[{"Name": "tag:mlrun-run", "Values": ["r1"]}, {"Name": "key", "Values": ["mlrun-*"]}]
    )
    assert set() == {row["ResourceType"] for row in rows["Tags"]}
    rows = lab.client().describe_tags(Filters=[{"Name": "key", "Values": ["mlrun-*"]}])["Tags"]
    assert set(kinds) == {row["ResourceType"] for row in rows}
    found = lab.client().describe_volumes(Filters=[{"Name": "tag:mlrun-run", "Values": ["r1"]}])["Volumes"]
    assert (1, "in-use") == (len(found), found[0]["State"])


def test_spot_is_cheaper_and_its_request_is_closed_with_it(lab):
    one = lab.launch(InstanceType="c5.large", InstanceMarketOptions={"MarketType": "spot"})
    lab.clock.advance(1)
    assert "spot" == lab.instance(one)["InstanceLifecycle"]
    history = lab.client().describe_spot_price_history(InstanceTypes=["c5.large"], AvailabilityZone=ZONE)["SpotPriceHistory"]
    line = next(line for line in lab.ledger.open() if line.kind == "instance")
    assert float(history[0]["SpotPrice"]) == pytest.approx(line.usd_per_hour)
    lab.client().terminate_instances(InstanceIds=[one])
    assert ["closed"] == [row["State"] for row in lab.client().describe_spot_instance_requests()["SpotInstanceRequests"]]


def test_a_preemption_is_told_before_it_happens(lab):
    one = lab.launch(InstanceMarketOptions={"MarketType": "spot"})
    lab.clock.advance(1)
    assert b"404" == metadata(lab, one, "/latest/meta-data/spot/instance-action")
    ends = lab.ec2.control("preempt", {"id": one})
    assert "terminate" == json.loads(metadata(lab, one, "/latest/meta-data/spot/instance-action"))["action"]
    lab.clock.advance(119)
    assert ("running", lab.clock.now() + 1) == (lab.state(one), ends)
    lab.clock.advance(1)
    assert "Server.SpotInstanceTermination" == lab.instance(one)["StateReason"]["Code"]


def test_only_spot_machines_are_taken_back(lab):
    with pytest.raises(ValueError, match="no spot machine"):
        lab.ec2.control("preempt", {"id": lab.launch()})


def test_metadata_want_a_token_where_they_were_told_to(lab):
    one = lab.launch(MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1})
    ask = lab.hosts.hosts[one].spec.metadata
    assert 401 == ask("GET", "/latest/meta-data/instance-id", {}, b"").status
    assert 401 == ask("GET", "/latest/meta-data/instance-id", {"x-aws-ec2-metadata-token": "stolen"}, b"").status
    assert one.encode() == metadata(lab, one, "/latest/meta-data/instance-id")
    assert b"us-east-1a" == metadata(lab, one, "/2021-03-23/meta-data/placement/availability-zone")
    assert b"404" == metadata(lab, one, "/latest/meta-data/tags/instance")
    assert b"404" == metadata(lab, one, "/latest/meta-data/public-keys/")


def test_tags_are_told_to_the_host_where_enabled(lab):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "mlrun-run", "Value": "r1"}]}]
    one = lab.launch(MetadataOptions={"InstanceMetadataTags": "enabled"}, TagSpecifications=tags)
    assert b"mlrun-run" == metadata(lab, one, "/latest/meta-data/tags/instance")
    assert b"r1" == metadata(lab, one, "/latest/meta-data/tags/instance/mlrun-run")


@pytest.mark.parametrize(("behaviour", "ends"), [("terminate", "terminated"), ("stop", "stopped")])
def test_a_shutdown_inside_does_what_the_launch_said(lab, behaviour, ends):
    one = lab.launch(InstanceInitiatedShutdownBehavior=behaviour)
    lab.clock.advance(1)
    lab.hosts.shut_down(one)
    assert (ends, "Client.InstanceInitiatedShutdown") == (lab.state(one), lab.instance(one)["StateReason"]["Code"])
    assert ([] if behaviour == "terminate" else ["volume"]) == [line.kind for line in lab.ledger.open()]
    attribute = lab.client().describe_instance_attribute(InstanceId=one, Attribute="instanceInitiatedShutdownBehavior")
    assert behaviour == attribute["InstanceInitiatedShutdownBehavior"]["Value"]


def test_stopping_keeps_the_disk_and_starting_boots_it_again(lab):
    one = lab.launch()
    lab.clock.advance(1)
    lab.client().stop_instances(InstanceIds=[one])
    assert ("stopped", False, ["volume"]) == (lab.state(one), lab.hosts.alive(one), [line.kind for line in lab.ledger.open()])
    lab.client().start_instances(InstanceIds=[one])
    lab.clock.advance(1)
    assert ("running", True, 3) == (lab.state(one), lab.hosts.alive(one), len(lab.ledger.open()))
    lab.client().reboot_instances(InstanceIds=[one])
    assert lab.hosts.alive(one)


def test_a_volume_that_outlives_its_instance_goes_on_costing(lab):
    kept = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 100, "VolumeType": "gp3", "DeleteOnTermination": False}}
    one = lab.launch(BlockDeviceMappings=[kept])
    assert "VolumeInUse" == refusal(
        lab.client().delete_volume, VolumeId=lab.client().describe_volumes()["Volumes"][1]["VolumeId"]
    )
    lab.client().terminate_instances(InstanceIds=[one])
    assert [("volume", pytest.approx(100 * 0.08 / 730))] == [(line.kind, line.usd_per_hour) for line in lab.ledger.open()]
    left = lab.client().describe_volumes()["Volumes"]
    assert [("available", 100)] == [(row["State"], row["Size"]) for row in left]
    lab.client().delete_volume(VolumeId=left[0]["VolumeId"])
    assert [] == lab.ledger.open()


def test_a_launch_that_dies_says_why(lab):
    lab.set(stillborn="Server.InsufficientInstanceCapacity")
    one = lab.launch()
    lab.clock.advance(1)
    assert ("terminated", "Server.InsufficientInstanceCapacity") == (lab.state(one), lab.instance(one)["StateReason"]["Code"])
    assert 0 == lab.ledger.seconds("instance")


def test_user_data_reach_the_host_as_they_were_sent(lab):
    packed = gzip.compress(b"#!/bin/sh")
    one = lab.launch(UserData=packed)
    assert packed == metadata(lab, one, "/latest/user-data")
    shown = lab.client().describe_instance_attribute(InstanceId=one, Attribute="userData")["UserData"]["Value"]
    assert packed == base64.b64decode(shown)


def test_with_the_systems_clock_an_instance_comes_and_goes():
    clock = SystemClock()
    ledger, hosts = Ledger(clock), PaperHosts(clock)
    ec2 = Ec2(hosts, ledger, Faults(), clock)
    lab = Lab(clock, hosts, ledger, ec2.faults, ec2)  # type: ignore[arg-type]
    lab.set(pending=0.01)
    one = lab.launch()
    lab.client().get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig={"Delay": 0, "MaxAttempts": 500})
    lab.client().terminate_instances(InstanceIds=[one])
    lab.client().get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig={"Delay": 0, "MaxAttempts": 500})
    assert ([], {}, []) == (ledger.open(), hosts.hosts, ec2.violations)
    ec2.close()
    clock.close()
