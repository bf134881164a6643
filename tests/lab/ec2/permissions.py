"""What each call needs a policy to allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.lab.ec2.iam import Need
from tests.lab.ec2.state import ACCOUNT, Context

KINDS = {"i": "instance", "vol": "volume", "sg": "security-group", "eni": "network-interface", "subnet": "subnet", "vpc": "vpc"}
KINDS |= {"ami": "image", "key": "key-pair", "sgr": "security-group-rule", "sir": "spot-instances-request"}
ALONE = ("Describe", "Get", "List")
"""Calls that only read are allowed on every resource or on none; GetConsoleOutput is the exception."""


def needs(service: str, operation: str, context: Context) -> list[Need]:
    asked, whole = context.parameters, _of_all(context)
    if service == "ec2-instance-connect":
        name = asked.get("InstanceId", "")
        keys = whole | _own(context, name) | {"ec2:osuser": [asked.get("InstanceOSUser", "")]}
        return [Need(f"{service}:{operation}", arn(context, name), keys)]
    if service != "ec2":
        return [Need(f"{service}:{operation}", _other(service, operation, context), whole)]
    if operation in {"CreateFleet", "CreateLaunchTemplate", "DeleteLaunchTemplate"}:
        return list(_fleet(context, whole, operation))
    if operation == "RunInstances":
        return [*_launch(context, whole), *_tagging(context, whole, operation)]
    if operation in {"CreateTags", "DeleteTags"}:
        keys = whole | _request_tags(asked.get("Tags", []))
        return [Need(f"ec2:{operation}", arn(context, name), keys | _own(context, name)) for name in asked.get("Resources", [])]
    named = _named(asked) if operation == "GetConsoleOutput" or not operation.startswith(ALONE) else []
    if operation == "CreateSecurityGroup":
        tags = whole | _request_tags(_born_tags(asked, "security-group"))
        place = [Need("ec2:CreateSecurityGroup", arn(context, asked["VpcId"]), whole)] if asked.get("VpcId") else []
        made = Need("ec2:CreateSecurityGroup", _arn(context, "security-group", "*"), tags)
        return [*place, made, *_tagging(context, whole, operation)]
    if operation.startswith(("AuthorizeSecurityGroup", "ImportKeyPair")) and asked.get("TagSpecifications"):
        return [*(Need(f"ec2:{operation}", arn(context, name), whole | _own(context, name)) for name in named or ["*"]),
                *_tagging(context, whole, operation)]  # fmt: skip
    return [Need(f"ec2:{operation}", arn(context, name), whole | _own(context, name)) for name in named] or [
        Need(f"ec2:{operation}", "*", whole)
    ]


def _fleet(context: Context, whole: Mapping[str, list[str]], operation: str) -> Iterable[Need]:
    asked = context.parameters
    named = [one.get("LaunchTemplateSpecification", {}) for one in asked.get("LaunchTemplateConfigs", [])] or [asked]
    for one in named:
        kept = context.region.templates.values()
        known = (made["id"] for made in kept if made["name"] == one.get("LaunchTemplateName"))
        name = one.get("LaunchTemplateId") or next(known, "*")
        held = context.region.templates.get(name, {"tags": {}})["tags"]
        keys = {f"aws:resourcetag/{key}".lower(): [value] for key, value in held.items()}
        tags = _request_tags(_born_tags(asked, "launch-template")) if operation == "CreateLaunchTemplate" else {}
        yield Need(f"ec2:{operation}", _arn(context, "launch-template", name), {**whole, **keys, **tags})
    if operation == "CreateFleet":
        yield Need("ec2:CreateFleet", _arn(context, "fleet", "*"), {**whole, **_request_tags(_born_tags(asked, "fleet"))})
    yield from _tagging(context, whole, operation)


def _of_all(context: Context) -> dict[str, list[str]]:
    person = context.principal
    keys = {"aws:userid": [person.id], "aws:principalarn": [person.arn]}
    keys |= {"aws:username": [person.name]} if ":user/" in person.arn else {}
    return keys | {"aws:requestedregion": [context.region.name], "ec2:region": [context.region.name]}


def _launch(context: Context, whole: Mapping[str, list[str]]) -> Iterable[Need]:
    asked = context.parameters
    market = asked.get("InstanceMarketOptions", {}).get("MarketType", "on-demand")
    options = asked.get("MetadataOptions", {})
    instance = {
        **whole,
        **_request_tags(_born_tags(asked, "instance")),
        "ec2:instancetype": [asked.get("InstanceType", "m1.small")],
        "ec2:metadatahttptokens": [options.get("HttpTokens", "optional")],
        "ec2:metadatahttpputresponsehoplimit": [str(options.get("HttpPutResponseHopLimit", 1))],
        "ec2:instancemarkettype": [market],
    }
    zone = asked.get("Placement", {}).get("AvailabilityZone")
    instance |= {"ec2:availabilityzone": [zone]} if zone else {}
    disks = [one.get("Ebs", {}) for one in asked.get("BlockDeviceMappings", [])] or [{}]
    volume = {
        **whole,
        **_request_tags(_born_tags(asked, "volume")),
        "ec2:encrypted": [str(all(one.get("Encrypted", False) for one in disks)).lower()],
        "ec2:volumetype": [disks[0].get("VolumeType", "gp3")],
        "ec2:volumesize": [str(max(one.get("VolumeSize", 8) for one in disks))],
    }
    run = "ec2:RunInstances"
    card = (asked.get("NetworkInterfaces") or [{}])[0]
    yield Need(run, _arn(context, "instance", "*"), instance)
    yield Need(run, _arn(context, "volume", "*"), volume)
    yield Need(run, _arn(context, "network-interface", "*"), {**whole, **_request_tags(_born_tags(asked, "network-interface"))})
    yield Need(run, f"arn:aws:ec2:{context.region.name}::image/{asked.get('ImageId', '')}", {**whole, "ec2:public": ["true"]})
    yield Need(run, _arn(context, "subnet", card.get("SubnetId") or asked.get("SubnetId") or "subnet-default"), whole)
    for name in card.get("Groups") or asked.get("SecurityGroupIds") or ["sg-default"]:
        yield Need(run, arn(context, name), {**whole, **_own(context, name)})
    if asked.get("KeyName"):
        yield Need(run, _arn(context, "key-pair", asked["KeyName"]), whole)
    if market == "spot":
        tags = _request_tags(_born_tags(asked, "spot-instances-request"))
        yield Need(run, _arn(context, "spot-instances-request", "*"), {**whole, **tags})
    if profile := asked.get("IamInstanceProfile"):
        name = profile.get("Name") or profile.get("Arn", "").rpartition("/")[2]
        role = context.world.role_of(name) or name
        keys = {**whole, "iam:passedtoservice": ["ec2.amazonaws.com"]}
        yield Need("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{role}", keys)


def _tagging(context: Context, whole: Mapping[str, list[str]], operation: str) -> Iterable[Need]:
    for one in context.parameters.get("TagSpecifications", []):
        if one.get("Tags"):
            keys = {**whole, **_request_tags(one["Tags"]), "ec2:createaction": [operation]}
            yield Need("ec2:CreateTags", _arn(context, one.get("ResourceType", "*"), "*"), keys)


def _born_tags(asked: Mapping[str, Any], kind: str) -> list[Mapping[str, str]]:
    return [tag for one in asked.get("TagSpecifications", []) if one.get("ResourceType") == kind for tag in one.get("Tags", [])]


def _request_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    tags = list(tags)
    keys = {f"aws:requesttag/{tag.get('Key', '')}".lower(): [tag.get("Value", "")] for tag in tags}
    return keys | ({"aws:tagkeys": [tag.get("Key", "") for tag in tags]} if tags else {})


def _named(asked: Mapping[str, Any]) -> list[str]:
    """Resources that a request names by id."""
    names: list[str] = []
    for key, value in asked.items():
        if key.endswith("Ids") and key != "SecurityGroupRuleIds":  # rules are revoked by who may change their group
            names += value
        elif key in {"InstanceId", "VolumeId", "GroupId", "NetworkInterfaceId", "AssociationId"}:
            names.append(value)
        elif key == "KeyName":
            names.append("key:" + value)
    return names


def _own(context: Context, name: str) -> dict[str, list[str]]:
    """The tags that a resource bears already, and what else a policy may ask of it."""
    region = context.region
    held = region.instances.get(name) or region.volumes.get(name) or region.groups.get(name)
    tags = dict(held.tags) if held is not None else {}
    for group in region.groups.values():
        tags |= next((rule.tags for rule in group.rules if rule.id == name), {})
    keys = {
        f"{space}/{key}".lower(): [value] for key, value in tags.items() for space in ("aws:resourcetag", "ec2:resourcetag")
    }
    if one := region.instances.get(name):
        keys |= {"ec2:instancetype": [one.kind], "ec2:availabilityzone": [one.zone]}
    return keys


def arn(context: Context, name: str) -> str:
    if name.startswith("key:"):
        return _arn(context, "key-pair", name[4:])
    return _arn(context, KINDS.get(name.partition("-")[0], "*"), name) if name != "*" else "*"


def _arn(context: Context, kind: str, name: str) -> str:
    return f"arn:aws:ec2:{context.region.name}:{ACCOUNT}:{kind}/{name}"


def _other(service: str, operation: str, context: Context) -> str:
    asked, region = context.parameters, context.region.name
    if service == "ssm":
        name = asked.get("Name") or next(iter(asked.get("Names", [])), "") or asked.get("Path", "")
        public = name.startswith("/aws/")
        return f"arn:aws:ssm:{region}:{'' if public else ACCOUNT}:parameter{name}" if name else "*"
    if service == "servicequotas" and "QuotaCode" in asked:
        return f"arn:aws:servicequotas:{region}:{ACCOUNT}:{asked['ServiceCode']}/{asked['QuotaCode']}"
    return "*"
