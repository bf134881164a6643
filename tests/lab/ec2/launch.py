"""RunInstances: what is checked, in AWS's order, and what comes of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from fnmatch import fnmatchcase
from typing import Any

from tests.lab.ec2 import life, tables
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.images import Image, image
from tests.lab.ec2.instances import reservation
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import LIVE, Context, Instance, Volume, tag_dict

USER_DATA_LIMIT = 16384
BORN_WITH_TAGS = ("instance", "volume", "network-interface", "spot-instances-request")


@answers("ec2", "RunInstances", own_dry_run=True)
def run_instances(context: Context) -> dict[str, Any]:
    asked = context.parameters
    if again := _same_token(context):
        return again
    picture = image(context.region.name, asked.get("ImageId") or _missing("ImageId"))
    kind = _kind(asked.get("InstanceType", "m1.small"), picture)
    subnet, groups, public = _network(context, kind)
    user_data = _user_data(asked.get("UserData", ""))
    tags = _tags(asked)
    disks = _disks(asked, picture)
    _known_names(context)
    count = _count(asked)
    if asked.get("DryRun"):
        raise AwsError("DryRunOperation")
    zone, market = subnet["AvailabilityZone"], _market(asked)
    _could_be_had(context, kind, zone, market, count)
    made = []
    for _ in range(count):
        one = _make(context, kind, subnet, market)
        one.groups, one.public, one.user_data, one.image = groups, public, user_data, picture.id
        one.tags, one.interface_tags = tags["instance"], tags["network-interface"]
        _attach(context, one, disks, tags["volume"])
        _request_spot(context, one, tags["spot-instances-request"])
        made.append(one)
    first = made[0]
    if first.token:
        context.region.tokens[_scope(context), first.token] = (_fingerprint(asked), tuple(one.id for one in made))
    context.after += [lambda one=one: life.boot(context.world, one) for one in made]
    return reservation(context, made)


def _missing(name: str) -> str:
    raise AwsError("MissingParameter", f"The request must contain the parameter {name}")


def _scope(context: Context) -> str:
    """Tokens are of a zone where the request names one, else of the region."""
    asked = context.parameters
    subnet = asked.get("SubnetId") or next((one.get("SubnetId", "") for one in asked.get("NetworkInterfaces", [])), "")
    if subnet in context.region.subnets:
        return str(context.region.subnets[subnet]["AvailabilityZone"])
    return str(asked.get("Placement", {}).get("AvailabilityZone") or context.region.name)


def _fingerprint(asked: Any) -> str:
    kept = {key: value for key, value in asked.items() if key not in {"ClientToken", "DryRun"}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def _same_token(context: Context) -> dict[str, Any] | None:
    token = context.parameters.get("ClientToken", "")
    if len(token) > 64 or not token.isascii():
        raise AwsError("InvalidParameterValue", "The client token may have at most 64 ASCII characters.")
    known = context.region.tokens.get((_scope(context), token))
    if not token or known is None or context.parameters.get("DryRun"):
        return None
    fingerprint, names = known
    if fingerprint != _fingerprint(context.parameters):
        raise AwsError("IdempotentParameterMismatch")
    made = [context.region.instances[name] for name in names]
    if not any(one.state in LIVE for one in made):
        raise AwsError("IdempotentInstanceTerminated")
    return reservation(context, made)


def _kind(wanted: str, picture: Image) -> str:
    if wanted not in tables.types():
        raise AwsError("InvalidParameterValue", f"Invalid value '{wanted}' for InstanceType.")
    if picture.arch not in tables.types()[wanted]["ProcessorInfo"]["SupportedArchitectures"]:
        said = (
            f"The architecture '{tables.architecture(wanted)}' of the specified instance type does not match the architecture "
        )
        raise AwsError("InvalidParameterValue", f"{said}'{picture.arch}' of the specified AMI.")
    return wanted


def _network(context: Context, kind: str) -> tuple[dict[str, Any], list[str], bool]:
    """Subnet, security groups, and whether it gets a public address."""
    asked, region = context.parameters, context.region
    cards = asked.get("NetworkInterfaces", [])
    card = cards[0] if cards else {}
    if cards and any(asked.get(name) for name in ("SubnetId", "SecurityGroupIds", "SecurityGroups")):
        said = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request"
        raise AwsError("InvalidParameterCombination", said)
    subnet = _subnet(context, card.get("SubnetId") or asked.get("SubnetId"), kind)
    named = [_by_name(context, name) for name in asked.get("SecurityGroups", [])]
    groups = card.get("Groups") or asked.get("SecurityGroupIds") or named or [_default_group(context, subnet["VpcId"])]
    for name in groups:
        if region.group(name).vpc != subnet["VpcId"]:
            raise AwsError(
                "InvalidParameter", f"Security group {name} and subnet {subnet['SubnetId']} belong to different networks."
            )
    return subnet, list(groups), bool(card.get("AssociatePublicIpAddress", subnet["MapPublicIpOnLaunch"]))


def _subnet(context: Context, wanted: str | None, kind: str) -> dict[str, Any]:
    region, zone = context.region, context.parameters.get("Placement", {}).get("AvailabilityZone")
    if zone and zone not in region.zones:
        raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    if wanted:
        if wanted not in region.subnets:
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{wanted}' does not exist")
        found = region.subnets[wanted]
        if zone and found["AvailabilityZone"] != zone:
            raise AwsError("InvalidParameterValue", f"The availability zone '{zone}' is not that of subnet '{wanted}'")
        return found
    sold = tables.offerings(region.name).get(kind, ())
    default = [
        one
        for one in region.subnets.values()
        if one["DefaultForAz"] and (zone or one["AvailabilityZone"]) == one["AvailabilityZone"]
    ]
    if not default:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    return min(default, key=lambda one: one["AvailabilityZone"] not in sold)


def _by_name(context: Context, name: str) -> str:
    for group in context.region.groups.values():
        if group.name == name and context.region.vpcs[group.vpc]["IsDefault"]:
            return group.id
    raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC")


def _default_group(context: Context, vpc: str) -> str:
    return next(group.id for group in context.region.groups.values() if (group.vpc, group.name) == (vpc, "default"))


def _user_data(encoded: str) -> bytes:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise AwsError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(raw) > USER_DATA_LIMIT:
        raise AwsError("InvalidParameterValue", "User data is limited to 16384 bytes")
    return raw


def _tags(asked: Any) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {kind: {} for kind in BORN_WITH_TAGS}
    for one in asked.get("TagSpecifications", []):
        kind = one.get("ResourceType", "")
        if kind not in BORN_WITH_TAGS or (kind == "spot-instances-request" and _market(asked) != "spot"):
            raise AwsError("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")
        found[kind] |= tag_dict(one.get("Tags", []))
    return found


def _market(asked: Any) -> str:
    return str(asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand"))


def _disks(asked: Any, picture: Image) -> dict[str, dict[str, Any]]:
    """By device; the root's is the image's where nothing else is asked."""
    disks: dict[str, dict[str, Any]] = {
        picture.root: {"VolumeSize": picture.gib, "VolumeType": "gp3", "DeleteOnTermination": True}
    }
    for one in asked.get("BlockDeviceMappings", []):
        device, ebs = one.get("DeviceName", ""), one.get("Ebs", {})
        disks[device] = {"VolumeType": "gp2", "DeleteOnTermination": True} | disks.get(device, {}) | ebs
        if device == picture.root and disks[device]["VolumeSize"] < picture.gib:
            said = f"Volume of size {disks[device]['VolumeSize']}GB is smaller than snapshot, expect size >= {picture.gib}GB"
            raise AwsError("InvalidBlockDeviceMapping", said)
        if "VolumeSize" not in disks[device]:
            raise AwsError("MissingParameter", "The request must contain the parameter size or snapshotId")
        if disks[device]["VolumeType"] not in tables.USD_PER_GB_MONTH:
            raise AwsError("InvalidParameterValue", f"Invalid volume type '{disks[device]['VolumeType']}'")
    return disks


def _known_names(context: Context) -> None:
    asked = context.parameters
    key = asked.get("KeyName")
    if key and key not in context.region.keys:
        raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
    profile = asked.get("IamInstanceProfile")
    name = profile and (profile.get("Name") or profile.get("Arn", "").rpartition("/")[2])
    if name and context.world.role_of(name) is None:
        said = f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        raise AwsError("InvalidParameterValue", said)


def _count(asked: Any) -> int:
    least, most = int(asked["MinCount"]), int(asked["MaxCount"])
    if not 1 <= least <= most:
        raise AwsError(
            "InvalidParameterValue", f"The minimum count {least} must be at least 1 and at most the maximum count {most}"
        )
    return most


def _could_be_had(context: Context, kind: str, zone: str, market: str, count: int) -> None:
    region, world = context.region.name, context.world
    if zone not in tables.offerings(region).get(kind, ()):
        raise AwsError("Unsupported", type=kind, zone=zone)
    live = [one for one in context.region.instances.values() if one.state in {"pending", "running"}]
    code = tables.quota_code(kind, market)
    limit = world.quota(code, region)
    used = sum(tables.vcpus(one.kind) for one in live if tables.quota_code(one.kind, one.market) == code)
    if used + count * tables.vcpus(kind) > limit:
        raise AwsError("VcpuLimitExceeded" if market == "on-demand" else "MaxSpotInstanceCountExceeded", limit=int(limit))
    for rule in world.settings.capacity:
        wanted = [(zone, rule.get("zone", "*")), (kind, rule.get("type", "*")), (market, rule.get("market", "*"))]
        if all(fnmatchcase(value, pattern) for value, pattern in wanted):
            alike = [
                one
                for one in live
                if fnmatchcase(one.zone, rule.get("zone", "*")) and fnmatchcase(one.kind, rule.get("type", "*"))
            ]
            if len(alike) + count > rule.get("most", 0):
                raise AwsError("InsufficientInstanceCapacity", type=kind, zone=zone)
    highest = context.parameters.get("InstanceMarketOptions", {}).get("SpotOptions", {}).get("MaxPrice")
    price = world.price(kind, region, market)
    if market == "spot" and highest is not None and float(highest) < price:
        said = f"Your Spot request price of {highest} is lower than the minimum required Spot request fulfillment price of"
        raise AwsError("SpotMaxPriceTooLow", f"{said} {price}.")


def _make(context: Context, kind: str, subnet: dict[str, Any], market: str) -> Instance:
    asked, world, region = context.parameters, context.world, context.region
    number = len(region.instances) + 4
    base = subnet["CidrBlock"].split(".")
    options = {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 2,
        "HttpEndpoint": "enabled",
        "InstanceMetadataTags": "disabled",
    }
    profile = asked.get("IamInstanceProfile", {})
    one = Instance(
        id=world.new_id("i"),
        region=region.name,
        zone=subnet["AvailabilityZone"],
        kind=kind,
        image="",
        subnet=subnet["SubnetId"],
        vpc=subnet["VpcId"],
        groups=[],
        launched=world.now(),
        visible=world.now() + world.settings.lag,
        private=f"{base[0]}.{base[1]}.{int(base[2]) + number // 250}.{number % 250}",
        interface=world.new_id("eni"),
        market=market,
        token=asked.get("ClientToken", ""),
        key=asked.get("KeyName"),
        on_shutdown=asked.get("InstanceInitiatedShutdownBehavior", "terminate" if market == "spot" else "stop"),
        profile=profile.get("Name") or profile.get("Arn"),
        metadata=options | asked.get("MetadataOptions", {}),
        protected=bool(asked.get("DisableApiTermination")),
        usd_per_hour=world.price(kind, region.name, market),
    )
    region.instances[one.id] = one
    return one


def _attach(context: Context, one: Instance, disks: dict[str, dict[str, Any]], tags: dict[str, str]) -> None:
    for device, disk in disks.items():
        volume = Volume(
            id=context.world.new_id("vol"),
            zone=one.zone,
            gib=int(disk["VolumeSize"]),
            kind=disk["VolumeType"],
            made=one.launched,
            encrypted=bool(disk.get("Encrypted")),
            with_instance=bool(disk["DeleteOnTermination"]),
            instance=one.id,
            device=device,
            tags=dict(tags),
            iops=disk.get("Iops"),
            throughput=disk.get("Throughput"),
        )
        one.volumes.append(volume.id)
        life.keep_volume(context.world, context.region.volumes, volume)


def _request_spot(context: Context, one: Instance, tags: dict[str, str]) -> None:
    if one.market != "spot":
        return
    asked = context.parameters["InstanceMarketOptions"].get("SpotOptions", {})
    one.spot_request = context.world.new_id("sir")[:12]
    context.region.spot_requests[one.spot_request] = {
        "SpotInstanceRequestId": one.spot_request,
        "InstanceId": one.id,
        "State": "active",
        "Status": {"Code": "fulfilled", "Message": "Your Spot request is fulfilled."},
        "Type": asked.get("SpotInstanceType", "one-time"),
        "SpotPrice": asked.get("MaxPrice", str(one.usd_per_hour)),
        "InstanceInterruptionBehavior": asked.get("InstanceInterruptionBehavior", "terminate"),
        "LaunchedAvailabilityZone": one.zone,
        "tags": tags,
    }
