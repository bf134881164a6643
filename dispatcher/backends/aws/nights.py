"""Nights on AWS: made, listed, undone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dispatcher.backends.aws import network, places, roles, schedule
from dispatcher.backends.aws.bucket import Bucket
from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.images import image_for
from dispatcher.backends.aws.inventory import everywhere
from dispatcher.backends.aws.mornings import Mornings
from dispatcher.backends.aws.payload import tag_list
from dispatcher.backends.aws.schedule import Rung
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.tags import HOST_KEY, tags_of
from dispatcher.domain.plan import Offer
from dispatcher.errors import MlrunError, NoCapacity, TeardownUnconfirmed
from dispatcher.jobfile.settings import Aws
from dispatcher.overnight.base import Trigger
from dispatcher.overnight.bundle import Bundle
from dispatcher.overnight.night import Night
from dispatcher.retries import Clock

LAB_HOST = "http://169.254.169.254"
"""Where a host of the lab reaches the lab's AWS."""
MOST_RUNGS = 24


class AwsNights(Mornings):
    """Obeys overnight.base.Nights."""

    def __init__(self, account: Account, settings: Aws, owner: str, clock: Clock) -> None:
        super().__init__(account, clock)
        self.settings, self.owner = settings, owner

    def lacking(self, region: str) -> list[str]:
        """What `mlrun setup aws --overnight` makes."""
        found = [f"the role {name}" for name in roles.lacking(self.account)]
        bucket = Bucket(self.account, region)
        return found if bucket.there() else [*found, f"the bucket {bucket.name}"]

    def unset_secrets(self, region: str, names: Iterable[str]) -> dict[str, str]:
        """Those that the parameter store does not hold below /mlrun/."""
        wanted = {f"{roles.SECRETS}{name}": name for name in names}
        if not wanted:
            return {}
        asked = [{"Key": "Name", "Option": "Equals", "Values": list(wanted)}]
        found = self.account.pages("ssm", region, "describe_parameters", "the secrets' names", ParameterFilters=asked)
        there = {one["Name"] for page in found for one in page["Parameters"]}
        put = f"aws ssm put-parameter --region {region} --type SecureString --name"
        return {wanted[path]: f"{put} {path} --value …" for path in wanted if path not in there}

    def prepare(self, night: Night, offers: Sequence[Offer]) -> Night:
        """The night with its bucket and the machine types' prices."""
        prices = {str(one.machine): float(one.price_per_hour or 0.0) for one in offers}
        bucket = Bucket(self.account, night.region).name
        secrets = {name: f"{roles.SECRETS}{name}" for name in night.secrets}
        token = schedule.token_of(night)
        return replace(night, owner=self.owner, bucket=bucket, prices=prices, secrets=secrets, token=token)

    def arm(self, night: Night, bundle: Bundle, offers: Sequence[Offer], keys: Path) -> Night:
        """Upload, template, dry run, trigger; where one fails, what was made before it is taken back."""
        rungs = list(self._rungs(night, offers))
        keyring = Keyring(keys, night.label)
        night = replace(night, bundle=bundle.key, sha256=bundle.sha256, size=bundle.size)
        data = self._template(night, rungs, keyring)
        bucket = Bucket(self.account, night.region)
        bucket.upload(bundle.key, bundle.file)
        night = replace(night, template=self._make_template(night, data), trigger=schedule.trigger_name(night.id))
        try:
            self._try(schedule.fleet(night, night.template, rungs, night.token, self._tags(night)), night)
            asked = schedule.fleet(night, night.template, rungs, schedule.scheduled_token(night), self._tags(night))
            wanted = schedule.trigger(night, roles.scheduler_arn(self.account), asked)
            bucket.put(f"nights/{night.id}.json", night.as_json().encode())
            self._make_trigger(night, wanted)
        except BaseException:
            self.disarm(night)
            raise
        return night

    def triggers(self, regions: Sequence[str]) -> list[Trigger]:
        """In every region that is asked, or in all."""
        names = tuple(regions) or tuple(self.settings.regions) or self.account.regions()
        return sorted(everywhere(names, self._triggers_in), key=lambda one: one.when)

    def recall(self, trigger: Trigger) -> Night | None:
        """From the bucket of the trigger's region."""
        try:
            text = Bucket(self.account, trigger.region).read(f"nights/{trigger.night}.json")
            return Night.from_json(text) if text else None
        except (AwsFailure, ValueError):
            return None

    def disarm(self, night: Night) -> None:
        """The trigger first: it is what could cost."""
        try:
            self._forget_trigger(night)
        except (AwsFailure, MlrunError) as failure:
            why = (self.account.told(failure) if isinstance(failure, AwsFailure) else failure).message
            fix = f"aws scheduler delete-schedule --region {night.region} --name {schedule.trigger_name(night.id)}"
            text = f"The trigger {schedule.trigger_name(night.id)} still stands, and fires at its time: {why}"
            raise TeardownUnconfirmed(text, fix=fix) from failure
        self._forget_template(night)

    def start_now(self, night: Night) -> None:
        """What the trigger would ask, asked now, in the trigger's words and by its token."""
        found = self.account.call("scheduler", night.region, "get_schedule", "the trigger", Name=night.trigger)
        asked = json.loads(found["Target"]["Input"]) | {"ClientToken": night.token}
        made = self.account.call("ec2", night.region, "create_fleet", "a machine", **asked)
        if not any(one.get("InstanceIds") for one in made.get("Instances", ())):
            codes = ", ".join(sorted({str(one.get("ErrorCode")) for one in made.get("Errors", ())}))
            raise NoCapacity(f"AWS has none of the night's machines now ({codes}); the trigger still stands")
        self.disarm(night)

    def _rungs(self, night: Night, offers: Sequence[Offer]) -> Iterable[Rung]:
        """Types in the ladder's order, each in every zone that sells it; those without an image are left out."""
        count, last = 0, None
        for offer in offers:
            try:
                image = image_for(self.account, offer)
                for placed in places.placements(self.account, offer, self.settings.subnet):
                    site = network.site_for(self.account, night.region, placed.zone, self.settings.subnet)
                    yield Rung(placed, network.grouped(self.account, site, self.owner), image)
                    count += 1
                    if count == MOST_RUNGS:
                        return
            except NoCapacity as why:
                last = why
        if not count:
            raise last or NoCapacity(f"No zone of {night.region} sells these machines")

    def _template(self, night: Night, rungs: Sequence[Rung], keyring: Keyring) -> dict[str, Any]:
        terms = Terms(
            max_seconds=night.max_seconds,
            grace_seconds=night.grace_seconds,
            disk_gb=night.disk_gb,
            run_name=night.name,
            client=night.client,
        )
        private, public = keyring.host_key()
        birth = bootstrap.Birth(night.label, keyring.public_key(), night.max_seconds, night.grace_seconds)
        data = schedule.user_data(birth, (private, public), self._birth(night))
        tags = tags_of(night.label, self.owner, terms) | {HOST_KEY: public}
        return schedule.template(night, rungs, terms, tags, roles.MACHINE, data)

    def _birth(self, night: Night) -> dict[str, Any]:
        """What the machine must know to find its bundle, and to say how it went."""
        return {
            "label": str(night.label),
            "region": night.region,
            "account": self.account.identity()["Account"],
            "role": roles.machine_role_id(self.account),
            "bucket": night.bucket,
            "bundle": night.bundle,
            "sha256": night.sha256,
            "endpoint": LAB_HOST if self.account.lab else "",
            "deadline": night.deadline_seconds,
            "latest": night.latest,
            "secrets": dict(night.secrets),
        }

    def _tags(self, night: Night) -> dict[str, str]:
        return tags_of(night.label, self.owner, Terms(night.max_seconds, run_name=night.name, client=night.client))

    def _make_template(self, night: Night, data: dict[str, Any]) -> str:
        kinds = [{"ResourceType": "launch-template", "Tags": tag_list(self._tags(night))}]
        name = schedule.trigger_name(night.id)
        made = self.account.call(
            "ec2", night.region, "create_launch_template", "a launch template",
            LaunchTemplateName=name, LaunchTemplateData=data, TagSpecifications=kinds, ClientToken=name,
        )  # fmt: skip
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def _try(self, asked: dict[str, Any], night: Night) -> None:
        try:
            self.account.ask("ec2", night.region, "create_fleet", "a dry run of the night", DryRun=True, **asked)
        except AwsFailure as failure:
            if failure.code != "DryRunOperation":
                raise self.account.told(failure) from failure

    def _make_trigger(self, night: Night, wanted: dict[str, Any]) -> None:
        try:
            self.account.ask("scheduler", night.region, "create_schedule", "the trigger", **wanted)
        except AwsFailure as failure:
            if failure.code != "ConflictException":  # a lost answer, sent again
                raise self.account.told(failure) from failure

    def _triggers_in(self, region: str) -> list[Trigger]:
        asked = {"NamePrefix": schedule.PREFIX, "GroupName": "default"}
        found = []
        for page in self.account.pages("scheduler", region, "list_schedules", "the triggers", **asked):
            for one in page["Schedules"]:
                told = self.account.call("scheduler", region, "get_schedule", "a trigger", Name=one["Name"])
                when = str(told["ScheduleExpression"]).removeprefix("at(").removesuffix(")")
                night = one["Name"].removeprefix(schedule.PREFIX)
                zone = str(told.get("ScheduleExpressionTimezone", "UTC"))
                found.append(Trigger(one["Name"], night, region, when, zone, str(told.get("Description", ""))))
        return found

    def _forget_trigger(self, night: Night) -> None:
        try:
            name = schedule.trigger_name(night.id)
            self.account.ask("scheduler", night.region, "delete_schedule", "the end of a trigger", Name=name)
        except AwsFailure as failure:
            if failure.code != "ResourceNotFoundException":
                raise

    def _forget_template(self, night: Night) -> None:
        try:
            name = schedule.trigger_name(night.id)
            self.account.ask("ec2", night.region, "delete_launch_template", "the end of a template", LaunchTemplateName=name)
        except AwsFailure as failure:
            if "NotFound" not in failure.code and "DoesNotExist" not in failure.code:
                raise self.account.told(failure) from failure
