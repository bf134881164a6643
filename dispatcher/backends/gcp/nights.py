"""Nights on Google Cloud: made, listed, undone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.tags import tags_of
from dispatcher.backends.gcp import network, nights_roles, nights_words, places
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.images import image_for
from dispatcher.backends.gcp.nights_bucket import Bucket
from dispatcher.backends.gcp.nights_looks import OFF, Looks
from dispatcher.backends.gcp.nights_words import HOME, JOBS, MOST_RUNGS, Rung
from dispatcher.backends.gcp.payload import labels_of, request
from dispatcher.domain.plan import Offer
from dispatcher.errors import CloudRefused, MlrunError, NoCapacity, TeardownUnconfirmed, UsageError
from dispatcher.jobfile.settings import Gcp
from dispatcher.overnight.base import Trigger
from dispatcher.overnight.bundle import Bundle
from dispatcher.overnight.night import Night
from dispatcher.retries import Clock

SECRET = "https://secretmanager.googleapis.com/v1/projects/{project}/secrets/{name}"  # noqa: S105  an address
TEST = "https://cloudresourcemanager.googleapis.com/v1/projects/{project}:testIamPermissions"
LEAST_AHEAD_SECONDS = 5.0
"""What is left of the time before a trigger when it is made: one that comes too late would fire in a year."""


class GcpNights(Looks):
    """Obeys overnight.base.Nights."""

    def __init__(self, account: Account, settings: Gcp, clock: Clock) -> None:
        super().__init__(account, clock)
        self.settings = settings

    def lacking(self, region: str) -> list[str]:
        """What `mlrun setup gcp --overnight` makes."""
        found = [f"the service account {name}" for name in nights_roles.lacking(self.account)]
        found += [] if found else [f"the binding of {name}" for name in nights_roles.unbound(self.account)]
        bucket = Bucket(self.account, region)
        return found if bucket.there() else [*found, f"the bucket {bucket.name}"]

    def unset_secrets(self, region: str, names: Iterable[str]) -> dict[str, str]:
        """Those that Secret Manager does not hold under mlrun-NAME."""
        return {name: _put(name, self.account.project) for name in names if not self._has_secret(name)}

    def prepare(self, night: Night, offers: Sequence[Offer]) -> Night:
        """The night with its bucket and prices, on the minute."""
        prices = {str(one.machine): float(one.price_per_hour or 0.0) for one in offers}
        bucket = Bucket(self.account, night.region).name
        project = self.account.project
        secrets = {name: f"projects/{project}/secrets/{nights_roles.SECRETS}{name}" for name in night.secrets}
        due = nights_words.on_the_minute(night.due)
        night = replace(night, due=due, owner=self.account.owner, bucket=bucket, prices=prices, secrets=secrets)
        return replace(night, token=night.token_at(due), trigger=nights_words.trigger_name(night.id))

    def arm(self, night: Night, bundle: Bundle, offers: Sequence[Offer], keys: Path) -> Night:
        """Check permissions, upload, make the triggers; where one fails, what was made before it is taken back."""
        self._check()
        rungs = list(self._rungs(night, offers))
        night = replace(night, bundle=bundle.key, sha256=bundle.sha256, size=bundle.size)
        night = replace(night, rungs=tuple(one.name for one in rungs))
        script = self._script(night, rungs, Keyring(keys, night.label))
        for site in {one.site.network: one.site for one in rungs}.values():
            network.shut(self.account, site)
        bucket = Bucket(self.account, night.region)
        bucket.upload(bundle.key, bundle.file)
        self._put_record(bucket, night)
        try:
            for number, rung in enumerate(rungs):
                self._make_trigger(night, rung, number, script)
        except BaseException:
            self.disarm(night)
            raise
        return night

    def triggers(self, regions: Sequence[str]) -> list[Trigger]:
        """All stand in one place; those of a night's ladder are told as one."""
        found = [one for one in self._jobs() if one["name"].rpartition("/")[2].count("-") == nights_words.PREFIX.count("-")]
        told = [self._told(one) for one in found]
        return sorted((one for one in told if not regions or one.region in regions), key=lambda one: one.when)

    def recall(self, trigger: Trigger) -> Night | None:
        """From the bucket of its machine's region."""
        try:
            text = Bucket(self.account, trigger.region).read(f"nights/{trigger.night}.json")
            return Night.from_json(text) if text else None
        except (GcpFailure, ValueError):
            return None

    def disarm(self, night: Night) -> None:
        """Every trigger of the ladder, by its name: nothing is listed first, and one failure keeps none of the others."""
        failures: dict[str, MlrunError] = {}
        for number in range(len(night.rungs) or MOST_RUNGS):
            name = nights_words.trigger_name(night.id, number)
            try:
                self._forget(name)
            except GcpFailure as failure:
                failures[name] = failure.told()
            except MlrunError as error:
                failures[name] = error
        if not failures:
            return
        why = next(iter(failures.values()))
        names = ", ".join(failures)
        fix = "; ".join(f"gcloud scheduler jobs delete {name} --location {HOME}" for name in failures)
        one = "The trigger {} may still stand, and fires" if len(failures) == 1 else "The triggers {} may still stand, and fire"
        raise TeardownUnconfirmed(f"{one.format(names)} at its time: {why.message}", fix=fix) from why

    def start_now(self, night: Night) -> None:
        """What the triggers would ask, asked now, in their words and by their ids, rung by rung."""
        codes: list[str] = []
        for job in sorted(self._standing(night), key=lambda one: str(one["name"])):
            failure = self._inserted(job)
            if failure is None:
                return self.disarm(night)
            if failure.kind not in (Kind.NEXT_ZONE, Kind.NEXT_REGION):
                raise failure.told() from failure
            codes.append(failure.code)
        said = ", ".join(sorted(set(codes))) or "no trigger stands"
        raise NoCapacity(f"Google has none of the night's machines now ({said}); the trigger still stands")

    def _rungs(self, night: Night, offers: Sequence[Offer]) -> Iterator[Rung]:
        """Types in the ladder's order, each in every zone that sells it. One that comes again has a single rung."""
        count, most, last = 0, 1 if night.cron else MOST_RUNGS, None
        for offer in offers:
            try:
                image = image_for(self.account, offer)
            except NoCapacity as why:
                last = why
                continue
            for placed in places.placements(self.account, offer, tuple):
                site = network.site_for(self.account, night.region, str(placed.zone), self.settings.subnet)
                yield Rung(placed, site, image)
                count += 1
                if count == most:
                    return
        if not count:
            raise last or NoCapacity(f"No zone of {night.region} sells these machines")

    def _script(self, night: Night, rungs: Sequence[Rung], keyring: Keyring) -> str:
        birth = bootstrap.Birth(night.label, keyring.public_key(), night.max_seconds, night.grace_seconds)
        jobs = JOBS.format(project=self.account.project).partition("/v1/")[2]
        names = [nights_words.trigger_name(night.id, number) for number in range(len(rungs))]
        told = {
            "label": str(night.label),
            "bucket": night.bucket,
            "bundle": night.bundle,
            "sha256": night.sha256,
            "endpoint": self.account.host_endpoint if self.account.lab else "",
            "deadline": night.deadline_seconds,
            "latest": night.latest,
            "secrets": dict(night.secrets),
            "triggers": [f"{jobs}/{name}" for name in names],
            "due": night.due + nights_words.GAP_SECONDS * (len(rungs) - 1),
            "times": nights_words.times(night),
            "until": night.until,
        }
        return nights_words.startup(birth, self.account.host_endpoint, told)

    def _make_trigger(self, night: Night, rung: Rung, number: int, script: str) -> None:
        terms = Terms(
            max_seconds=night.max_seconds,
            grace_seconds=night.grace_seconds,
            disk_gb=night.disk_gb,
            run_name=night.name,
            client=night.client,
        )
        labels = labels_of(tags_of(night.label, night.owner, terms))
        asked = request(rung.offer, night.label, terms, rung.site, rung.image, script, labels)
        machine = nights_roles.email(self.account, nights_roles.MACHINE)
        asked["service_accounts"] = [{"email": machine, "scopes": [nights_words.SCOPE]}]
        body = nights_words.insert_body(asked)
        account = nights_roles.email(self.account, nights_roles.SCHEDULER)
        wanted = nights_words.trigger(night, self.account.project, rung, number, body, account)
        if self.clock.now() > night.due - LEAST_AHEAD_SECONDS:
            raise UsageError(
                "Its time came while it was being sent.", fix="Choose a later start, or mlrun JOB to start it now."
            )
        try:
            self.account.rest(JOBS.format(project=self.account.project), "the trigger", wanted)
        except GcpFailure as failure:
            if failure.kind is not Kind.TAKEN:  # a lost answer, sent again
                raise failure.told() from failure

    def _check(self) -> None:
        """What submitting takes, asked of Google before anything is made."""
        lines = (paths.templates_dir() / "gcp" / "overnight-role.yaml").read_text(encoding="utf-8").splitlines()
        wanted = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
        try:
            said = self.account.rest(TEST.format(project=self.account.project), "the permissions", {"permissions": wanted})
        except GcpFailure as failure:
            raise failure.told() from failure
        if lacking := [one for one in wanted if one not in said.get("permissions", ())]:
            text = f"{self.account.owner} may not do what a night takes in {self.account.project}: {', '.join(lacking)}"
            raise CloudRefused(text, fix="mlrun setup gcp --overnight --role")

    @staticmethod
    def _put_record(bucket: Bucket, night: Night) -> None:
        try:
            bucket.put(f"nights/{night.id}.json", night.as_json().encode())
        except GcpFailure as failure:
            raise failure.told() from failure

    def _told(self, job: dict[str, Any]) -> Trigger:
        name = str(job["name"]).rpartition("/")[2]
        zone = str(job["httpTarget"]["uri"]).partition("/zones/")[2].partition("/")[0]
        when = str(job.get("scheduleTime", "")).replace("Z", "+00:00")
        about = str(job.get("description", ""))
        return Trigger(name, nights_words.night_of(name), zone.rpartition("-")[0], when, str(job.get("timeZone", "UTC")), about)

    def _forget(self, name: str) -> None:
        try:
            self.account.rest(f"{JOBS.format(project=self.account.project)}/{name}", "the end of a trigger", verb="DELETE")
        except GcpFailure as failure:
            if failure.kind is not Kind.ABSENT and OFF not in failure.said:
                raise

    def _has_secret(self, name: str) -> bool:
        url = SECRET.format(project=self.account.project, name=nights_roles.SECRETS + name)
        try:
            self.account.rest(url, "the secrets' names")
        except GcpFailure as failure:
            if failure.kind is Kind.ABSENT:
                return False
            raise failure.told() from failure
        return True

    def _inserted(self, job: dict[str, Any]) -> GcpFailure | None:
        """What a trigger asks, asked from here: why it came to nothing, or None."""
        target = job["httpTarget"]
        uri, _, query = str(target["uri"]).partition("?requestId=")
        zone = uri.partition("/zones/")[2].partition("/")[0]
        try:
            asked = json.loads(base64.b64decode(target["body"]))
            asked["metadata"]["items"].append({"key": "mlrun-now", "value": "TRUE"})  # however late it is
            begun = self.account.rest(uri, "a machine", asked, **({"requestId": query} if query else {}))
        except GcpFailure as failure:
            return failure
        return self.account.finished(str(begun["name"]), zone, "a machine")


def _put(name: str, project: str) -> str:
    return f"printf %s … | gcloud secrets create {nights_roles.SECRETS}{name} --project {project} --data-file=-"
