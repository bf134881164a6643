"""What an account needs once, made and removed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dispatcher import paths
from dispatcher.backends.aws import ends, reaper, roles
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.inventory import everywhere
from dispatcher.backends.aws.network import GROUP, KIND, grouped, site_for
from dispatcher.backends.cloud.standing import Standing
from dispatcher.errors import CloudRefused

OURS = (*roles.EVERY, ends.ROLE, reaper.NAME, reaper.CLOCK)
"""Roles, by name; those of `setup aws --results` have names of their own beside these."""


def policy(name: str = "policy") -> str:
    """The least that a user must be allowed, as IAM takes it; `overnight` and `schedules`: what these need beside it."""
    return (paths.templates_dir() / "aws" / f"{name}.json").read_text(encoding="utf-8")


def missing(account: Account, region: str, subnet: str | None) -> str:
    """What a region lacks before a run can be there: "network", "group" or ""."""
    try:
        site = site_for(account, region, None, subnet)
    except CloudRefused:
        return "network"
    return "" if any(one["VpcId"] == site.vpc for one in _groups(account, region)) else "group"


def make(account: Account, region: str, subnet: str | None) -> list[Standing]:
    """Make the default network where there is none, and the group that lets nobody in by itself."""
    made = []
    if missing(account, region, subnet) == "network":
        found = account.call("ec2", region, "create_default_vpc", "a default network")["Vpc"]
        made.append(Standing("network", str(found["VpcId"]), region))
    site = grouped(account, site_for(account, region, None, subnet), account.identity()["UserId"])
    return [*made, Standing("group", site.group, region)]


def standing(account: Account, regions: Iterable[str]) -> Iterator[Standing]:
    """Every group of ours."""

    def look(region: str) -> Iterable[Standing]:
        return [Standing("group", str(one["GroupId"]), region) for one in _groups(account, region)]

    return everywhere(regions, look)


def remove(account: Account, one: Standing) -> bool:
    """Delete a group; False while machines still use it."""
    try:
        account.ask("ec2", one.region, "delete_security_group", "the removal of a group", GroupId=one.id)
    except AwsFailure as failure:
        if failure.code == "DependencyViolation":
            return False
        if not failure.code.endswith("NotFound"):
            raise account.told(failure) from failure
    return True


def others(account: Account) -> list[tuple[Standing, str]]:
    """Roles and buckets of ours, and the command that takes each back. Raises where this login may not look."""
    look = (
        ("role", "iam", "list_roles", "Roles", "RoleName"),
        ("profile", "iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    )
    found: list[Standing] = []
    try:
        for kind, service, action, rows, name in look:
            for page in account.ask_pages(service, HOME, action, f"the list of {kind}s"):
                names = [str(one[name]) for one in page[rows]]
                found += [Standing(kind, one, HOME) for one in names if _ours(one) and one not in {role.id for role in found}]
        start = f"mlrun-{account.identity()['Account']}-"
        buckets = account.ask("s3", HOME, "list_buckets", "the list of buckets")["Buckets"]
    except AwsFailure as failure:
        raise account.told(failure) from failure
    found += [
        Standing("bucket", one["Name"], one["Name"].removeprefix(start)) for one in buckets if one["Name"].startswith(start)
    ]
    return [(one, _taken_back(one.id)) for one in found]


def _ours(name: str) -> bool:
    return name in OURS or name.startswith(f"{roles.KEEPER}-")


def _taken_back(name: str) -> str:
    if name.startswith(f"{roles.KEEPER}-"):
        return "mlrun setup aws --results s3://BUCKET/FOLDER --remove"
    return f"mlrun setup aws {'--reaper' if name in (reaper.NAME, reaper.CLOCK) else '--overnight'} --remove"


def _groups(account: Account, region: str) -> list[dict[str, Any]]:
    asked = [{"Name": f"tag:{KIND}", "Values": ["ingress"]}, {"Name": "group-name", "Values": [GROUP]}]
    found = account.call("ec2", region, "describe_security_groups", "the security groups", Filters=asked)
    return list(found["SecurityGroups"])
