"""Everything of ours in every region, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from dispatcher.backends.aws import ends, network
from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.machines import Instance, by_label, of_ours, state
from dispatcher.backends.aws.payload import tag_dict
from dispatcher.backends.base import Leftover
from dispatcher.backends.cloud.tags import LABEL, OWNER, label_of
from dispatcher.catalog.prices import quotes_of, tariff
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, HostUnreachable, MlrunError, TeardownUnconfirmed
from dispatcher.retries import Clock, Policy, wait_until

AT_ONCE = 16
HOURS_PER_MONTH = 730
GONE = Policy(first=1.0, longest=10.0, patience=300.0)
"""From the request to terminate to the sight of it: seconds for small machines, minutes for large ones."""
T = TypeVar("T")


def everywhere(regions: Iterable[str], look: Callable[[str], Iterable[T]]) -> Iterator[T]:
    """What a look finds in all regions at once. Raises at the end where a region did not answer: there it is unknown."""
    names, unknown = list(regions), {}

    def careful(region: str) -> list[T] | MlrunError:
        try:
            return list(look(region))
        except MlrunError as error:
            return error

    with ThreadPoolExecutor(min(AT_ONCE, max(1, len(names)))) as pool:
        for region, found in zip(names, pool.map(careful, names), strict=True):
            if isinstance(found, MlrunError):
                unknown[region] = found
            else:
                yield from found
    if unknown:
        first = next(iter(unknown.values()))
        if len(unknown) == len(names) or (len(unknown) == 1 and isinstance(first, CloudRefused)):
            raise first  # it names its region, and says more
        text = f"What exists in {', '.join(unknown)} is unknown: {first.message}"
        raise HostUnreachable(text, fix="Try again; or name the regions you use: aws.regions in config.yaml") from first


def leftovers(account: Account, region: str, now: float, *, schedules: bool = False) -> Iterator[Leftover]:
    """Machines, disks, addresses, rules, and where there may be any, schedules of one region that carry our labels."""
    for instance in of_ours(account, region):
        yield _machine(instance, region, now)
    for page in account.pages("ec2", region, "describe_volumes", "the list of disks", Filters=_labelled()):
        for volume in page["Volumes"]:
            usd = volume["Size"] * tariff("aws", region).disk_gb_month / HOURS_PER_MONTH
            yield _leftover("volume", volume["VolumeId"], volume, region, now - volume["CreateTime"].timestamp(), usd)
    found = account.call("ec2", region, "describe_addresses", "the list of addresses", Filters=_labelled())
    for address in found["Addresses"]:
        usd = tariff("aws", region).address_hour
        yield _leftover("address", address.get("AllocationId", address.get("PublicIp", "")), address, region, 0.0, usd)
    for rule in network.rules(account, region, {f"tag:{OWNER}": "*"}):
        for label, owner, since in network.marks_in(rule):
            age = max(0.0, now - since)
            yield Leftover(
                "aws", "rule", rule["SecurityGroupRuleId"], label, owner, region, age, 0.0, tag_dict(rule.get("Tags"))
            )
    if schedules:
        yield from ends.leftovers(account, region, now)


def end(account: Account, region: str, label: Label, clock: Clock, *, guarded: bool = False) -> bool:
    """Terminate a label's machines, see them gone, and remove what they leave. Whether there was any machine, gone or not.

    `guarded`: there may be a schedule that was to end them.
    """
    found = by_label(account, region, label)
    if living := [one["InstanceId"] for one in found if state(one) != "terminated"]:
        _terminate(account, region, living)
        if not wait_until(lambda: _all_gone(account, region, label, living), GONE, clock):
            names = ", ".join(living)
            text = f"AWS does not show {names} in {region} as terminated after {GONE.patience:.0f} s"
            raise TeardownUnconfirmed(
                text, fix=f"aws ec2 terminate-instances --region {region} --instance-ids {' '.join(living)}"
            )
    network.shut_out(account, region, label)
    _delete_volumes(account, region, label)
    if guarded:
        ends.disarm(account, region, label)
    return bool(found)


def _terminate(account: Account, region: str, ids: list[str]) -> None:
    try:
        account.ask("ec2", region, "terminate_instances", "the end of a machine", InstanceIds=ids)
    except AwsFailure as failure:
        if failure.code != "InvalidInstanceID.NotFound":  # which says nothing of whether it will be: the next looks do
            raise account.told(failure) from failure


def _all_gone(account: Account, region: str, label: Label, ids: list[str]) -> bool | None:
    """True once each was seen terminated. Those that are shown alive are told again; absence proves nothing."""
    states = {one["InstanceId"]: state(one) for one in by_label(account, region, label)}
    if again := [name for name in ids if states.get(name) in ("pending", "running", "stopped")]:
        _terminate(account, region, again)
    return True if all(states.get(name) == "terminated" for name in ids) else None


def _delete_volumes(account: Account, region: str, label: Label) -> None:
    """Disks go with their machine; one that was detached stays, and is removed here."""
    asked = [{"Name": f"tag:{LABEL}", "Values": [str(label)]}]
    for page in account.pages("ec2", region, "describe_volumes", "the list of disks", Filters=asked):
        for volume in page["Volumes"]:
            if volume["State"] != "available":
                continue
            try:
                account.ask("ec2", region, "delete_volume", "the end of a disk", VolumeId=volume["VolumeId"])
            except AwsFailure as failure:
                if failure.code not in ("InvalidVolume.NotFound", "VolumeInUse"):
                    raise account.told(failure) from failure


def _machine(instance: Instance, region: str, now: float) -> Leftover:
    market = "spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand"
    prices = [one.usd for one in quotes_of("aws", instance["InstanceType"]) if (one.region, one.market) == (region, market)]
    usd = 0.0 if state(instance) in ("stopped", "shutting-down") else prices[0] if prices else None
    age = now - instance["LaunchTime"].timestamp()
    found = _leftover("instance", instance["InstanceId"], instance, region, age, usd)
    return replace(found, tags={**found.tags, "machine": instance["InstanceType"], "market": market})


def _leftover(kind: str, name: str, thing: dict[str, Any], region: str, age: float, usd: float | None) -> Leftover:
    tags = tag_dict(thing.get("Tags"))
    return Leftover("aws", kind, name, label_of(tags), tags.get(OWNER, ""), region, max(0.0, age), usd, tags)


def _labelled() -> list[dict[str, Any]]:
    return [{"Name": "tag-key", "Values": [LABEL]}]
