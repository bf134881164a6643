"""EventBridge Scheduler: moto keeps the schedules, this fires them by the lab's clock."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from tests.lab.clock import Timer
from tests.lab.ec2 import iam, protocol
from tests.lab.ec2.answering import Answering, Call, Dropped
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.people import policies_of
from tests.lab.ec2.state import ACCOUNT, Principal

UNIVERSAL = re.compile(r"arn:aws:scheduler:::aws-sdk:(\w+):(\w+)")
READS = ("get", "describe", "list", "head", "search", "query", "scan", "select", "transact", "batchget")
"""Universal targets are not for calls that only read."""
FIRE = "FireSchedule"
"""The action by which faults name a firing: drop_before never fires, late fires later, drop_after fires twice."""
UNITS = {"minute": 60, "hour": 3600, "day": 86400}
Target = Callable[[Answering, Principal, str, Mapping[str, Any]], None]
TARGETS: dict[str, Target] = {}
"""By how their ARN begins: (answering, role, region, target with its Input filled in). Raises AwsError or Dropped."""


class Schedules:
    """Armed as they are made and changed, disarmed as they go."""

    def __init__(self, answering: Answering) -> None:
        self.lab = answering
        self._armed: dict[tuple[str, str, str], Timer] = {}

    def forget(self) -> None:
        for timer in self._armed.values():
            timer.cancel()
        self._armed.clear()

    def check(self, call: Call) -> None:
        """What moto does not look at. Raises AwsError."""
        if call.name not in {"CreateSchedule", "UpdateSchedule"}:
            return
        asked = call.parameters
        try:
            _next(asked["ScheduleExpression"], asked.get("ScheduleExpressionTimezone"), self.lab.world.now())
        except (ValueError, KeyError) as error:
            raise AwsError("ValidationException", f"Invalid Schedule Expression {error}.") from None
        target = asked["Target"]
        arn = _arn(call.region, asked.get("GroupName"), asked["Name"])
        if self._role(target["RoleArn"], arn) is None:
            said = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            raise AwsError("ValidationException", said)
        named = UNIVERSAL.fullmatch(target["Arn"])
        if named and named[2].lower().startswith(READS):
            raise AwsError("ValidationException", f"{named[2]} is not a supported API for EventBridge Scheduler.")

    def changed(self, call: Call) -> None:
        """After moto has made, changed or deleted one."""
        if call.name not in {"CreateSchedule", "UpdateSchedule", "DeleteSchedule"}:
            return
        key = (call.region, call.parameters.get("GroupName") or "default", call.parameters["Name"])
        if timer := self._armed.pop(key, None):
            timer.cancel()
        if call.name != "DeleteSchedule":
            self._arm(key, self.lab.world.now() - 1.0)

    def fire(self, name: str) -> None:
        """As though its time had come: now."""
        key = next((one for one in self._armed if one[2] == name), None)
        if key is None:
            raise ValueError(f"there is no schedule {name}; there are: {', '.join(one[2] for one in self._armed) or 'none'}")
        self._armed.pop(key).cancel()
        self._due(key, self._moment(key, self.lab.world.now() - 1.0) or self.lab.world.now())

    def names(self) -> list[str]:
        """Of all that are to fire."""
        return sorted(one[2] for one in self._armed)

    def _arm(self, key: tuple[str, str, str], after: float) -> None:
        at = self._moment(key, after)
        if at is not None:
            wait = max(at - self.lab.world.now(), 0.001)
            self._armed[key] = self.lab.world.clock.later(wait, lambda: self._due(key, at))

    def _moment(self, key: tuple[str, str, str], after: float) -> float | None:
        kept = _kept(key)
        if kept is None or kept.state != "ENABLED":
            return None
        at = _next(kept.schedule_expression, kept.schedule_expression_timezone, after)
        return None if at is None or (kept.end_date and at > float(kept.end_date)) else at

    def _due(self, key: tuple[str, str, str], at: float) -> None:
        self._armed.pop(key, None)
        if _kept(key) is None:
            return
        fault = self.lab.faults.take(FIRE, {"region": key[0], "Name": key[2]})
        if fault and fault.when == "drop_before":
            self._note(key, at, "lost")
            self._armed[key] = self.lab.world.clock.later(1e9, lambda: None)
            return
        if fault and fault.when == "late":
            self._armed[key] = self.lab.world.clock.later(fault.seconds, lambda: self._attempt(key, at, 1))
            return
        self._attempt(key, at, 1, twice=bool(fault and fault.when == "drop_after"))

    def _attempt(self, key: tuple[str, str, str], at: float, number: int, *, twice: bool = False) -> None:
        kept = _kept(key)
        if kept is None:
            return
        outcome = self._carried_out(kept, key[0], at, number)
        self._note(key, at, "lost" if twice else outcome)
        policy, now = kept.target.get("RetryPolicy", {}), self.lab.world.now()
        again = twice or outcome not in {"ok", "AccessDenied", "UnauthorizedOperation", "AccessDeniedException"}
        in_time = now - at < policy.get("MaximumEventAgeInSeconds", 86400)
        if again and number <= policy.get("MaximumRetryAttempts", 185) and in_time:
            wait = self.lab.world.settings.retry
            self._armed[key] = self.lab.world.clock.later(wait, lambda: self._attempt(key, at, number + 1))
            return
        self._completed(key, kept, at)

    def _completed(self, key: tuple[str, str, str], kept: Any, at: float) -> None:
        self._armed.pop(key, None)
        if not kept.schedule_expression.startswith("at("):
            self._arm(key, at)
        elif kept.action_after_completion == "DELETE":
            _group(key).schedules.pop(key[2], None)

    def _carried_out(self, kept: Any, region: str, at: float, number: int) -> str:
        filled = _filled(kept.target.get("Input", "{}"), kept.arn, at, number)
        target = {**kept.target, "Input": filled}
        role = self._role(target["RoleArn"], kept.arn)
        act = next((act for start, act in TARGETS.items() if target["Arn"].startswith(start)), None)
        if role is None or act is None:
            return "AccessDenied" if role is None else "ResourceNotFoundException"
        try:
            act(self.lab, role, region, target)
        except AwsError as error:
            return error.code
        except Dropped:
            return "lost"
        return "ok"

    def _note(self, key: tuple[str, str, str], at: float, outcome: str) -> None:
        self.lab.world.bill.called("aws", FIRE, {"region": key[0], "Name": key[2], "at": at}, outcome)

    def _role(self, arn: str, schedule: str) -> Principal | None:
        """Who a schedule acts as; None where the role is not there, or does not trust the scheduler."""
        from moto.iam.models import iam_backends

        role = next((one for one in iam_backends[ACCOUNT]["aws"].roles.values() if one.arn == arn), None)
        if role is None or not _trusted(json.loads(role.assume_role_policy_document), schedule):
            return None
        acting = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.name}/scheduler"
        return Principal(role.name, f"{role.id}:scheduler", acting, policies=policies_of(role))


def universal(lab: Answering, role: Principal, region: str, target: Mapping[str, Any]) -> None:
    """Any call of a service that the lab answers itself."""
    named = UNIVERSAL.fullmatch(target["Arn"])
    if named is None or named[1] not in protocol.SERVICES:
        raise AwsError("ResourceNotFoundException", f"The lab has no target {target['Arn']}")
    action = named[2][0].upper() + named[2][1:]
    lab.act(role, named[1], action, region, json.loads(target["Input"]))


TARGETS["arn:aws:scheduler:::aws-sdk:"] = universal


def _trusted(document: Mapping[str, Any], schedule: str) -> bool:
    keys = {"aws:sourceaccount": [ACCOUNT], "aws:sourcearn": [schedule]}
    for statement in document.get("Statement", []):
        services = statement.get("Principal", {}).get("Service", [])
        named = "scheduler.amazonaws.com" in ([services] if isinstance(services, str) else services)
        plain = {"Effect": statement["Effect"], "Action": statement["Action"], "Resource": "*"}
        plain |= {"Condition": statement["Condition"]} if "Condition" in statement else {}
        if named and iam.judge([{"Statement": [plain]}], iam.Need("sts:AssumeRole", "*", keys)).allowed:
            return True
    return False


def _group(key: tuple[str, str, str]) -> Any:
    from moto.scheduler.models import scheduler_backends

    return scheduler_backends[ACCOUNT][key[0]].schedule_groups[key[1]]


def _kept(key: tuple[str, str, str]) -> Any:
    try:
        return _group(key).schedules.get(key[2])
    except KeyError:
        return None


def _arn(region: str, group: str | None, name: str) -> str:
    return f"arn:aws:scheduler:{region}:{ACCOUNT}:schedule/{group or 'default'}/{name}"


def _filled(text: str, arn: str, at: float, number: int) -> str:
    when = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = {"schedule-arn": arn, "scheduled-time": when, "execution-id": f"{when}-{number}", "attempt-number": str(number)}
    for name, value in known.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _next(expression: str, zone: str | None, after: float) -> float | None:
    """The next time after `after`; None where there is none. Raises ValueError for what AWS would not take."""
    found = re.fullmatch(r"(at|rate|cron)\((.+)\)", expression)
    if not found:
        raise ValueError(expression)
    kind, said = found.groups()
    here = ZoneInfo(zone or "UTC")
    if kind == "at":
        at = dt.datetime.strptime(said, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=here).timestamp()
        return at if at > after else max(at, after)
    if kind == "rate":
        number, unit = said.split()
        return after + int(number) * UNITS[unit.removesuffix("s")]
    minute, hour, day, month, weekday, _year = said.split()
    if "?" not in (day, weekday):
        raise ValueError(expression)
    shifted = re.sub(r"(?<![#\w])[1-7]", lambda one: str(int(one[0]) - 1), weekday)
    fields = (minute, hour, day, month, shifted)
    spelled = " ".join("*" if one == "?" else one for one in fields)
    return next(CronSim(spelled, dt.datetime.fromtimestamp(after, here))).timestamp()
