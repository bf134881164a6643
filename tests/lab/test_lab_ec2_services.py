"""The lab's EC2 around its instances: networks, limits, prices, checks of the wire."""

from __future__ import annotations

import json

import pytest
from botocore import xform_name

from tests.lab.ec2 import protocol, tables
from tests.lab.ec2.registry import HANDLERS
from tests.lab.ec2.trial import DEEP, HOUR, PASSES, fresh, metadata, refusal, running  # noqa: F401 — fixtures
from tests.lab.seams import Rule


def test_a_group_opens_its_hosts_to_whom_it_names(lab):
    ec2 = lab.client()
    group = ec2.create_security_group(GroupName="mlrun", Description="of the lab")["GroupId"]
    one = lab.launch(SecurityGroupIds=[group])
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "203.0.113.7/32"}]}
    assert () == lab.hosts.hosts[one].rules
    rule = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh])["SecurityGroupRules"][0]
    assert (Rule(22, 22, "203.0.113.7/32"),) == lab.hosts.hosts[one].rules
    assert "InvalidPermission.Duplicate" == refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[ssh])
    assert "InvalidGroup.Duplicate" == refusal(ec2.create_security_group, GroupName="mlrun", Description="again")
    assert "DependencyViolation" == refusal(ec2.delete_security_group, GroupId=group)
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    assert () == lab.hosts.hosts[one].rules
    left = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[ssh])["UnknownIpPermissions"]
    assert [22] == [one["FromPort"] for one in left]
    gone = {"GroupId": group, "SecurityGroupRuleIds": [rule["SecurityGroupRuleId"]]}
    assert "InvalidSecurityGroupRuleId.NotFound" == refusal(ec2.revoke_security_group_ingress, **gone)
    ec2.terminate_instances(InstanceIds=[one])
    ec2.delete_security_group(GroupId=group)
    assert "InvalidGroup.NotFound" == refusal(ec2.describe_security_groups, GroupIds=[group])


def test_an_account_without_a_default_network_launches_only_where_told(lab):
    lab.set(default_network=False)
    assert [] == lab.client().describe_vpcs()["Vpcs"]
    assert "VPCIdNotSpecified" == refusal(lab.client().run_instances, **lab.request())
    lab.client().create_default_vpc()
    lab.launch()


def test_the_console_is_the_hosts_own(lab):
    one = lab.launch()
    lab.clock.advance(1)
    assert "login:" in lab.client().get_console_output(InstanceId=one, Latest=True)["Output"]
    assert "login:" in lab.ec2.control("console", {"id": one})


def test_long_lists_come_in_pages(lab):
    for number in range(7):
        lab.launch(ClientToken=f"token-{number}")
    pages = list(lab.client().get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [5, 2] == [len(page["Reservations"]) for page in pages]


def test_a_host_ends_itself_at_its_limits(lab):
    told = "#!/bin/sh\n# mlrun-limits: max_seconds=7200, grace_seconds=600, contact_seconds=1200\n"
    alone, visited, hung = (
        lab.launch(ClientToken=f"t{n}", UserData=told, InstanceInitiatedShutdownBehavior="terminate") for n in range(3)
    )
    lab.clock.advance(60)
    lab.hosts.contact(visited)
    lab.hosts.hang(hung)
    lab.clock.advance(1200)
    assert ["terminated", "running", "running"] == [lab.state(one) for one in (alone, visited, hung)]
    lab.hosts.end_job(visited)
    lab.clock.advance(601)
    assert ["terminated", "running"] == [lab.state(one) for one in (visited, hung)]
    lab.clock.advance(2 * HOUR)
    assert "running" == lab.state(hung)


KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43} me"


def test_sent_keys_live_a_minute(lab):
    one = lab.launch()
    lab.clock.advance(1)
    connect = lab.client("ec2-instance-connect")
    assert connect.send_ssh_public_key(InstanceId=one, InstanceOSUser="mlrun", SSHPublicKey=KEY)["Success"]
    path = "/latest/meta-data/managed-ssh-keys/active-keys/mlrun"
    assert f"{KEY}\n".encode() == metadata(lab, one, path)
    lab.clock.advance(61)
    assert b"404" == metadata(lab, one, path)


def test_the_price_list_has_the_labs_own_prices(lab):
    lab.set(price={"g4dn.xlarge@us-east-1": 9.5})
    wanted = {"instanceType": "g4dn.xlarge", "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared"}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    [text] = lab.client("pricing").get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    [term] = json.loads(text)["terms"]["OnDemand"].values()
    [line] = term["priceDimensions"].values()
    assert 9.5 == float(line["pricePerUnit"]["USD"])


def test_types_and_zones_are_the_real_ones(lab):
    [facts] = lab.client().describe_instance_types(InstanceTypes=["g5.xlarge"])["InstanceTypes"]
    assert 22888 == facts["GpuInfo"]["Gpus"][0]["MemoryInfo"]["SizeInMiB"]
    filters = [{"Name": "instance-type", "Values": ["p4d.24xlarge"]}]
    rows = lab.client().describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)[
        "InstanceTypeOfferings"
    ]
    assert {"us-east-1a", "us-east-1b", "us-east-1c", "us-east-1d"} == {row["Location"] for row in rows}
    assert 16 == len(lab.client().describe_regions()["Regions"])


def test_a_gpu_is_shown_where_the_image_has_a_driver(lab):
    with_driver = lab.launch(InstanceType="g4dn.xlarge", ImageId=lab.image(DEEP))
    without = lab.launch(InstanceType="g4dn.xlarge", ClientToken="two")
    assert ["Tesla T4"] == [gpu["name"] for gpu in lab.hosts.hosts[with_driver].spec.gpus]
    assert () == lab.hosts.hosts[without].spec.gpus


EVERYTHING = [
    name for service, name in HANDLERS if service == "ec2" and name.startswith("Describe") and "Attribute" not in name
]


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_list_is_as_the_model_says(lab, name):
    lab.launch(InstanceMarketOptions={"MarketType": "spot"})
    call = getattr(lab.client(), xform_name(name))
    assert call()["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_every_type_is_as_the_model_says():
    operation = protocol.model("ec2").operation_model("DescribeInstanceTypes")
    assert [] == protocol.misshapen(operation, {"InstanceTypes": list(tables.types().values())})


def test_a_request_that_the_model_does_not_know_is_noticed(lab):
    ec2 = lab.client(parameter_validation=False)
    assert "InvalidParameterValue" == refusal(ec2.run_instances, **lab.request(InstanceInitiatedShutdownBehavior="explode"))
    ec2.meta.events.register("before-call.ec2.DescribeInstances", lambda params, **_: params["body"].update(Planted="1"))
    assert "UnknownParameter" == refusal(ec2.describe_instances)
    assert "MissingParameter" == refusal(ec2.run_instances, ImageId=lab.image())
    assert 3 == len(lab.ec2.violations), PASSES
    lab.ec2.violations.clear()


@pytest.mark.parametrize(
    "planted",
    [
        {"Regions": [{"RegionName": "x", "Colour": "red"}]},
        {"Regions": [{"RegionName": 7}]},
        {"Planted": True},
    ],
)
def test_a_reply_that_the_model_does_not_know_is_noticed(lab, monkeypatch, planted):
    monkeypatch.setitem(HANDLERS, ("ec2", "DescribeRegions"), lambda context: planted)
    lab.client().describe_regions()
    assert 1 == len(lab.ec2.violations), PASSES
    lab.ec2.violations.clear()


def test_a_reply_that_is_lost_on_the_way_is_noticed():
    operation = protocol.model("ec2").operation_model("DescribeRegions")
    meant, other = ({"Regions": [{"RegionName": name}]} for name in ("here", "there"))
    assert [] == protocol.misread(operation, meant, protocol.encode(operation, meant))
    assert 1 == len(protocol.misread(operation, meant, protocol.encode(operation, other))), PASSES


def test_a_failure_of_the_lab_itself_is_noticed(lab, monkeypatch, capfd):
    monkeypatch.setitem(HANDLERS, ("ec2", "DescribeRegions"), lambda context: 1 / 0)
    refusal(lab.client().describe_regions)
    assert "ZeroDivisionError" in lab.ec2.violations[0]
    lab.ec2.violations.clear()


def test_what_cannot_be_controlled_is_said(lab):
    for verb, given in (
        ("dance", {}),
        ("set", {"colour": "red"}),
        ("preempt", {"id": "i-0"}),
        ("fault", {"action": "x", "when": "never"}),
    ):
        with pytest.raises(ValueError, match=verb if verb == "dance" else "lab|no instance|when"):
            lab.ec2.control(verb, given)
