"""What a night is in AWS's words: template, fleet, trigger; pure."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatcher import paths
from dispatcher.backends.aws.payload import Image, Site, request
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.domain.plan import Offer
from dispatcher.errors import UsageError
from dispatcher.overnight.night import Night

PREFIX = "mlrun-night-"
TARGET = "arn:aws:scheduler:::aws-sdk:ec2:createFleet"
LATEST_SECONDS = 3600
"""How late a trigger may still start a run: then the user's morning has come."""
RETRIES = 10
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
WEEKDAYS = re.compile(r"\*|[0-7A-Za-z]+([,-][0-7A-Za-z]+)*")
MICRO = 10**6
CONTACT_SECONDS = 3600
"""Nobody ever comes to these machines: they have so long to fetch their bundle."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One machine type in one zone, and the image it boots."""

    offer: Offer
    site: Site
    image: Image


def trigger_name(night_id: str) -> str:
    """The trigger's name, and the template's."""
    return PREFIX + night_id


def token_of(night: Night) -> str:
    """The client token of its time."""
    return night.token_at(night.due)


def scheduled_token(night: Night) -> str:
    """The same, as the scheduler fills it in."""
    return f"{night.label}-<aws.scheduler.scheduled-time>"


def user_data(birth: bootstrap.Birth, host_key: tuple[str, str], told: Mapping[str, Any]) -> str:
    """What the machine does at boot, base64: its end is armed first, the job comes last."""
    folder = paths.templates_dir() / "overnight"
    values = {
        "FETCH": (folder / "fetch.py").read_text(encoding="utf-8"),
        "OVER": (folder / "over.service").read_text(encoding="utf-8"),
        "UNIT": (folder / "night.service").read_text(encoding="utf-8"),
        "NIGHT": json.dumps(dict(told)),
    }
    extra = bootstrap.filled((folder / "install.sh").read_text(encoding="utf-8"), values)
    whole = bootstrap.Birth(birth.label, birth.public_key, birth.max_seconds, birth.grace_seconds, CONTACT_SECONDS, extra)
    return base64.b64encode(bootstrap.packed_config(whole, *host_key)).decode()


def template(night: Night, rungs: Sequence[Rung], terms: Terms, tags: dict[str, str], role: str, data: str) -> dict[str, Any]:
    """The launch template: a plain launch without its place, its market and its token."""
    first = rungs[0]
    found = request(first.offer, night.label, terms, first.site, first.image, data, tags, role)
    for name in ("ClientToken", "MinCount", "MaxCount", "InstanceMarketOptions"):
        found.pop(name, None)
    (card,) = found["NetworkInterfaces"]
    card.pop("SubnetId")
    return found


def fleet(night: Night, template_id: str, rungs: Sequence[Rung], token: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """The request for one machine on the first rung that has it, none dearer than the plan's price."""
    most = f"{math.ceil(round(night.max_hourly * MICRO, 3)) / MICRO:.6f}"
    spot = night.market == "spot"
    way = {"AllocationStrategy": "price-capacity-optimized" if spot else "prioritized", "MaxTotalPrice": most}
    rows = [_override(rung, number, rungs[0].image, most if spot else "") for number, rung in enumerate(rungs)]
    spec = {"LaunchTemplateId": template_id, "Version": "1"}
    return {
        "ClientToken": token,
        "Type": "instant",
        "TargetCapacitySpecification": {
            "TotalTargetCapacity": 1,
            "DefaultTargetCapacityType": "spot" if spot else "on-demand",
        },
        "SpotOptions" if spot else "OnDemandOptions": way,
        "LaunchTemplateConfigs": [{"LaunchTemplateSpecification": spec, "Overrides": rows}],
        "TagSpecifications": [
            {"ResourceType": "fleet", "Tags": [{"Key": name, "Value": value} for name, value in tags.items()]}
        ],
    }


def trigger(night: Night, role: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """CreateSchedule's request: once, at its minute, or again and again until its end; it deletes itself."""
    again = {"EndDate": datetime.fromtimestamp(night.until, UTC)} if night.cron and night.until else {}
    return again | {
        "Name": trigger_name(night.id),
        "Description": f"mlrun: {night.name}, at most ${night.cost_worst:.2f}; mlrun schedule rm {night.id}",
        "ScheduleExpression": aws_cron(night.cron) if night.cron else _at(night.due),
        "ScheduleExpressionTimezone": night.zone if night.cron else "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": TARGET,
            "RoleArn": role,
            "Input": json.dumps(dict(asked)),
            "RetryPolicy": {"MaximumEventAgeInSeconds": LATEST_SECONDS, "MaximumRetryAttempts": RETRIES},
        },
        "ClientToken": trigger_name(night.id),
    }


def aws_cron(five: str) -> str:
    """A cron expression as AWS writes it: six fields, days of the week by name. Raises UsageError for what has no equal."""
    fields = five.split()
    if len(fields) != 5 or not WEEKDAYS.fullmatch(fields[4]) or "*" not in (fields[2], fields[4]):
        fix = "Five fields, with days of the month or of the week, not both: 0 1 * * 1-5; or --where local."
        raise UsageError(f"{five!r} cannot be said to AWS.", fix=fix)
    minute, hour, day, month, weekday = fields
    minute, hour, day = minute.replace("*/", "0/"), hour.replace("*/", "0/"), day.replace("*/", "1/")
    named = re.sub(r"\d", lambda one: DAYS[int(one[0]) % 7], weekday)
    day, named = (day, "?") if weekday == "*" else ("?", named)
    return f"cron({minute} {hour} {day} {month} {named} *)"


def _at(moment: float) -> str:
    return f"at({datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S})"


def _override(rung: Rung, number: int, usual: Image, most: str) -> dict[str, Any]:
    found: dict[str, Any] = {"InstanceType": rung.offer.machine, "SubnetId": rung.site.subnet, "Priority": float(number)}
    if rung.image.id != usual.id:
        found["ImageId"] = rung.image.id
    return found | ({"MaxPrice": most} if most else {})
