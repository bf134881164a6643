"""What a night is in AWS's words: template, fleet, trigger; pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatcher import paths
from dispatcher.backends.aws.payload import Image, Site, request
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.domain.plan import Offer
from dispatcher.overnight.night import Night

PREFIX = "mlrun-night-"
TARGET = "arn:aws:scheduler:::aws-sdk:ec2:createFleet"
LATEST_SECONDS = 3600
"""How late a trigger may still start a run: then the user's morning has come."""
RETRIES = 10
PRICE_SLACK = 1.05
"""Prices that rose by no more than this between plan and night are paid."""
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
    """The client token, the same for every firing of one moment: however often it fires, one machine is made."""
    return f"{night.label}-{datetime.fromtimestamp(night.due, UTC):%Y-%m-%dT%H:%M:%SZ}"


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
    most = f"{night.max_hourly * PRICE_SLACK:.4f}"
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
    """CreateSchedule's request: once, at its minute, deleting itself."""
    at = datetime.fromtimestamp(night.due, UTC)
    return {
        "Name": trigger_name(night.id),
        "Description": f"mlrun: {night.name}, at most ${night.cost_worst:.2f}; mlrun schedule rm {night.id}",
        "ScheduleExpression": f"at({at:%Y-%m-%dT%H:%M:%S})",
        "ScheduleExpressionTimezone": "UTC",
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


def _override(rung: Rung, number: int, usual: Image, most: str) -> dict[str, Any]:
    found: dict[str, Any] = {"InstanceType": rung.offer.machine, "SubnetId": rung.site.subnet, "Priority": float(number)}
    if rung.image.id != usual.id:
        found["ImageId"] = rung.image.id
    return found | ({"MaxPrice": most} if most else {})
