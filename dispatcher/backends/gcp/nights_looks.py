"""What became of a night, as Google and the bucket tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dispatcher.backends.cloud.codes import telling
from dispatcher.backends.cloud.tags import LABEL
from dispatcher.backends.gcp import machines, nights_words
from dispatcher.backends.gcp.client import Account, operation_failure
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.machines import GONE, STOPPED
from dispatcher.backends.gcp.nights_bucket import Bucket
from dispatcher.backends.gcp.nights_words import GAP_SECONDS, JOBS, LATEST_SECONDS
from dispatcher.hosts.base import Entry
from dispatcher.overnight import kept
from dispatcher.overnight.base import Seen
from dispatcher.overnight.night import EARLY_SECONDS, Night
from dispatcher.retries import Clock

SETTLE_SECONDS = 60.0
OFF = "has not been used in project"
"""What Google says of an interface that nobody has switched on: then there is nothing of ours in it."""
PREEMPTED = "compute.instances.preempted"


class Looks:
    """The half of GcpNights that looks."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self.account, self.clock = account, clock

    def look(self, night: Night, now: float) -> Seen:
        """Its machine's last word first; without one, what Google knows of machine, trigger and request."""
        wanted = f"labels.{LABEL}={night.label}"
        known = [one for _, one in machines.everywhere(self.account, "Instances", "instances", wanted)]
        here = [one for one in known if night.mine(machines.born(one))]
        alive = any(str(one.status) not in (*GONE, *STOPPED) for one in here)
        jobs = self._standing(night)
        try:
            found = self._said(night, alive=alive)
        except GcpFailure as failure:
            if failure.kind is not Kind.ABSENT:
                raise failure.told() from failure
            found = self._without_bucket(night, alive=alive)
        if found is None and here:
            words = "its machine prepares itself" if alive else "Its machine was stopped without a word in the bucket"
            found = Seen("running" if alive else "gone", words)
        if found is None:
            return self._without_machine(night, now, jobs)
        why = found.reason or ("" if alive or found.phase == "over" else self._reason(night))
        found = replace(found, alive=alive, stands=bool(jobs), reason=why)
        return found if alive else _stopped(found, here)

    def part(self, night: Night, seen: Seen, number: int) -> Seen:
        """From its own folder in the bucket."""
        with telling():
            return kept.part(Bucket(self.account, night.region), seen, number)

    def bring_log(self, seen: Seen, night: Night, folder: Path) -> None:
        """Pieces in their order, as one file."""
        with telling():
            kept.bring_log(Bucket(self.account, night.region), seen.place, folder)

    def bring_files(self, seen: Seen, night: Night, rows: Sequence[dict[str, Any]], folder: Path) -> None:
        """Each verified against the manifest before any has its name."""
        entries = [Entry(one["path"], one["size"], int(one["mode"]) & 0o666 | 0o600, one["sha256"]) for one in rows]
        with telling():
            kept.bring_files(Bucket(self.account, night.region), seen.place, str(night.label), entries, folder)

    def _said(self, night: Night, *, alive: bool) -> Seen | None:
        """What its machine wrote; None where it wrote nothing."""
        bucket = Bucket(self.account, night.region)
        place = kept.folder_of(bucket, f"out/{night.label}/", night.mine)
        if not place:
            return None
        said = {name: kept.said(bucket, place, name) for name in ("outcome", "state", "partial")}
        phase = "over" if said["outcome"] else "running" if alive else "gone"
        words = "Its machine went away in the middle of the job" if phase == "gone" else ""
        return Seen(phase, words, place=place, outcome=said["outcome"], state=said["state"], partial=said["partial"])

    def _without_bucket(self, night: Night, *, alive: bool) -> Seen | None:
        """None where no machine was made either."""
        if not alive and None not in self._inserts(night)[0]:
            return None
        words = f"The bucket {night.bucket} is gone, and with it what the run put there"
        return Seen("running" if alive else "gone", words, "bucket-gone")

    def _without_machine(self, night: Night, now: float, jobs: Sequence[dict[str, Any]]) -> Seen:
        stands = bool(jobs)
        if now < night.begins + SETTLE_SECONDS:
            return Seen("waiting", stands=stands)
        tried, pending = self._inserts(night)
        if pending:
            return Seen("waiting", "Google is making its machine", stands=stands)
        if None in tried:
            words = "Its machine was made, and is gone without a word in the bucket"
            return Seen("gone", words, self._reason(night) or "lost", stands=stands)
        codes = ", ".join(sorted({failure.code for failure in tried if failure}))
        last = night.begins + GAP_SECONDS * max(0, len(night.rungs) - 1) + SETTLE_SECONDS
        if now < last and stands:
            said = f"Google has had none so far ({codes}); it goes on with the next zone or type" if codes else ""
            return Seen("waiting", said or "the trigger has not fired yet", stands=True)
        if tried:
            words = f"Google had none of {nights_words.told_types(night.rungs)} ({codes})"
            return Seen("never", words, "no-capacity", stands=stands)
        if refused := _refused(jobs, night.begins):
            return Seen("never", f"The trigger fired, and Google refused it ({refused})", "never-fired", stands=stands)
        if stands and now < night.due + LATEST_SECONDS:
            return Seen("waiting", "the trigger has not fired yet", stands=True)
        words = "The trigger did not fire" if stands else "The trigger is gone, and Google knows of no machine"
        return Seen("never", words, "never-fired", stands=stands)

    def _reason(self, night: Night) -> str:
        """Why a machine is gone, where Google took it back."""
        kinds = {str(one.operation_type) for zone in _zones(night) for one in self._operations(night, zone)}
        return f"spot: {PREEMPTED}" if PREEMPTED in kinds else ""

    def _inserts(self, night: Night) -> tuple[list[GcpFailure | None], bool]:
        """What each try of the ladder failed of, None where it made a machine; and whether one is not decided yet."""
        found = [
            (zone, one)
            for zone in _zones(night)
            for one in self._operations(night, zone)
            if str(one.operation_type) == "insert"
        ]
        done = [operation_failure(one, "a machine", zone) for zone, one in found if one.status == type(one).Status.DONE]
        return done, len(done) < len(found)

    def _operations(self, night: Night, zone: str) -> list[Any]:
        pages = self.account.pages("ZoneOperations", "list", "the operations", zone=zone)
        since = min(night.due, night.begins) - EARLY_SECONDS
        mine = (one for page in pages for one in page.items if str(one.target_link).endswith(f"/instances/{night.label}"))
        return [one for one in mine if (at := _moment(one.insert_time)) >= since and night.mine(at)]

    def _standing(self, night: Night) -> list[dict[str, Any]]:
        """Triggers of the night, whichever of its rungs."""
        wanted = night.carries or night.id
        return [one for one in self._jobs() if nights_words.night_of(str(one["name"]).rpartition("/")[2]) == wanted]

    def _jobs(self) -> list[dict[str, Any]]:
        """Every trigger of ours. Raises an error of our tree."""
        url = JOBS.format(project=self.account.project)
        try:
            every = list(self.account.listed(url, "the triggers", "jobs", {"pageSize": "500"}))
        except GcpFailure as failure:
            if OFF in failure.said:
                return []
            raise failure.told() from failure
        return [one for one in every if nights_words.night_of(str(one["name"]).rpartition("/")[2])]


def _stopped(found: Seen, here: Sequence[Any]) -> Seen:
    """A machine that was powered off is there still, without its limit: it is ended from here, soon after it went down."""
    stopped = [one for one in here if str(one.status) in STOPPED]
    if not stopped:
        return found
    told: dict[str, Any] = {name: found.state[name] for name in found.state if name in ("machine", "born")}
    ended = max(_moment(one.last_stop_timestamp) for one in stopped)
    return replace(found, alive=True, outcome=found.outcome or {**told, "ended": ended})


def _zones(night: Night) -> list[str]:
    return list(dict.fromkeys(one.partition("/")[0] for one in night.rungs))


def _refused(jobs: Sequence[dict[str, Any]], since: float) -> str:
    """The code that Google gave a trigger that fired."""
    for one in jobs:
        code = one.get("status", {}).get("code")
        if code and _moment(one.get("lastAttemptTime", "")) >= since - EARLY_SECONDS:
            return str(one["status"].get("message") or f"code {code} of google.rpc")
    return ""


def _moment(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
