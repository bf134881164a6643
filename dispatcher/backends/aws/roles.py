"""Roles: of nights' machines, of their scheduler, of machines that keep results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.cloud.tags import OWNER
from dispatcher.errors import CloudRefused

MACHINE, SCHEDULER, KEEPER = "mlrun-night", "mlrun-scheduler", "mlrun-results"
BORNE = (MACHINE, KEEPER)
"""Machines bear them."""
EVERY = (MACHINE, SCHEDULER, KEEPER)
POLICY = "mlrun"
SECRETS = "/mlrun/"
"""Where in the parameter store secrets stand that machines may read."""
ABOUT = "mlrun: runs that start while no computer of yours is on"
KEEPS = "mlrun: machines keep their results here"
MISSING = "NoSuchEntity"
SPOT = "spot.amazonaws.com"
"""AWS's own role for spot machines, without which the first one of an account is refused; it stays, as others may use it."""


def lacking(account: Account, names: Sequence[str] = (MACHINE, SCHEDULER)) -> list[str]:
    """Those of the roles that are not there; nights need the first two."""
    return [name for name in names if not there(account, name)]


def machine_role_id(account: Account, name: str = MACHINE, fix: str = "mlrun setup aws --overnight") -> str:
    """How the bucket knows machines with the role: their names begin so. Raises CloudRefused where there is no role."""
    found = _role(account, name)
    if found is None:
        raise CloudRefused(f"The account has no role {name}", fix=fix)
    return str(found["RoleId"])


def scheduler_arn(account: Account) -> str:
    """The role in whose name triggers act."""
    return f"arn:aws:iam::{account.identity()['Account']}:role/{SCHEDULER}"


def make(account: Account) -> list[str]:
    """Have all three roles, each with what it must be allowed; those that were made now."""
    number = account.identity()["Account"]
    made = lacking(account, EVERY)
    have(account, MACHINE, trust("ec2.amazonaws.com"), machine_policy(number), ABOUT)
    have(account, KEEPER, trust("ec2.amazonaws.com"), keeper_policy(number), KEEPS)
    only_here = {"StringEquals": {"aws:SourceAccount": number}}
    have(account, SCHEDULER, trust("scheduler.amazonaws.com", only_here), scheduler_policy(number), ABOUT)
    for name in BORNE:
        have_profile(account, name)
    _quietly(account, "create_service_linked_role", "InvalidInput", "EntityAlreadyExists", AWSServiceName=SPOT)
    return made


def remove(account: Account) -> list[str]:
    """Take them back; those that were there."""
    found = [name for name in EVERY if there(account, name)]
    for name in BORNE:
        drop_profile(account, name)
    for name in EVERY:
        drop(account, name)
    return found


def have_profile(account: Account, name: str) -> None:
    """Have machines able to bear a role."""
    _quietly(account, "create_instance_profile", "EntityAlreadyExists", InstanceProfileName=name)
    _quietly(account, "add_role_to_instance_profile", "LimitExceeded", InstanceProfileName=name, RoleName=name)


def drop_profile(account: Account, name: str) -> None:
    """No machine bears the role any more."""
    _quietly(account, "remove_role_from_instance_profile", MISSING, InstanceProfileName=name, RoleName=name)
    _quietly(account, "delete_instance_profile", MISSING, InstanceProfileName=name)


def machine_policy(number: str) -> dict[str, Any]:
    """Read a bundle whose name it knows; write only below its own name; read secrets that were put there for machines."""
    read = _allow("ReadABundle", ["s3:GetObject"], f"arn:aws:s3:::mlrun-{number}-*/bundles/*")
    secrets = _allow("ReadSecrets", ["ssm:GetParameter"], f"arn:aws:ssm:*:{number}:parameter{SECRETS}*")
    return {"Version": "2012-10-17", "Statement": [read, _writes(number), secrets]}


def keeper_policy(number: str) -> dict[str, Any]:
    """Write only below its own name, in the buckets that nights have too: it reads nothing, and knows no secret."""
    return {"Version": "2012-10-17", "Statement": [_writes(number)]}


def _writes(number: str) -> dict[str, Any]:
    return _allow("WriteBelowItsOwnName", ["s3:PutObject"], f"arn:aws:s3:::mlrun-{number}-*/out/*/${{aws:userid}}/*")


def scheduler_policy(number: str) -> dict[str, Any]:
    """Launch, by a fleet, machines that carry an owner and need a token for their metadata; pass them their role."""
    owned = {"Null": {f"aws:RequestTag/{OWNER}": "false"}}
    sealed = {"StringEquals": {"ec2:MetadataHttpTokens": "required"}}
    passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    ec2 = "arn:aws:ec2:*:"
    made = ("network-interface/*", "spot-instances-request/*", "volume/*")
    used = (f"{ec2}:image/*", *(f"{ec2}{number}:{kind}/*" for kind in ("subnet", "security-group", "launch-template")))
    creates = {"StringEquals": {"ec2:CreateAction": ["CreateFleet", "RunInstances"]}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Fleets", ["ec2:CreateFleet"], [f"{ec2}{number}:fleet/*", f"{ec2}{number}:launch-template/*"]),
            _allow("Machines", ["ec2:RunInstances"], f"{ec2}{number}:instance/*", owned | sealed),
            _allow("WhatTheyAreMadeWith", ["ec2:RunInstances"], [f"{ec2}{number}:{kind}" for kind in made], owned),
            _allow("WhatTheyUse", ["ec2:RunInstances"], list(used)),
            _allow("Tags", ["ec2:CreateTags"], f"{ec2}{number}:*/*", creates),
            _allow("TheirRole", ["iam:PassRole"], f"arn:aws:iam::{number}:role/{MACHINE}", passed),
        ],
    }


def _allow(sid: str, actions: list[str], resource: str | list[str], condition: dict[str, Any] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return found | ({"Condition": condition} if condition else {})


def trust(service: str, condition: dict[str, Any] | None = None) -> dict[str, Any]:
    """Let a service act in a role's name."""
    may: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [may | ({"Condition": condition} if condition else {})]}


def there(account: Account, name: str) -> bool:
    """Whether the account has a role of this name."""
    return _role(account, name) is not None


def drop(account: Account, name: str) -> None:
    """Remove a role of ours, if it is there."""
    _quietly(account, "delete_role_policy", MISSING, RoleName=name, PolicyName=POLICY)
    _quietly(account, "delete_role", MISSING, RoleName=name)


def have(account: Account, name: str, trusted: dict[str, Any], policy: dict[str, Any], about: str) -> None:
    """Have a role that does what its policy says, for those whom it trusts."""
    asked = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(trusted), "Description": about}
    _quietly(account, "create_role", "EntityAlreadyExists", **asked)
    account.call(
        "iam", HOME, "put_role_policy", "a role's policy",
        RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy),
    )  # fmt: skip


def _role(account: Account, name: str) -> dict[str, Any] | None:
    try:
        return dict(account.ask("iam", HOME, "get_role", "a role", RoleName=name)["Role"])
    except AwsFailure as failure:
        if failure.code == MISSING:
            return None
        raise account.told(failure) from failure


def _quietly(account: Account, action: str, *fine: str, **parameters: Any) -> None:
    try:
        account.ask("iam", HOME, action, "a role", **parameters)
    except AwsFailure as failure:
        if failure.code not in fine:
            raise account.told(failure) from failure
