"""Regions, zones, types, spot prices, volumes, tags: what is only read, or nearly."""

from __future__ import annotations

from typing import Any

from tests.lab.ec2 import life, tables
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import Field, matching, page
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import ACCOUNT, Context, Volume, tag_dict, tag_list, when

TYPE_FIELDS: dict[str, Field] = {
    "instance-type": "InstanceType",
    "current-generation": "CurrentGeneration",
    "bare-metal": "BareMetal",
    "processor-info.supported-architecture": "ProcessorInfo.SupportedArchitectures",
    "supported-usage-class": "SupportedUsageClasses",
    "vcpu-info.default-vcpus": "VCpuInfo.DefaultVCpus",
    "memory-info.size-in-mib": "MemoryInfo.SizeInMiB",
}
VOLUME_FIELDS: dict[str, Field] = {
    "volume-id": "VolumeId",
    "status": "State",
    "availability-zone": "AvailabilityZone",
    "attachment.instance-id": "Attachments.InstanceId",
    "size": "Size",
    "volume-type": "VolumeType",
}


@answers("ec2", "DescribeRegions")
def describe_regions(context: Context) -> dict[str, Any]:
    asked = context.parameters
    rows = [
        {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
        for name in tables.REGIONS
        if name in asked.get("RegionNames", tables.REGIONS)
    ]
    for name in asked.get("RegionNames", []):
        if name not in tables.REGIONS:
            raise AwsError("InvalidParameterValue", f"Invalid region names: [{name}]")
    fields: dict[str, Field] = {"region-name": "RegionName", "opt-in-status": "OptInStatus", "endpoint": "Endpoint"}
    return {"Regions": matching(rows, asked.get("Filters", []), fields)}


@answers("ec2", "DescribeAvailabilityZones")
def describe_availability_zones(context: Context) -> dict[str, Any]:
    region = context.region.name
    rows = [
        {
            "ZoneName": name,
            "ZoneId": _zone_id(name),
            "RegionName": region,
            "State": "available",
            "ZoneType": "availability-zone",
        }
        | {"OptInStatus": "opt-in-not-required", "GroupName": region}
        for name in context.region.zones
        if name in context.parameters.get("ZoneNames", context.region.zones)
    ]
    fields: dict[str, Field] = {"zone-name": "ZoneName", "state": "State", "region-name": "RegionName", "zone-type": "ZoneType"}
    fields["opt-in-status"] = "OptInStatus"
    return {"AvailabilityZones": matching(rows, context.parameters.get("Filters", []), fields)}


def _zone_id(name: str) -> str:
    area, direction, number = name[:-1].split("-")
    return f"{area}{direction[0]}{number}-az{ord(name[-1]) - 96}"


@answers("ec2", "DescribeInstanceTypes")
def describe_instance_types(context: Context) -> dict[str, Any]:
    asked, sold = context.parameters, tables.offerings(context.region.name)
    for name in asked.get("InstanceTypes", []):
        if name not in sold or name not in tables.types():
            raise AwsError("InvalidInstanceType", f"The following supplied instance types do not exist: [{name}]")
    rows = [tables.types()[name] for name in sold if name in asked.get("InstanceTypes", sold)]
    shown, rest = page(matching(rows, asked.get("Filters", []), TYPE_FIELDS), asked, 100)
    return {"InstanceTypes": shown, **rest}


@answers("ec2", "DescribeInstanceTypeOfferings")
def describe_instance_type_offerings(context: Context) -> dict[str, Any]:
    kind = context.parameters.get("LocationType", "region")
    rows = []
    for name, places in tables.offerings(context.region.name).items():
        for place in [context.region.name] if kind == "region" else places:
            shown = _zone_id(place) if kind == "availability-zone-id" else place
            rows.append({"InstanceType": name, "LocationType": kind, "Location": shown})
    fields: dict[str, Field] = {"instance-type": "InstanceType", "location": "Location"}
    shown, rest = page(matching(rows, context.parameters.get("Filters", []), fields), context.parameters)
    return {"InstanceTypeOfferings": shown, **rest}


@answers("ec2", "DescribeSpotPriceHistory")
def describe_spot_price_history(context: Context) -> dict[str, Any]:
    """The newest price of each type and zone; zones differ by a hundredth."""
    asked, region, world = context.parameters, context.region.name, context.world
    start = asked.get("StartTime")
    moment = when(context.now() // 3600 * 3600)
    rows = []
    for name, places in tables.offerings(region).items():
        if name not in asked.get("InstanceTypes", [name]) or "spot" not in tables.types()[name]["SupportedUsageClasses"]:
            continue
        for number, place in enumerate(places):
            price = world.price(name, region, "spot") * (1 + number / 100)
            row = {"InstanceType": name, "AvailabilityZone": place, "SpotPrice": f"{price:.6f}", "Timestamp": moment}
            rows.append(row | {"ProductDescription": "Linux/UNIX"})
    zone = asked.get("AvailabilityZone")
    rows = [row for row in rows if zone in (None, row["AvailabilityZone"])]
    if wanted := asked.get("ProductDescriptions"):
        rows = [
            row for row in rows if row["ProductDescription"] in wanted or f"{row['ProductDescription']} (Amazon VPC)" in wanted
        ]
    if start is not None and asked.get("EndTime") and start > asked["EndTime"]:
        raise AwsError("InvalidParameterValue", "The start time is after the end time.")
    fields: dict[str, Field] = dict(zip(SPOT_NAMES, SPOT_KEYS, strict=True))
    shown, rest = page(matching(rows, asked.get("Filters", []), fields), asked)
    return {"SpotPriceHistory": shown, **(rest or {"NextToken": ""})}


SPOT_NAMES = ("instance-type", "availability-zone", "product-description", "spot-price")
SPOT_KEYS = ("InstanceType", "AvailabilityZone", "ProductDescription", "SpotPrice")


@answers("ec2", "DescribeSpotInstanceRequests")
def describe_spot_instance_requests(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.spot_requests
    for name in asked.get("SpotInstanceRequestIds", []):
        if name not in kept:
            raise AwsError("InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{name}' does not exist")
    rows = []
    for name, row in kept.items():
        if name in asked.get("SpotInstanceRequestIds", kept):
            rows.append({key: value for key, value in row.items() if key != "tags"} | {"Tags": tag_list(row["tags"])})
    fields: dict[str, Field] = {
        "state": "State",
        "instance-id": "InstanceId",
        "spot-instance-request-id": "SpotInstanceRequestId",
    }
    shown, rest = page(matching(rows, asked.get("Filters", []), fields), asked)
    return {"SpotInstanceRequests": shown, **rest}


@answers("ec2", "CancelSpotInstanceRequests")
def cancel_spot_instance_requests(context: Context) -> dict[str, Any]:
    rows = []
    for name in context.parameters["SpotInstanceRequestIds"]:
        if name not in context.region.spot_requests:
            raise AwsError("InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{name}' does not exist")
        context.region.spot_requests[name]["State"] = "cancelled"
        rows.append({"SpotInstanceRequestId": name, "State": "cancelled"})
    return {"CancelledSpotInstanceRequests": rows}


@answers("ec2", "DescribeVolumes")
def describe_volumes(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.volumes
    for name in asked.get("VolumeIds", []):
        _volume(context, name)
    now = context.now()
    young = {one.id for one in context.region.instances.values() if one.visible > now}
    rows = [_row(one) for one in kept.values() if one.id in asked.get("VolumeIds", kept) and one.instance not in young]
    shown, rest = page(matching(rows, asked.get("Filters", []), VOLUME_FIELDS), asked)
    return {"Volumes": shown, **rest}


def _volume(context: Context, name: str) -> Volume:
    if name not in context.region.volumes:
        raise AwsError("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")
    return context.region.volumes[name]


def _row(one: Volume) -> dict[str, Any]:
    row: dict[str, Any] = {
        "VolumeId": one.id,
        "AvailabilityZone": one.zone,
        "Size": one.gib,
        "VolumeType": one.kind,
        "Encrypted": one.encrypted,
        "CreateTime": when(one.made),
        "State": "in-use" if one.instance else "available",
        "Tags": tag_list(one.tags),
    }
    if one.instance:
        link = {"InstanceId": one.instance, "VolumeId": one.id, "Device": one.device, "State": "attached"}
        row["Attachments"] = [link | {"DeleteOnTermination": one.with_instance, "AttachTime": when(one.made)}]
    return row


@answers("ec2", "DeleteVolume")
def delete_volume(context: Context) -> dict[str, Any]:
    volume = _volume(context, context.parameters["VolumeId"])
    if volume.instance:
        raise AwsError("VolumeInUse", f"Volume {volume.id} is currently attached to {volume.instance}")
    life.delete_volume(context.world, context.region.volumes, volume)
    return {}


def _tagged(context: Context, name: str) -> dict[str, str]:
    region = context.region
    rules = {rule.id: rule.tags for group in region.groups.values() for rule in group.rules}
    cards = {one.interface: one.interface_tags for one in region.instances.values()}
    if name in region.spot_requests:
        return region.spot_requests[name]["tags"]  # type: ignore[no-any-return]
    held = region.instances.get(name) or region.volumes.get(name) or region.groups.get(name)
    found = held.tags if held is not None else rules.get(name, cards.get(name))
    if found is None:
        raise AwsError("InvalidID", f"The ID '{name}' is not valid")
    return found


@answers("ec2", "CreateTags")
def create_tags(context: Context) -> dict[str, Any]:
    new = tag_dict(context.parameters["Tags"])
    for held in [_tagged(context, name) for name in context.parameters["Resources"]]:
        held |= new
    return {}


@answers("ec2", "DeleteTags")
def delete_tags(context: Context) -> dict[str, Any]:
    for held in [_tagged(context, name) for name in context.parameters["Resources"]]:
        for tag in context.parameters.get("Tags", []):
            if tag.get("Value") in (None, held.get(tag["Key"])):
                held.pop(tag["Key"], None)
    return {}


@answers("ec2", "DescribeTags")
def describe_tags(context: Context) -> dict[str, Any]:
    region, now, kept = context.region, context.now(), context.settings.remembered
    held = [(one.id, "instance", one.tags) for one in region.instances.values() if one.seen(now, kept)]
    held += [(one.id, "volume", one.tags) for one in region.volumes.values()]
    held += [(one.id, "security-group", one.tags) for one in region.groups.values()]
    held += [(rule.id, "security-group-rule", rule.tags) for one in region.groups.values() for rule in one.rules]
    held += [(one.interface, "network-interface", one.interface_tags) for one in region.instances.values() if one.ended is None]
    held += [(name, "spot-instances-request", row["tags"]) for name, row in region.spot_requests.items()]
    rows = [
        {"ResourceId": a, "ResourceType": b, "Key": key, "Value": value} for a, b, tags in held for key, value in tags.items()
    ]
    fields: dict[str, Field] = {"resource-id": "ResourceId", "resource-type": "ResourceType", "key": "Key", "value": "Value"}
    shown, rest = page(matching(rows, context.parameters.get("Filters", []), fields), context.parameters)
    return {"Tags": shown, **rest}


@answers("ec2", "DescribeAccountAttributes")
def describe_account_attributes(context: Context) -> dict[str, Any]:
    default = next((name for name, row in context.region.vpcs.items() if row["IsDefault"]), "none")
    rows = [("default-vpc", default), ("supported-platforms", "VPC")]
    wanted = context.parameters.get("AttributeNames", [name for name, _ in rows])
    shown = [{"AttributeName": a, "AttributeValues": [{"AttributeValue": b}]} for a, b in rows if a in wanted]
    return {"AccountAttributes": shown}


@answers("ec2", "DescribeAddresses")
def describe_addresses(context: Context) -> dict[str, Any]:
    """The lab's account holds no Elastic IPs."""
    return {"Addresses": []}


@answers("ec2", "DescribeRouteTables")
def describe_route_tables(context: Context) -> dict[str, Any]:
    rows = []
    for vpc in context.region.vpcs:
        out = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-" + vpc[4:], "State": "active", "Origin": "CreateRoute"}
        link = {"Main": True, "RouteTableId": "rtb-" + vpc[4:], "RouteTableAssociationId": "rtbassoc-" + vpc[4:]}
        rows.append(
            {"RouteTableId": "rtb-" + vpc[4:], "VpcId": vpc, "OwnerId": ACCOUNT, "Routes": [out], "Associations": [link]}
        )
    fields: dict[str, Field] = {"vpc-id": "VpcId", "association.main": "Associations.Main"}
    fields["association.subnet-id"] = "Associations.SubnetId"
    return {"RouteTables": matching(rows, context.parameters.get("Filters", []), fields)}
