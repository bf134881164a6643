"""Where machines stand in a region, and who may enter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.payload import Site, tag_dict, tag_list
from dispatcher.backends.cloud.tags import OWNER
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, NoCapacity

GROUP = "mlrun"
KIND = "mlrun-kind"
RULE = "mlrun-rule/"
"""A rule's tag for each attempt that needs it: two runs of one caller share a rule, AWS knows no two alike."""
NO_NETWORK = "aws ec2 create-default-vpc --region {region}   # or name aws.subnet in config.yaml"


def site_for(account: Account, region: str, zone: str | None, subnet: str | None) -> Site:
    """The user's subnet, else the default one of the zone. Raises NoCapacity for a zone that has none."""
    asked: dict[str, Any] = {"SubnetIds": [subnet]} if subnet else {"Filters": _filters({"default-for-az": "true"})}
    found = account.call("ec2", region, "describe_subnets", "the network", **asked)["Subnets"]
    if not found:
        fix = NO_NETWORK.format(region=region)
        raise CloudRefused(f"The account has no default network in {region}, and the settings name no subnet", fix=fix)
    fitting = [
        one for one in sorted(found, key=lambda one: str(one["AvailabilityZone"])) if zone in (None, one["AvailabilityZone"])
    ]
    if not fitting:
        raise NoCapacity(f"The network in {region} has no subnet in {zone}")
    chosen = fitting[0]
    return Site(region, chosen["AvailabilityZone"], chosen["SubnetId"], chosen["VpcId"])


def zones_with_subnets(account: Account, region: str, subnet: str | None) -> tuple[str, ...]:
    """The zones in which a machine could stand."""
    asked: dict[str, Any] = {"SubnetIds": [subnet]} if subnet else {"Filters": _filters({"default-for-az": "true"})}
    found = account.call("ec2", region, "describe_subnets", "the network", **asked)["Subnets"]
    return tuple(sorted({str(one["AvailabilityZone"]) for one in found}))


def grouped(account: Account, site: Site, owner: str) -> Site:
    """The site with its network's group, made where there is none. It lets nobody in by itself."""
    found = find_group(account, site.region, site.vpc)
    return replace(site, group=found or _make_group(account, site, owner))


def find_group(account: Account, region: str, vpc: str) -> str | None:
    """The network's group of ours."""
    asked = _filters({"vpc-id": vpc, "group-name": GROUP})
    found = account.call("ec2", region, "describe_security_groups", "the security group", Filters=asked)["SecurityGroups"]
    return str(found[0]["GroupId"]) if found else None


def _make_group(account: Account, site: Site, owner: str) -> str:
    tags = tag_list({OWNER: owner, KIND: "ingress", "Name": GROUP})
    try:
        made = account.ask(
            "ec2", site.region, "create_security_group", "a security group", GroupName=GROUP, VpcId=site.vpc,
            Description="mlrun: SSH from whoever started a run, while it lasts",
            TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}],
        )  # fmt: skip
    except AwsFailure as failure:
        known = find_group(account, site.region, site.vpc) if failure.code == "InvalidGroup.Duplicate" else None
        if known is None:
            raise account.told(failure) from failure
        return known
    return str(made["GroupId"])


def let_in(account: Account, region: str, group: str, mark: dict[str, str], networks: Iterable[str]) -> None:
    """Have a rule for each network, marked as somebody's."""
    for network in networks:
        tags = tag_list({OWNER: next(iter(mark.values())).split()[0], **mark})
        try:
            account.ask(
                "ec2", region, "authorize_security_group_ingress", "a rule for SSH", GroupId=group,
                IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": network}]}],
                TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
            )  # fmt: skip
        except AwsFailure as failure:
            if failure.code != "InvalidPermission.Duplicate":
                raise account.told(failure) from failure
            _share(account, region, group, mark, network)


def _share(account: Account, region: str, group: str, mark: dict[str, str], network: str) -> None:
    """Mark a rule that another run has made."""
    for rule in rules(account, region, {"group-id": group}):
        known = tag_dict(rule.get("Tags"))
        alike = (rule.get("CidrIpv4"), rule.get("FromPort"), bool(rule.get("IsEgress"))) == (network, 22, False)
        if alike and not mark.keys() <= known.keys():
            account.call(
                "ec2", region, "create_tags", "a rule's tag", Resources=[rule["SecurityGroupRuleId"]], Tags=tag_list(mark)
            )


def mark_of(label: Label, owner: str, now: float) -> dict[str, str]:
    """The tag that says which attempt needs a rule, whose it is and since when."""
    return {f"{RULE}{label}": f"{owner} {now:.0f}"}


def marks_in(rule: dict[str, Any]) -> Iterator[tuple[Label, str, float]]:
    """Label, owner and time of every attempt that needs a rule."""
    for name, value in tag_dict(rule.get("Tags")).items():
        label = Label.parse(name.removeprefix(RULE)) if name.startswith(RULE) else None
        if label:
            owner, _, since = value.rpartition(" ")
            yield label, owner, float(since) if since.isdigit() else 0.0


def shut_out(account: Account, region: str, label: Label) -> None:
    """Take the label from every rule, and remove those that nobody needs any more."""
    mark = f"{RULE}{label}"
    for rule in rules(account, region, {f"tag:{mark}": "*"}):
        needed = {name for name in tag_dict(rule.get("Tags")) if name.startswith(RULE)} - {mark}
        try:
            if needed:
                account.ask(
                    "ec2", region, "delete_tags", "a rule's tag", Resources=[rule["SecurityGroupRuleId"]], Tags=[{"Key": mark}]
                )
            else:
                account.ask(
                    "ec2", region, "revoke_security_group_ingress", "the removal of a rule", GroupId=rule["GroupId"],
                    SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]],
                )  # fmt: skip
        except AwsFailure as failure:
            if not failure.code.endswith("NotFound"):
                raise account.told(failure) from failure


def rules(account: Account, region: str, wanted: dict[str, str]) -> list[dict[str, Any]]:
    """Rules that match. AWS knows no filter `tag-key` for them; a tag with any value does."""
    found = account.pages("ec2", region, "describe_security_group_rules", "the rules for SSH", Filters=_filters(wanted))
    return [rule for page in found for rule in page["SecurityGroupRules"]]


def _filters(wanted: dict[str, str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in wanted.items()]
