"""Instances as the API shows and handles them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from tests.lab.ec2 import life, tables
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import Field, matching, page
from tests.lab.ec2.images import image
from tests.lab.ec2.metadata import mac_of
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import ACCOUNT, CODES, LIVE, Context, Instance, tag_list, when

FIELDS: dict[str, Field] = {
    "instance-id": "InstanceId",
    "client-token": "ClientToken",
    "instance-state-name": "State.Name",
    "instance-state-code": "State.Code",
    "instance-type": "InstanceType",
    "instance-lifecycle": "InstanceLifecycle",
    "availability-zone": "Placement.AvailabilityZone",
    "image-id": "ImageId",
    "vpc-id": "VpcId",
    "subnet-id": "SubnetId",
    "ip-address": "PublicIpAddress",
    "private-ip-address": "PrivateIpAddress",
    "key-name": "KeyName",
    "spot-instance-request-id": "SpotInstanceRequestId",
    "state-reason-code": "StateReason.Code",
    "instance.group-id": "SecurityGroups.GroupId",
    "instance.group-name": "SecurityGroups.GroupName",
    "network-interface.group-id": "SecurityGroups.GroupId",
    "block-device-mapping.volume-id": "BlockDeviceMappings.Ebs.VolumeId",
    "launch-time": lambda row: row["LaunchTime"].isoformat(),
}


def seen(context: Context) -> list[Instance]:
    """What the API shows now."""
    now, kept = context.now(), context.settings.remembered
    return [one for one in context.region.instances.values() if one.seen(now, kept)]


def find(context: Context, wanted: Iterable[str]) -> list[Instance]:
    shown = {one.id: one for one in seen(context)}
    wanted = list(wanted)
    for name in wanted:
        if not name.startswith("i-") or len(name) not in {10, 19}:
            raise AwsError("InvalidInstanceID.Malformed", f'Invalid id: "{name}"')
    missing = [name for name in wanted if name not in shown]
    if missing:
        many = "s" * (len(missing) > 1)
        raise AwsError(
            "InvalidInstanceID.NotFound", f"The instance ID{many} '{', '.join(missing)}' do{'es' * (not many)} not exist"
        )
    return [shown[name] for name in wanted]


def view(context: Context, one: Instance) -> dict[str, Any]:
    host = life.hostname(one)
    row: dict[str, Any] = {
        "InstanceId": one.id,
        "ImageId": one.image,
        "InstanceType": one.kind,
        "State": state(one.state),
        "StateTransitionReason": one.transition,
        "LaunchTime": when(one.launched),
        "Placement": {"AvailabilityZone": one.zone, "Tenancy": "default", "GroupName": ""},
        "Architecture": image(one.region, one.image).arch,
        "RootDeviceName": image(one.region, one.image).root,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "EbsOptimized": False,
        "EnaSupport": True,
        "AmiLaunchIndex": 0,
        "Monitoring": {"State": "disabled"},
        "ClientToken": one.token,
        "MetadataOptions": {"State": "applied", "HttpProtocolIpv6": "disabled", **one.metadata},
        "Tags": tag_list(one.tags),
        "KeyName": one.key or "",
        "PublicDnsName": f"ec2-{one.address.replace('.', '-')}.compute-1.amazonaws.com" if one.shown else "",
    }
    if one.market == "spot":
        row |= {"InstanceLifecycle": "spot", "SpotInstanceRequestId": one.spot_request}
    if one.reason[0]:
        row["StateReason"] = {"Code": one.reason[0], "Message": one.reason[1]}
    if one.state in LIVE:
        row |= {
            "SubnetId": one.subnet,
            "VpcId": one.vpc,
            "PrivateIpAddress": one.private,
            "PrivateDnsName": f"{host}.ec2.internal",
        }
        row |= {"SecurityGroups": groups(context, one), "NetworkInterfaces": [interface(context, one)]}
        row["BlockDeviceMappings"] = [_mapping(context, name) for name in one.volumes]
        row |= {"PublicIpAddress": one.address} if one.shown else {}
    if one.profile and one.state in LIVE:
        name = one.profile.rpartition("/")[2]
        row["IamInstanceProfile"] = {"Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{name}", "Id": "AIPALAB" + name.upper()}
    return row


def state(name: str) -> dict[str, Any]:
    return {"Name": name, "Code": CODES[name]}


def groups(context: Context, one: Instance) -> list[dict[str, str]]:
    kept = context.region.groups
    return [{"GroupId": name, "GroupName": kept[name].name} for name in one.groups if name in kept]


def interface(context: Context, one: Instance) -> dict[str, Any]:
    row: dict[str, Any] = {
        "NetworkInterfaceId": one.interface,
        "SubnetId": one.subnet,
        "VpcId": one.vpc,
        "OwnerId": ACCOUNT,
        "Status": "in-use",
        "MacAddress": mac_of(one),
        "PrivateIpAddress": one.private,
        "Groups": groups(context, one),
        "Attachment": {
            "AttachmentId": "eni-attach-" + one.id[2:],
            "DeviceIndex": 0,
            "Status": "attached",
            "DeleteOnTermination": True,
        },
    }
    if one.shown:
        row["Association"] = {"PublicIp": one.address, "IpOwnerId": "amazon", "PublicDnsName": ""}
    return row


def _mapping(context: Context, name: str) -> dict[str, Any]:
    volume = context.region.volumes[name]
    ebs = {
        "VolumeId": volume.id,
        "Status": "attached",
        "DeleteOnTermination": volume.with_instance,
        "AttachTime": when(volume.made),
    }
    return {"DeviceName": volume.device, "Ebs": ebs}


def reservation(context: Context, made: list[Instance]) -> dict[str, Any]:
    rows = [view(context, one) for one in made]
    return {"ReservationId": "r-" + made[0].id[2:], "OwnerId": ACCOUNT, "Groups": [], "Instances": rows}


@answers("ec2", "DescribeInstances")
def describe_instances(context: Context) -> dict[str, Any]:
    asked = context.parameters
    if asked.get("InstanceIds") and asked.get("MaxResults"):
        raise AwsError("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
    chosen = find(context, asked["InstanceIds"]) if asked.get("InstanceIds") else seen(context)
    rows = matching([view(context, one) for one in chosen], asked.get("Filters", []), FIELDS)
    shown, rest = page(rows, asked, context.settings.page)
    by_id = context.region.instances
    return {"Reservations": [reservation(context, [by_id[row["InstanceId"]]]) for row in shown], **rest}


@answers("ec2", "DescribeInstanceStatus")
def describe_instance_status(context: Context) -> dict[str, Any]:
    asked = context.parameters
    chosen = find(context, asked["InstanceIds"]) if asked.get("InstanceIds") else seen(context)
    everything = asked.get("IncludeAllInstances")
    rows = []
    for one in chosen:
        if one.state == "running" or everything:
            good = {"Status": "ok" if one.state == "running" else "not-applicable"}
            row = {"InstanceId": one.id, "AvailabilityZone": one.zone, "InstanceState": state(one.state)}
            rows.append(row | {"InstanceStatus": good, "SystemStatus": good})
    fields = {"instance-state-name": "InstanceState.Name", "availability-zone": "AvailabilityZone"}
    shown, rest = page(matching(rows, asked.get("Filters", []), fields), asked)
    return {"InstanceStatuses": shown, **rest}


@answers("ec2", "TerminateInstances")
def terminate_instances(context: Context) -> dict[str, Any]:
    chosen = find(context, context.parameters["InstanceIds"])
    for one in chosen:
        if one.protected:
            said = f"The instance '{one.id}' may not be terminated. Modify its 'disableApiTermination' instance attribute"
            raise AwsError("OperationNotPermitted", f"{said} and try again.")
    rows = []
    reason = f"User initiated ({when(context.now()):%Y-%m-%d %H:%M:%S} GMT)"
    for one in chosen:
        rows.append(_change(one, "shutting-down" if one.state in LIVE else one.state))
        context.after.append(lambda one=one: life.end(context.world, one, life.BY_USER, reason))
    return {"TerminatingInstances": rows}


def _change(one: Instance, to: str) -> dict[str, Any]:
    return {"InstanceId": one.id, "PreviousState": state(one.state), "CurrentState": state(to)}


@answers("ec2", "StopInstances")
def stop_instances(context: Context) -> dict[str, Any]:
    rows = []
    for one in find(context, context.parameters["InstanceIds"]):
        if one.market == "spot":
            said = f"The instance {one.id} is a one-time spot instance and may not be stopped."
            raise AwsError("UnsupportedOperation", said)
        if one.state not in {"running", "stopping", "stopped"}:
            raise AwsError("IncorrectInstanceState", f"The instance '{one.id}' is not in a state from which it can be stopped.")
        rows.append(_change(one, "stopped" if one.state == "stopped" else "stopping"))
        if one.state == "running":
            one.state = "stopping"
            context.after.append(lambda one=one: context.world.clock.later(0, lambda: life.stop(context.world, one)))
    return {"StoppingInstances": rows}


@answers("ec2", "StartInstances")
def start_instances(context: Context) -> dict[str, Any]:
    rows = []
    for one in find(context, context.parameters["InstanceIds"]):
        if one.state not in {"running", "pending", "stopped"}:
            raise AwsError("IncorrectInstanceState", f"The instance '{one.id}' is not in a state from which it can be started.")
        rows.append(_change(one, "running" if one.state == "running" else "pending"))
        if one.state == "stopped":
            one.state, one.reason, one.transition = "pending", ("", ""), ""
            context.after.append(lambda one=one: life.start(context.world, one))
    return {"StartingInstances": rows}


@answers("ec2", "RebootInstances")
def reboot_instances(context: Context) -> dict[str, Any]:
    for one in find(context, context.parameters["InstanceIds"]):
        if one.state == "running":
            context.after.append(lambda one=one: context.world.clock.later(0, lambda: life.reboot(context.world, one)))
    return {}


@answers("ec2", "GetConsoleOutput")
def get_console_output(context: Context) -> dict[str, Any]:
    one = find(context, [context.parameters["InstanceId"]])[0]
    latest = bool(context.parameters.get("Latest"))
    if latest and tables.types()[one.kind].get("Hypervisor") != "nitro":
        raise AwsError("UnsupportedOperation", "This instance type does not support retrieving the latest console output.")
    printed = life.console(context.world, one, latest=latest)[-65536:]
    return {"InstanceId": one.id, "Timestamp": when(context.now()), "Output": base64.b64encode(printed).decode()}


@answers("ec2", "DescribeInstanceAttribute")
def describe_instance_attribute(context: Context) -> dict[str, Any]:
    asked = context.parameters
    one = find(context, [asked["InstanceId"]])[0]
    values: dict[str, Any] = {
        "instanceInitiatedShutdownBehavior": ("InstanceInitiatedShutdownBehavior", {"Value": one.on_shutdown}),
        "disableApiTermination": ("DisableApiTermination", {"Value": one.protected}),
        "instanceType": ("InstanceType", {"Value": one.kind}),
        "userData": ("UserData", {"Value": base64.b64encode(one.user_data).decode()} if one.user_data else {}),
        "groupSet": ("Groups", groups(context, one)),
    }
    if asked["Attribute"] not in values:
        raise AwsError("InvalidParameterValue", f"The lab knows no attribute {asked['Attribute']}")
    name, value = values[asked["Attribute"]]
    return {"InstanceId": one.id, name: value}


@answers("ec2", "ModifyInstanceAttribute")
def modify_instance_attribute(context: Context) -> dict[str, Any]:
    asked = context.parameters
    one = find(context, [asked["InstanceId"]])[0]
    if "InstanceInitiatedShutdownBehavior" in asked:
        one.on_shutdown = asked["InstanceInitiatedShutdownBehavior"]["Value"]
    if "DisableApiTermination" in asked:
        one.protected = asked["DisableApiTermination"]["Value"]
    if asked.get("Groups"):
        one.groups = [context.region.group(name).id for name in asked["Groups"]]
        context.after.append(lambda: life.guard(context.world, one))
    return {}


@answers("ec2", "ModifyInstanceMetadataOptions")
def modify_instance_metadata_options(context: Context) -> dict[str, Any]:
    asked = context.parameters
    one = find(context, [asked["InstanceId"]])[0]
    one.metadata |= {key: value for key, value in asked.items() if key in one.metadata}
    return {
        "InstanceId": one.id,
        "InstanceMetadataOptions": {"State": "pending", "HttpProtocolIpv6": "disabled", **one.metadata},
    }
