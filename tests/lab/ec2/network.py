"""VPCs, subnets, security groups and their rules, key pairs."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable
from typing import Any

from tests.lab.ec2 import life
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import Field, matching, page
from tests.lab.ec2.instances import interface, seen
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import ACCOUNT, LIVE, Context, Group, Rule, add_network, tag_dict, tag_list, when

VPC_FIELDS: dict[str, Field] = {
    "vpc-id": "VpcId",
    "is-default": "IsDefault",
    "isDefault": "IsDefault",
    "state": "State",
    "cidr": "CidrBlock",
    "owner-id": "OwnerId",
}
SUBNET_FIELDS: dict[str, Field] = {
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
    "availability-zone": "AvailabilityZone",
    "availabilityZone": "AvailabilityZone",
    "default-for-az": "DefaultForAz",
    "defaultForAz": "DefaultForAz",
    "map-public-ip-on-launch": "MapPublicIpOnLaunch",
    "state": "State",
}
GROUP_FIELDS: dict[str, Field] = {"group-id": "GroupId", "group-name": "GroupName", "vpc-id": "VpcId", "owner-id": "OwnerId"}
RULE_FIELDS: dict[str, Field] = {"group-id": "GroupId", "security-group-rule-id": "SecurityGroupRuleId"}
CARD_FIELDS: dict[str, Field] = {
    "network-interface-id": "NetworkInterfaceId",
    "group-id": "Groups.GroupId",
    "vpc-id": "VpcId",
    "subnet-id": "SubnetId",
    "status": "Status",
    "attachment.instance-id": "Attachment.InstanceId",
}


@answers("ec2", "DescribeVpcs")
def describe_vpcs(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.vpcs
    for name in asked.get("VpcIds", []):
        if name not in kept:
            raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{name}' does not exist")
    rows = [row for name, row in kept.items() if name in asked.get("VpcIds", kept)]
    shown, rest = page(matching(rows, asked.get("Filters", []), VPC_FIELDS), asked)
    return {"Vpcs": shown, **rest}


@answers("ec2", "CreateDefaultVpc")
def create_default_vpc(context: Context) -> dict[str, Any]:
    if any(row["IsDefault"] for row in context.region.vpcs.values()):
        raise AwsError("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.")
    add_network(context.world, context.region)
    return {"Vpc": next(row for row in context.region.vpcs.values() if row["IsDefault"])}


@answers("ec2", "DescribeSubnets")
def describe_subnets(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.subnets
    for name in asked.get("SubnetIds", []):
        if name not in kept:
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{name}' does not exist")
    rows = [row for name, row in kept.items() if name in asked.get("SubnetIds", kept)]
    shown, rest = page(matching(rows, asked.get("Filters", []), SUBNET_FIELDS), asked)
    return {"Subnets": shown, **rest}


@answers("ec2", "DescribeNetworkInterfaces")
def describe_network_interfaces(context: Context) -> dict[str, Any]:
    rows = []
    for one in seen(context):
        if one.state in LIVE:
            row = interface(context, one) | {"TagSet": tag_list(one.interface_tags), "AvailabilityZone": one.zone}
            row["Attachment"] = row["Attachment"] | {"InstanceId": one.id}
            rows.append(row | {"Tags": row["TagSet"]})
    found = matching(rows, context.parameters.get("Filters", []), CARD_FIELDS)
    shown, rest = page([{key: value for key, value in row.items() if key != "Tags"} for row in found], context.parameters)
    return {"NetworkInterfaces": shown, **rest}


@answers("ec2", "DescribeSecurityGroups")
def describe_security_groups(context: Context) -> dict[str, Any]:
    asked, region = context.parameters, context.region
    chosen = [region.group(name) for name in asked["GroupIds"]] if asked.get("GroupIds") else list(region.groups.values())
    if names := asked.get("GroupNames"):
        chosen = [group for group in chosen if group.name in names]
        for name in set(names) - {group.name for group in chosen}:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
    shown, rest = page(matching([_group(one) for one in chosen], asked.get("Filters", []), GROUP_FIELDS), asked)
    return {"SecurityGroups": shown, **rest}


def _group(one: Group) -> dict[str, Any]:
    return {
        "GroupId": one.id,
        "GroupName": one.name,
        "VpcId": one.vpc,
        "OwnerId": ACCOUNT,
        "Description": one.description,
        "Tags": tag_list(one.tags),
        "IpPermissions": [_permission(rule) for rule in one.rules if not rule.egress],
        "IpPermissionsEgress": [_permission(rule) for rule in one.rules if rule.egress],
    }


def _permission(rule: Rule) -> dict[str, Any]:
    block = {"CidrIpv6" if ":" in rule.cidr else "CidrIp": rule.cidr, "Description": rule.description}
    ports = {} if rule.protocol == "-1" else {"FromPort": rule.first, "ToPort": rule.last}
    return {"IpProtocol": rule.protocol, **ports, "Ipv6Ranges" if ":" in rule.cidr else "IpRanges": [block]}


@answers("ec2", "CreateSecurityGroup")
def create_security_group(context: Context) -> dict[str, Any]:
    asked, region = context.parameters, context.region
    vpc = asked.get("VpcId") or next((name for name, row in region.vpcs.items() if row["IsDefault"]), None)
    if vpc is None:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    if vpc not in region.vpcs:
        raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{vpc}' does not exist")
    name = asked["GroupName"]
    if any((group.vpc, group.name) == (vpc, name) for group in region.groups.values()):
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc}'")
    if name.startswith("sg-") or not 1 <= len(name) <= 255:
        raise AwsError("InvalidParameterValue", f"Value ({name}) for parameter GroupName is invalid.")
    group = Group(context.world.new_id("sg"), name, vpc, asked["Description"], _born_tags(context, "security-group"))
    group.rules.append(Rule(context.world.new_id("sgr"), "-1", -1, -1, "0.0.0.0/0", egress=True))
    region.groups[group.id] = group
    return {"GroupId": group.id, "Tags": tag_list(group.tags)}


def _born_tags(context: Context, kind: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for one in context.parameters.get("TagSpecifications", []):
        if one.get("ResourceType") != kind:
            said = f"'{one.get('ResourceType')}' is not a valid taggable resource type for this operation."
            raise AwsError("InvalidParameterValue", said)
        tags |= tag_dict(one.get("Tags", []))
    return tags


@answers("ec2", "DeleteSecurityGroup")
def delete_security_group(context: Context) -> dict[str, Any]:
    asked, region = context.parameters, context.region
    by_name = [group.id for group in region.groups.values() if group.name == asked.get("GroupName")]
    group = region.group(asked.get("GroupId") or next(iter(by_name), "sg-0"))
    if group.name == "default":
        raise AwsError("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    if any(group.id in one.groups and one.state != "terminated" for one in region.instances.values()):
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object")
    del region.groups[group.id]
    return {"Return": True, "GroupId": group.id}


@answers("ec2", "AuthorizeSecurityGroupIngress")
def authorize(context: Context) -> dict[str, Any]:
    group = _of(context)
    tags = _born_tags(context, "security-group-rule")
    asked = [_known(context, rule) for rule in _rules(context)]
    for rule in asked:
        if any(rule.same(other) for other in group.rules):
            said = f"peer: {rule.cidr}, {rule.protocol}, from port: {rule.first}, to port: {rule.last}, ALLOW"
            raise AwsError("InvalidPermission.Duplicate", f'the specified rule "{said}" already exists')
        rule.tags = dict(tags)
    if len(group.rules) + len(asked) > 60:
        raise AwsError("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")
    group.rules += asked
    _guard_again(context, group)
    return {"Return": True, "SecurityGroupRules": [_rule(group, rule) for rule in asked]}


def _of(context: Context) -> Group:
    asked = context.parameters
    if asked.get("GroupId"):
        return context.region.group(asked["GroupId"])
    for group in context.region.groups.values():
        if group.name == asked.get("GroupName"):
            return group
    raise AwsError("InvalidGroup.NotFound", f"The security group '{asked.get('GroupName')}' does not exist")


def _known(context: Context, rule: Rule) -> Rule:
    rule.id = context.world.new_id("sgr")
    return rule


def _rules(context: Context) -> Iterable[Rule]:
    asked = context.parameters
    if asked.get("CidrIp"):
        yield _one(asked.get("IpProtocol", "-1"), asked.get("FromPort"), asked.get("ToPort"), asked["CidrIp"], "")
    for one in asked.get("IpPermissions", []):
        if one.get("UserIdGroupPairs") or one.get("PrefixListIds"):
            raise AwsError("InvalidParameterValue", "The lab knows rules by address only.")
        for block in [*one.get("IpRanges", []), *one.get("Ipv6Ranges", [])]:
            cidr = block.get("CidrIp") or block.get("CidrIpv6", "")
            yield _one(one["IpProtocol"], one.get("FromPort"), one.get("ToPort"), cidr, block.get("Description", ""))


def _one(protocol: str, first: int | None, last: int | None, cidr: str, description: str) -> Rule:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        raise AwsError("InvalidParameterValue", f"CIDR block {cidr} is malformed") from None
    if protocol != "-1" and (first is None or last is None or not -1 <= first <= last <= 65535):
        raise AwsError("InvalidParameterValue", f"Invalid value for portRange: {first}-{last}")
    whole = protocol == "-1"
    return Rule(
        "", protocol, -1 if whole else int(first or 0), -1 if whole else int(last or 0), str(network), description=description
    )


def _rule(group: Group, rule: Rule) -> dict[str, Any]:
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": group.id,
        "GroupOwnerId": ACCOUNT,
        "IsEgress": rule.egress,
        "IpProtocol": rule.protocol,
        "FromPort": rule.first,
        "ToPort": rule.last,
        "CidrIpv6" if ":" in rule.cidr else "CidrIpv4": rule.cidr,
        "Description": rule.description,
        "Tags": tag_list(rule.tags),
    }


def _guard_again(context: Context, group: Group) -> None:
    for one in context.region.instances.values():
        if group.id in one.groups and one.state in LIVE:
            context.after.append(lambda one=one: life.guard(context.world, one))


@answers("ec2", "RevokeSecurityGroupIngress")
def revoke(context: Context) -> dict[str, Any]:
    group = _of(context)
    gone = [_by_id(group, name) for name in context.parameters.get("SecurityGroupRuleIds", [])]
    unknown = []
    for wanted in _rules(context):
        found = [rule for rule in group.rules if rule.same(wanted)]
        gone += found
        unknown += [] if found else [_permission(wanted)]
    if unknown and not context.region.vpcs[group.vpc]["IsDefault"]:
        raise AwsError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    group.rules = [rule for rule in group.rules if rule not in gone]
    _guard_again(context, group)
    return {"Return": True, "UnknownIpPermissions": unknown}


def _by_id(group: Group, name: str) -> Rule:
    found = next((rule for rule in group.rules if rule.id == name), None)
    if found is None:
        raise AwsError("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{name}' does not exist")
    return found


@answers("ec2", "DescribeSecurityGroupRules")
def describe_security_group_rules(context: Context) -> dict[str, Any]:
    wanted = context.parameters.get("SecurityGroupRuleIds")
    rows = [_rule(group, rule) for group in context.region.groups.values() for rule in group.rules]
    rows = [row for row in rows if not wanted or row["SecurityGroupRuleId"] in wanted]
    if wanted and len(rows) < len(wanted):
        raise AwsError("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{wanted[0]}' does not exist")
    shown, rest = page(matching(rows, context.parameters.get("Filters", []), RULE_FIELDS), context.parameters)
    return {"SecurityGroupRules": shown, **rest}


@answers("ec2", "ImportKeyPair")
def import_key_pair(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.keys
    name, material = asked["KeyName"], asked["PublicKeyMaterial"].decode(errors="replace").strip()
    if name in kept:
        raise AwsError("InvalidKeyPair.Duplicate", f"The keypair '{name}' already exists.")
    kind, _, rest = material.partition(" ")
    if kind not in {"ssh-ed25519", "ssh-rsa"} or not rest:
        raise AwsError("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    digest = base64.b64encode(hashlib.sha256(rest.encode()).digest()).decode()
    tags = _born_tags(context, "key-pair")
    facts = {"KeyPairId": context.world.new_id("key"), "KeyName": name, "KeyFingerprint": digest, "Tags": tag_list(tags)}
    kept[name] = {"material": material, "KeyType": kind.removeprefix("ssh-"), "CreateTime": when(context.now()), **facts}
    return facts


@answers("ec2", "DescribeKeyPairs")
def describe_key_pairs(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.keys
    for name in asked.get("KeyNames", []):
        if name not in kept:
            raise AwsError("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
    rows = [{key: value for key, value in row.items() if key != "material"} for row in kept.values()]
    rows = [row for row in rows if row["KeyName"] in asked.get("KeyNames", kept)]
    return {"KeyPairs": matching(rows, asked.get("Filters", []), {"key-name": "KeyName", "key-pair-id": "KeyPairId"})}


@answers("ec2", "DeleteKeyPair")
def delete_key_pair(context: Context) -> dict[str, Any]:
    asked, kept = context.parameters, context.region.keys
    gone = [name for name, row in kept.items() if asked.get("KeyName") == name or asked.get("KeyPairId") == row["KeyPairId"]]
    for name in gone:
        del kept[name]
    return {"Return": True}
