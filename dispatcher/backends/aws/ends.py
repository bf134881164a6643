"""One schedule per machine that ends it at its limit, from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from dispatcher.backends.aws import roles
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.payload import tag_dict
from dispatcher.backends.base import Leftover, ProvisionedMachine
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.tags import CLIENT, MAX_SECONDS, OWNER
from dispatcher.domain.run import Label
from dispatcher.errors import MlrunError

ROLE = "mlrun-end"
"""In whose name the schedules act: `setup aws --reaper` and `--overnight` make it."""
PREFIX = "mlrun-end-"
TARGET = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
SLACK_SECONDS = 120
"""The machine's own timers come first."""
GONE, DENIED = "ResourceNotFoundException", ("AccessDenied", "AccessDeniedException")


def there(account: Account) -> bool:
    """Whether machines may have such a schedule; what may not be asked is a no."""
    try:
        account.ask("iam", HOME, "get_role", "the role of the schedules that end machines", RoleName=ROLE)
    except AwsFailure:
        return False
    return True


def lacking(account: Account) -> list[str]:
    """The role, where it is not there."""
    return [] if roles.there(account, ROLE) else [ROLE]


def make(account: Account) -> list[str]:
    """Have the role, as this version wants it; its name where it was made now."""
    made = lacking(account)
    number = account.identity()["Account"]
    only_here = {"StringEquals": {"aws:SourceAccount": number}}
    policy = {"Version": "2012-10-17", "Statement": [may_end(number)]}
    roles.have(account, ROLE, roles.trust("scheduler.amazonaws.com", only_here), policy, "mlrun: ends machines at their limit")
    return made


def remove(account: Account, *, unless: str) -> list[str]:
    """Take the role back, unless another one of ours is there that came with it; its name where it is gone now."""
    if roles.there(account, unless) or not roles.there(account, ROLE):
        return []
    roles.drop(account, ROLE)
    return [ROLE]


def may_end(number: str) -> dict[str, Any]:
    """End machines that carry their own limit, and nothing else."""
    return {
        "Effect": "Allow",
        "Action": "ec2:TerminateInstances",
        "Resource": f"arn:aws:ec2:*:{number}:instance/*",
        "Condition": {"Null": {f"aws:ResourceTag/{MAX_SECONDS}": "false"}},
    }


def guard(account: Account, keyring: Keyring, machine: ProvisionedMachine) -> str:
    """Have AWS end a machine that was made here at its limit. Why that could not be arranged; "" where it is."""
    launch = keyring.launch()
    if launch is None or launch.get("over") or launch.get("guard") == "armed":
        return ""
    tags = tag_dict(launch["request"]["TagSpecifications"][0]["Tags"])
    at = float(machine.details["launched"]) + int(tags[MAX_SECONDS]) + SLACK_SECONDS
    marks = {name: tags[name] for name in (OWNER, CLIENT, MAX_SECONDS) if name in tags}
    keyring.note(launch | {"guard": "asked"})
    try:
        _arm(account, str(machine.region), machine, at, marks)
    except AwsFailure as failure:
        return account.told(failure).message
    except MlrunError as error:
        return error.message
    keyring.note(launch | {"guard": "armed"})
    return ""


def _arm(account: Account, region: str, machine: ProvisionedMachine, at: float, marks: dict[str, str]) -> None:
    name = f"{PREFIX}{machine.label}"
    asked: dict[str, Any] = {
        "Name": name, "ScheduleExpression": f"at({datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S})",
        "ScheduleExpressionTimezone": "UTC", "FlexibleTimeWindow": {"Mode": "OFF"}, "ActionAfterCompletion": "DELETE",
        "Description": json.dumps(marks), "ClientToken": name,
        "Target": {
            "Arn": TARGET,
            "RoleArn": f"arn:aws:iam::{account.identity()['Account']}:role/{ROLE}",
            "Input": json.dumps({"InstanceIds": [machine.details["id"]]}),
        },
    }  # fmt: skip
    try:
        account.ask("scheduler", region, "create_schedule", "a schedule that ends the machine", **asked)
    except AwsFailure as failure:
        if failure.code != "ConflictException":  # it was armed before
            raise


def disarm(account: Account, region: str, label: Label) -> None:
    """Take a label's schedule back. Who may not is left with one that ends nothing any more, and goes at its own time."""
    try:
        account.ask("scheduler", region, "delete_schedule", "the end of a schedule", Name=f"{PREFIX}{label}")
    except AwsFailure as failure:
        if failure.code not in (GONE, *DENIED):
            raise account.told(failure) from failure


def leftovers(account: Account, region: str, now: float) -> Iterator[Leftover]:
    """Schedules of a region; whoever may not list them has made none."""
    try:
        for page in account.ask_pages("scheduler", region, "list_schedules", "the schedules", NamePrefix=PREFIX):
            for one in page["Schedules"]:
                if label := Label.parse(str(one["Name"]).removeprefix(PREFIX)):
                    age = max(0.0, now - one["CreationDate"].timestamp())
                    marks = _marks(account, region, one["Name"])
                    yield Leftover("aws", "schedule", one["Name"], label, marks.get(OWNER, ""), region, age, 0.0, marks)
    except AwsFailure as failure:
        if failure.code not in DENIED:
            raise account.told(failure) from failure


def _marks(account: Account, region: str, name: str) -> dict[str, str]:
    """Whose it is: schedules have no tags."""
    try:
        found = account.ask("scheduler", region, "get_schedule", "a schedule", Name=name)
        told = json.loads(found.get("Description", ""))
    except AwsFailure as failure:
        if failure.code == GONE:
            return {}
        raise
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in told.items()} if isinstance(told, dict) else {}
