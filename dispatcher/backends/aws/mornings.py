"""What became of a night, as AWS and the bucket tell it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dispatcher.backends.aws.bucket import GONE, Bucket
from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.machines import ENDING, by_label, reason, state
from dispatcher.backends.aws.schedule import LATEST_SECONDS, trigger_name
from dispatcher.backends.cloud.codes import telling
from dispatcher.hosts.base import Entry
from dispatcher.overnight import kept
from dispatcher.overnight.base import Seen
from dispatcher.overnight.night import Night
from dispatcher.retries import Clock

SLACK_SECONDS = 900.0
"""CloudTrail tells of a call some five minutes later, without a promise (its user guide since 2023-03): three times that."""
SETTLE_SECONDS = 60.0
FLEET = re.compile(r"fleet-[0-9a-f-]{8,}")


class Mornings:
    """The half of AwsNights that looks."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self.account, self.clock = account, clock

    def look(self, night: Night, now: float) -> Seen:
        """Its machine's last word first; without one, what AWS knows of machine, trigger and request."""
        known = by_label(self.account, night.region, night.label)
        machines = [one for one in known if night.mine(one["LaunchTime"].timestamp())]
        alive, stands = any(state(one) not in ENDING for one in machines), self._stands(night)
        try:
            found = self._said(night, alive=alive)
        except AwsFailure as failure:
            if failure.code not in GONE:
                raise self.account.told(failure) from failure
            words = f"The bucket {night.bucket} is gone, and with it what the run put there"
            found = Seen("running" if alive else "gone", words, "bucket-gone") if machines else None
        if found is None and machines:
            words = "its machine prepares itself" if alive else "Its machine is gone without a word in the bucket"
            found = Seen("running" if alive else "gone", words)
        if found is None:
            return self._without_machine(night, now, stands=stands)
        why = found.reason or (reason(machines[0]) if machines and not alive else "")
        return replace(found, alive=alive, stands=stands, reason=why)

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

    def _stands(self, night: Night) -> bool:
        try:
            self.account.ask("scheduler", night.region, "get_schedule", "the trigger", Name=trigger_name(night.id))
        except AwsFailure as failure:
            if failure.code == "ResourceNotFoundException":
                return False
            raise self.account.told(failure) from failure
        return True

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

    def _without_machine(self, night: Night, now: float, *, stands: bool) -> Seen:
        if now < night.begins + SETTLE_SECONDS:
            return Seen("waiting", stands=stands)
        fleet = self._fleet(night)
        if fleet is not None and fleet.get("Instances"):
            return Seen("gone", "Its machine was made, and is gone without a word in the bucket", "lost", stands=stands)
        if fleet is not None:
            errors = fleet.get("Errors", ())
            codes = ", ".join(sorted({str(one.get("ErrorCode")) for one in errors}))
            types = ", ".join(sorted({_kind(one) for one in errors}))
            words = f"AWS had none of {types} in {night.region} at or below the plan's price ({codes})"
            return Seen("never", words, "no-capacity", stands=stands)
        if stands and now < night.due + LATEST_SECONDS:
            return Seen("waiting", "the trigger has not fired yet", stands=True)
        if not stands and now < night.begins + LATEST_SECONDS + SLACK_SECONDS:
            return Seen("unknown", "the trigger has fired; AWS does not tell yet what came of it")
        words = "The trigger did not fire" if stands else "The trigger is gone, and AWS knows of no machine"
        return Seen("never", words, "never-fired", stands=stands)

    def _fleet_of(self, night: Night, name: str) -> dict[str, Any] | None:
        found = self.account.ask("ec2", night.region, "describe_fleets", "the request", FleetIds=[name])["Fleets"]
        return dict(found[0]) if found else None

    def _fleet(self, night: Night) -> dict[str, Any] | None:
        """The request that bore the night's token, as CloudTrail remembers it; None where it does not."""
        asked = [{"AttributeKey": "EventName", "AttributeValue": "CreateFleet"}]
        since = datetime.fromtimestamp(min(night.due, night.begins) - SLACK_SECONDS, UTC)
        try:
            for page in self.account.ask_pages(
                "cloudtrail", night.region, "lookup_events", "the trail", LookupAttributes=asked, StartTime=since
            ):
                for event in page["Events"]:
                    text = str(event.get("CloudTrailEvent", ""))
                    if night.token in text and (name := _fleet_id(text)):
                        return self._fleet_of(night, name)
        except AwsFailure:
            return None
        return None


def _kind(error: dict[str, Any]) -> str:
    return str(error.get("LaunchTemplateAndOverrides", {}).get("Overrides", {}).get("InstanceType", "?"))


def _fleet_id(text: str) -> str:
    found = FLEET.search(text)
    return found.group() if found else ""
