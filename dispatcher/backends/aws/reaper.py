"""Ends overdue machines from within the account, also where they hang."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from dispatcher import paths
from dispatcher.backends.aws import ends, roles
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.cloud.standing import Standing
from dispatcher.retries import Clock, Policy, SystemClock, wait_until

NAME, CLOCK = "mlrun-reaper", "mlrun-reaper-clock"
"""The function, its role and its schedule; the role in whose name the schedule calls it."""
EVERY = "rate(10 minutes)"
POLICY = "mlrun"
ABOUT = "mlrun: ends machines whose time is over; mlrun setup aws --reaper --remove"
GONE = ("NoSuchEntity", "ResourceNotFoundException")
THERE = ("EntityAlreadyExists", "ResourceConflictException", "ConflictException")
NOT_YET = ("InvalidParameterValueException", "ValidationException")
"""What services answer that do not know a new role yet."""
ROLES_SETTLE = Policy(first=2.0, longest=8.0, patience=60.0)
MADE = (("role", NAME), ("function", NAME), ("role", CLOCK), ("schedule", NAME), ("role", ends.ROLE))
REMOVALS = (
    ("schedule", "scheduler", "delete_schedule", {"Name": NAME}),
    ("function", "lambda", "delete_function", {"FunctionName": NAME}),
)


def armed(account: Account) -> bool:
    """Whether it is there and at work; what may not be asked is not claimed."""
    try:
        schedule = account.ask("scheduler", HOME, "get_schedule", "the reaper's schedule", Name=NAME)
        function = account.ask("lambda", HOME, "get_function_configuration", "the reaper", FunctionName=NAME)
    except AwsFailure:
        return False
    return bool(schedule.get("State") == "ENABLED" and function.get("State", "Active") != "Failed")


def make(account: Account, clock: Clock | None = None) -> list[Standing]:
    """Have the function, its two roles and its schedule, and the role of each machine's own schedule."""
    number = account.identity()["Account"]
    clock = clock or SystemClock()
    _role(account, NAME, "lambda.amazonaws.com", function_policy(number))
    _once_known(lambda: _function(account, number), clock)
    only_here = {"StringEquals": {"aws:SourceAccount": number}}
    _role(account, CLOCK, "scheduler.amazonaws.com", clock_policy(number), only_here)
    _once_known(lambda: _schedule(account, number), clock)
    ends.make(account)
    return [Standing(kind, name, HOME) for kind, name in MADE]


def remove(account: Account) -> list[Standing]:
    """Take all of it back; what was there."""
    found = []
    for kind, service, action, asked in REMOVALS:
        if _gone(account, service, action, asked):
            found.append(Standing(kind, NAME, HOME))
    for name in (CLOCK, NAME):
        _gone(account, "iam", "delete_role_policy", {"RoleName": name, "PolicyName": POLICY})
        if _gone(account, "iam", "delete_role", {"RoleName": name}):
            found.append(Standing("role", name, HOME))
    return found + [Standing("role", name, HOME) for name in ends.remove(account, unless=roles.SCHEDULER)]


def function_policy(number: str) -> dict[str, Any]:
    """See machines everywhere; end those that carry their own limit, and nothing else."""
    look = {"Effect": "Allow", "Action": ["ec2:DescribeInstances", "ec2:DescribeRegions"], "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [look, ends.may_end(number)]}


def clock_policy(number: str) -> dict[str, Any]:
    """Call that one function."""
    call = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": _arn(number)}
    return {"Version": "2012-10-17", "Statement": [call]}


def code() -> bytes:
    """The function as Lambda takes it: the same bytes every time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo("reaper.py", (2026, 1, 1, 0, 0, 0))
        member.external_attr = 0o644 << 16
        archive.writestr(member, (paths.templates_dir() / "aws" / "reaper.py").read_text(encoding="utf-8"))
    return packed.getvalue()


def _function(account: Account, number: str) -> None:
    asked: dict[str, Any] = {
        "FunctionName": NAME, "Role": f"arn:aws:iam::{number}:role/{NAME}", "Runtime": "python3.12",
        "Handler": "reaper.handler",
        "Code": {"ZipFile": code()}, "Description": ABOUT, "Timeout": 300, "MemorySize": 256, "Tags": {"mlrun-kind": "reaper"},
    }  # fmt: skip
    try:
        account.ask("lambda", HOME, "create_function", "the reaper", **asked)
    except AwsFailure as failure:
        if failure.code not in THERE:
            raise
        account.ask("lambda", HOME, "update_function_code", "the reaper", FunctionName=NAME, ZipFile=code())


def _schedule(account: Account, number: str) -> None:
    asked: dict[str, Any] = {
        "Name": NAME, "ScheduleExpression": EVERY, "FlexibleTimeWindow": {"Mode": "OFF"}, "State": "ENABLED",
        "Description": ABOUT,
        "Target": {"Arn": _arn(number), "RoleArn": f"arn:aws:iam::{number}:role/{CLOCK}"},
    }  # fmt: skip
    try:
        account.ask("scheduler", HOME, "create_schedule", "the reaper's schedule", **asked)
    except AwsFailure as failure:
        if failure.code not in THERE:
            raise
        account.ask("scheduler", HOME, "update_schedule", "the reaper's schedule", **asked)


def _role(account: Account, name: str, service: str, policy: dict[str, Any], only: dict[str, Any] | None = None) -> None:
    may: dict[str, Any] = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [may | ({"Condition": only} if only else {})]}
    asked: dict[str, Any] = {
        "RoleName": name,
        "AssumeRolePolicyDocument": json.dumps(trust),
        "Description": "mlrun: ends overdue machines",
    }
    try:
        account.ask("iam", HOME, "create_role", "a role", **asked)
    except AwsFailure as failure:
        if failure.code not in THERE:
            raise account.told(failure) from failure
    account.call(
        "iam", HOME, "put_role_policy", "a role's policy",
        RoleName=name, PolicyName=POLICY, PolicyDocument=json.dumps(policy),
    )  # fmt: skip


def _once_known(make_it: Any, clock: Clock) -> None:
    """Do what needs a role that was made a moment ago: other services learn of it within seconds."""
    last: list[AwsFailure] = []

    def attempt() -> bool | None:
        try:
            make_it()
        except AwsFailure as failure:
            if failure.code not in NOT_YET or "role" not in failure.said.lower():
                raise failure.told() from failure
            last.append(failure)
            return None
        return True

    if wait_until(attempt, ROLES_SETTLE, clock) is None:
        raise last[-1].told() from last[-1]


def _gone(account: Account, service: str, action: str, asked: dict[str, Any]) -> bool:
    """Whether it was there."""
    try:
        account.ask(service, HOME, action, "the reaper's removal", **asked)
    except AwsFailure as failure:
        if failure.code not in GONE:
            raise account.told(failure) from failure
        return False
    return True


def _arn(number: str) -> str:
    return f"arn:aws:lambda:{HOME}:{number}:function:{NAME}"
