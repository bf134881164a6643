"""What a night is in Google's words: names, times, the trigger; pure."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dispatcher import paths
from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.gcp.payload import Image, Site, request_id
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.overnight.night import Night
from dispatcher.scheduling.cron import next_firing

PREFIX = "mlrun-night-"
HOME = "us-central1"
"""Where all triggers stand, wherever their machines will: one list shows them, and not every region has Cloud Scheduler."""
JOBS = "https://cloudscheduler.googleapis.com/v1/projects/{project}/locations/" + HOME + "/jobs"
INSERT = "https://compute.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GAP_SECONDS = 300
"""From one rung of the ladder to the next: so long a machine has to boot and take the triggers of the others away."""
MOST_RUNGS = 6
RETRIES = 3
LATEST_SECONDS = 3600.0
CONTACT_SECONDS = 3600
"""Nobody ever comes to these machines: they have so long to fetch their bundle."""
LARGEST_SCRIPT = 256 * 1024
"""Bytes that a value of the metadata may have."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One machine type in one zone, and the image it boots."""

    offer: Offer
    site: Site
    image: Image

    @property
    def name(self) -> str:
        """As the night's record tells it."""
        return f"{self.site.zone}/{self.offer.machine}"


def trigger_name(night_id: str, number: int = 0) -> str:
    """The name of a rung's trigger."""
    return f"{PREFIX}{night_id}" + (f"-{number + 1}" if number else "")


def night_of(name: str) -> str:
    """The night that a trigger belongs to; "" where it is none of ours."""
    return name.removeprefix(PREFIX).partition("-")[0] if name.startswith(PREFIX) else ""


def on_the_minute(moment: float) -> float:
    """Cloud Scheduler knows no seconds: never before the time that was said."""
    return math.ceil(moment / 60) * 60.0


def times(night: Night) -> list[int]:
    """Of one that comes again, all of them; none of one that comes once."""
    found: list[int] = []
    moment = night.moment
    while night.cron and moment.timestamp() <= (night.until or night.due):
        found.append(int(moment.timestamp()))
        moment = next_firing(night.cron, moment)
    return found


def identity(label: Label, rung: Rung, night: Night) -> str:
    """The id of a rung's request: however often the trigger fires, one machine. One that comes again has none."""
    return "" if night.cron else request_id(label, rung.name)


def schedule(night: Night, number: int) -> dict[str, str]:
    """When a rung's trigger fires: a date of every year, as there is no once; or again and again."""
    if night.cron:
        return {"schedule": night.cron, "timeZone": night.zone}
    at = datetime.fromtimestamp(night.due + number * GAP_SECONDS, UTC)
    return {"schedule": f"{at.minute} {at.hour} {at.day} {at.month} *", "timeZone": "Etc/UTC"}


def trigger(night: Night, project: str, rung: Rung, number: int, body: Mapping[str, Any], account: str) -> dict[str, Any]:
    """jobs.create's request: an insert of the rung's machine, in the name of the scheduler's account."""
    uri = INSERT.format(project=project, zone=rung.site.zone)
    if known := identity(night.label, rung, night):
        uri += f"?requestId={known}"
    name = JOBS.format(project=project).partition("/v1/")[2]
    return schedule(night, number) | {
        "name": f"{name}/{trigger_name(night.id, number)}",
        "description": f"mlrun: {night.name}, at most ${night.cost_worst:.2f}; mlrun schedule rm {night.id}",
        "attemptDeadline": "60s",
        "retryConfig": {"retryCount": 0 if night.cron else RETRIES, "maxRetryDuration": "0s", "minBackoffDuration": "20s"},
        "httpTarget": {
            "uri": uri,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps(dict(body)).encode()).decode(),
            "oauthToken": {"serviceAccountEmail": account, "scope": SCOPE},
        },
    }


def startup(birth: bootstrap.Birth, compute: str, told: Mapping[str, Any]) -> str:
    """What the machine does at boot: its end is armed first, the job comes last. Raises HostError where it is too large."""
    folder = paths.templates_dir() / "overnight"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    values = {
        "FETCH": read("fetch.py"),
        "GCP": read("gcp.py"),
        "OVER": read("over.service"),
        "UNIT": read("night.service").replace("/fetch.py", "/gcp.py"),
        "NIGHT": json.dumps(dict(told)),
    }
    extra = bootstrap.filled(read("install-gcp.sh") + read("install.sh"), values)
    whole = bootstrap.Birth(birth.label, birth.public_key, birth.max_seconds, birth.grace_seconds, CONTACT_SECONDS, extra)
    script = bootstrap.script(whole, bootstrap.filled(bootstrap.template("delete-self.sh"), {"COMPUTE": compute}))
    if len(script.encode()) > LARGEST_SCRIPT:
        raise HostError(f"The machine's script has {len(script.encode())} bytes; Google takes {LARGEST_SCRIPT}.")
    return script


def told_types(rungs: Sequence[str]) -> str:
    """Types and zones of a ladder, for people."""
    kinds = dict.fromkeys(one.partition("/")[2] for one in rungs)
    zones = dict.fromkeys(one.partition("/")[0] for one in rungs)
    return f"{', '.join(kinds)} in {', '.join(zones)}"


def insert_body(asked: dict[str, Any]) -> dict[str, Any]:
    """The request as Google's interface takes it, from how its library does."""
    from google.cloud import compute_v1
    from google.protobuf import json_format

    return dict(json_format.MessageToDict(compute_v1.Instance.pb(compute_v1.Instance(asked)), use_integers_for_enums=False))
