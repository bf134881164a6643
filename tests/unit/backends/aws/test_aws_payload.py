"""RunInstances, field by field."""

from __future__ import annotations

import string
from dataclasses import replace

import botocore.session
import pytest
from botocore.validate import ParamValidator

from dispatcher.backends.aws.payload import Image, Site, request, tag_dict, token
from dispatcher.backends.base import Terms
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label

LABEL = Label("0123456789")
OFFER = Offer(
    "aws", "g4dn.xlarge", "T4", 1, 16, region="us-east-1", zone="us-east-1b", market="on-demand", price_per_hour=0.526
)
SITE = Site("us-east-1", "us-east-1b", "subnet-1", "vpc-1", "sg-1")
IMAGE = Image("ami-1", "/dev/sda1", 65)
TAGS = {"mlrun-label": str(LABEL), "mlrun-owner": "AIDA", "mlrun-max-seconds": "3600"}


def made(offer=OFFER, terms=None, role=None) -> dict:
    return request(offer, LABEL, terms or Terms(disk_gb=100), SITE, IMAGE, "#cloud-config\n", TAGS, role)


@pytest.fixture(scope="module")
def shape():
    return botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances").input_shape


@pytest.mark.parametrize("market", ["on-demand", "spot"])
def test_aws_knows_every_field(shape, market):
    asked = made(replace(OFFER, market=market), Terms(max_hourly=0.2, disk_gb=20), "training")
    assert not ParamValidator().validate(asked, shape).has_errors()
    assert set(asked) <= set(shape.members)


def test_one_machine_that_ends_when_it_shuts_down():
    asked = made()
    assert (1, 1, "terminate") == (asked["MinCount"], asked["MaxCount"], asked["InstanceInitiatedShutdownBehavior"])
    assert "DisableApiTermination" not in asked


def test_no_key_pair_and_no_role_unless_the_user_names_one():
    assert {"KeyName", "IamInstanceProfile"}.isdisjoint(made())
    assert {"Name": "training"} == made(role="training")["IamInstanceProfile"]


def test_metadata_need_a_token_and_do_not_leave_the_machine():
    asked = made()["MetadataOptions"]
    assert ("required", 1, "disabled") == (asked["HttpTokens"], asked["HttpPutResponseHopLimit"], asked["InstanceMetadataTags"])


def test_the_disk_is_encrypted_goes_with_the_machine_and_holds_what_the_job_needs():
    (disk,) = made()["BlockDeviceMappings"]
    assert ("/dev/sda1", True, True, 94) == (
        disk["DeviceName"], disk["Ebs"]["DeleteOnTermination"], disk["Ebs"]["Encrypted"], disk["Ebs"]["VolumeSize"],
    )  # fmt: skip


def test_everything_that_is_made_has_its_tags_from_birth():
    kinds = {one["ResourceType"]: tag_dict(one["Tags"]) for one in made()["TagSpecifications"]}
    assert {"instance", "volume", "network-interface"} == set(kinds)
    assert all(tags == TAGS | {"Name": str(LABEL)} for tags in kinds.values())


def test_a_spot_request_is_tagged_where_there_is_one_and_never_stops_a_machine():
    asked = made(replace(OFFER, market="spot"), Terms(max_hourly=0.1578))
    assert "spot-instances-request" in {one["ResourceType"] for one in asked["TagSpecifications"]}
    options = asked["InstanceMarketOptions"]["SpotOptions"]
    assert {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate", "MaxPrice": "0.1578"} == options


def test_without_a_limit_spot_has_no_highest_price():
    asked = made(replace(OFFER, market="spot"), Terms())
    assert "MaxPrice" not in asked["InstanceMarketOptions"]["SpotOptions"]


def test_its_one_interface_has_a_public_address_and_our_group_only():
    (face,) = made()["NetworkInterfaces"]
    assert (["sg-1"], True, True, "subnet-1") == (
        face["Groups"], face["AssociatePublicIpAddress"], face["DeleteOnTermination"], face["SubnetId"],
    )  # fmt: skip


def test_a_token_is_one_per_attempt_and_zone_and_fits():
    same, other, elsewhere = token(LABEL, "a"), token(replace(LABEL, attempt=2), "a"), token(LABEL, "b")
    assert same == token(LABEL, "a")
    assert 3 == len({same, other, elsewhere})
    assert len(same) <= 64
    assert set(same) <= set(string.ascii_uppercase + string.digits)


def test_the_same_launch_is_the_same_request():
    assert made() == made()
