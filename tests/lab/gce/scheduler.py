"""Cloud Scheduler: jobs that ask Google's interfaces at their times, in a service account's name."""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tests.lab.clock import Clock, Timer
from tests.lab.faults import Faults
from tests.lab.gce.judging import acted_as
from tests.lab.gce.refusals import Refused, conflict, not_found
from tests.lab.gce.resource import Call, Handler, tail
from tests.lab.gce.settings import Settings
from tests.lab.seams import Bill

FIRE = "jobs.fire"
"""The action by which faults name a firing: drop_before never fires, late fires later, drop_after fires twice."""
LONGEST_BODY, LONGEST_URI, MOST_RETRIES = 1 << 20, 2083, 5
NAME = re.compile(r"[A-Za-z0-9_-]{1,500}")
STATUSES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 412: 9, 429: 8, 500: 13, 503: 14}
"""HTTP statuses as google.rpc.Code has them."""
Send = Callable[[str, str, Mapping[str, str], bytes], int]
"""A request of the scheduler's: verb, path with query, headers, body; its HTTP status, 0 where no answer came."""


@dataclass
class Job:
    """`resource` is what Google shows of it."""

    key: tuple[str, str]
    resource: dict[str, Any]
    timer: Timer | None = None
    tries: list[float] = field(default_factory=list)

    def cancel(self) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = None


class Scheduler:
    """Fires at least once: a failed attempt is repeated as often as the job says, and a fault may repeat a good one."""

    def __init__(
        self, clock: Clock, settings: Settings, faults: Faults, bill: Bill, send: Send, token: Callable[[str], str]
    ) -> None:
        self._clock, self._settings, self._faults, self._bill = clock, settings, faults, bill
        self._send, self._token = send, token
        self.known: dict[tuple[str, str], Job] = {}

    def handlers(self) -> dict[str, Handler]:
        verbs = {"create": self.create, "get": self.get, "list": self.list, "delete": self.delete}
        return {f"scheduler.projects.locations.jobs.{verb}": act for verb, act in verbs.items()}

    def clear(self) -> None:
        for job in self.known.values():
            job.cancel()
        self.known.clear()

    def names(self) -> list[str]:
        """Of all that are to fire."""
        return sorted(name for _, name in self.known)

    def fire(self, name: str) -> None:
        """As though its time had come: now."""
        job = next((one for (_, known), one in self.known.items() if known == name), None)
        if job is None:
            raise ValueError(f"there is no job {name}; there are: {', '.join(self.names()) or 'none'}")
        job.cancel()
        self._due(job)

    def create(self, call: Call) -> dict[str, Any]:
        location, body = call.path["locationsId"], call.body
        name = tail(str(body.get("name", "")))
        if not NAME.fullmatch(name) or location not in str(body.get("name")):
            raise Refused(400, "badRequest", f"Job name must be formatted: projects/P/locations/{location}/jobs/ID")
        if (location, name) in self.known:
            raise conflict(str(body["name"]))
        self._check(body)
        shown = {**body, "state": "ENABLED", "userUpdateTime": _stamp(self._clock.now())}
        job = self.known[location, name] = Job((location, name), shown)
        self._arm(job, self._clock.now())
        return job.resource

    def get(self, call: Call) -> dict[str, Any]:
        return self._job(call).resource

    def list(self, call: Call) -> dict[str, Any]:
        found = [one.resource for (place, _), one in sorted(self.known.items()) if place == call.path["locationsId"]]
        first, many = int(call.query.get("pageToken") or 0), int(call.query.get("pageSize") or 500)
        answer: dict[str, Any] = {"jobs": found[first : first + many]} if found else {}
        return answer | ({"nextPageToken": str(first + many)} if first + many < len(found) else {})

    def delete(self, call: Call) -> dict[str, Any]:
        job = self._job(call)
        job.cancel()
        del self.known[job.key]
        return {}

    def _job(self, call: Call) -> Job:
        found = self.known.get((call.path["locationsId"], call.path["jobsId"]))
        if found is None:
            raise not_found(f"projects/{call.path['projectsId']}/locations/{call.path['locationsId']}/jobs/…")
        return found

    def _check(self, body: Mapping[str, Any]) -> None:
        target, zone = body.get("httpTarget", {}), body.get("timeZone", "UTC")
        try:
            CronSim(body.get("schedule", ""), dt.datetime.fromtimestamp(self._clock.now(), ZoneInfo(zone)))
        except (CronSimError, LookupError, ValueError) as error:
            raise Refused(400, "badRequest", f"Schedule or time zone is invalid: {error}") from None
        uri, account = str(target.get("uri", "")), acted_as(body)
        if not uri.startswith("https://") or len(uri) > LONGEST_URI:
            raise Refused(400, "badRequest", "HttpTarget.url must begin with http:// or https://, and is no longer than 2083.")
        if "oauthToken" in target and not urlsplit(uri).netloc.endswith(".googleapis.com"):
            raise Refused(400, "badRequest", "HttpTarget.url host must be *.googleapis.com for OAuth tokens.")
        if account not in self._settings.accounts:
            raise Refused(404, "notFound", f"Service account {account} does not exist.")
        if len(target.get("body", "")) > LONGEST_BODY or int(body.get("retryConfig", {}).get("retryCount", 0)) > MOST_RETRIES:
            raise Refused(400, "badRequest", "The job is too large, or is to be retried too often.")

    def _arm(self, job: Job, after: float) -> None:
        here = dt.datetime.fromtimestamp(after, ZoneInfo(job.resource.get("timeZone", "UTC")))
        at = next(CronSim(job.resource["schedule"], here)).timestamp()
        job.resource["scheduleTime"] = _stamp(at)
        job.timer = self._clock.later(max(at - self._clock.now(), 0.001), lambda: self._due(job))

    def _due(self, job: Job) -> None:
        if self.known.get(job.key) is not job:
            return
        at = self._clock.now()
        fault = self._faults.take(FIRE, {"name": job.key[1]})
        if fault and fault.when == "drop_before":
            self._bill.called("gcp", FIRE, {"name": job.key[1]}, "lost")
            self._arm(job, at)
        elif fault and fault.when == "late":
            job.timer = self._clock.later(fault.seconds, lambda: self._attempt(job, at, 1))
        else:
            self._attempt(job, at, 1, again=bool(fault and fault.when == "drop_after"))

    def _attempt(self, job: Job, at: float, number: int, *, again: bool = False) -> None:
        if self.known.get(job.key) is not job:
            return
        status = self._carried_out(job)
        self._bill.called("gcp", FIRE, {"name": job.key[1], "status": status}, "ok" if status == 200 else str(status))
        said = {"status": {"code": STATUSES.get(status, 2)}} if status != 200 else {"status": {}}
        job.resource.update(lastAttemptTime=_stamp(self._clock.now()), **said)
        retries = int(job.resource.get("retryConfig", {}).get("retryCount", 0))
        if again or (status != 200 and number <= retries):
            job.timer = self._clock.later(self._settings.retry_seconds, lambda: self._attempt(job, at, number + 1))
        elif self.known.get(job.key) is job:
            self._arm(job, self._clock.now())

    def _carried_out(self, job: Job) -> int:
        target = job.resource["httpTarget"]
        account = acted_as(job.resource)
        if account not in self._settings.accounts:
            return 401
        parts = urlsplit(target["uri"])
        headers = {"authorization": f"Bearer {self._token(account)}", "x-cloudscheduler": "true"}
        body = base64.b64decode(target.get("body", ""))
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return self._send(target.get("httpMethod", "POST"), path, headers, body) or 503


def _stamp(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
