"""Everything of ours in every zone, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dispatcher.backends.base import Leftover
from dispatcher.backends.cloud.tags import LABEL, OWNER, label_of
from dispatcher.backends.gcp import machines, network
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.machines import STOPPED, Instance
from dispatcher.catalog.prices import quotes_of, tariff
from dispatcher.domain.run import Label

HOURS_PER_MONTH = 730
LABELLED = f"labels.{LABEL}:*"


def leftovers(account: Account, now: float) -> Iterator[Leftover]:
    """Machines, disks and rules that carry our labels. Raises at the end where a zone did not answer."""
    unknown: Exception | None = None
    for found in (_machines(account, now), _disks(account, now)):
        try:
            yield from found
        except Exception as error:  # noqa: BLE001  (raised below: what answers is told first)
            unknown = error
    for label, tags, rule in network.openings(account):
        age = max(0.0, now - machines.born(rule))
        yield Leftover("gcp", "rule", str(rule.name), label, tags.get(OWNER, ""), None, age, 0.0, tags)
    if unknown:
        raise unknown


def end(account: Account, label: Label, owner: str, zone: str | None = None) -> bool:
    """Delete a label's machines, disks and rule, and see them done. Whether there was any machine."""
    found = _to_end(account, label, owner, zone)
    begun = [(where, _delete(account, "Instances", "instance", where, str(label))) for where in found]
    for where, operation in begun:
        if operation:
            _done(account, operation, where, "the end of a machine")
    network.shut_out(account, label)
    _delete_disks(account, label, owner)
    return bool(found)


def _to_end(account: Account, label: Label, owner: str, zone: str | None) -> list[str]:
    """The zones in which a machine of this label and owner is. One of somebody else's is never touched."""
    if zone is not None:
        one = machines.at(account, zone, str(label))
        here = [(zone, one)] if one is not None else []
    else:
        here = list(machines.everywhere(account, "Instances", "instances", f"labels.{LABEL}={label}"))
    return [where for where, one in here if machines.tags_of(one).get(LABEL) == str(label) and _owned(one, owner)]


def _owned(thing: Any, owner: str) -> bool:
    return machines.tags_of(thing).get(OWNER) == owner


def _delete_disks(account: Account, label: Label, owner: str) -> None:
    """Disks go with their machine; one that was detached stays, and is removed here."""
    for zone, disk in machines.everywhere(account, "Disks", "disks", f"labels.{LABEL}={label}"):
        if _owned(disk, owner) and not disk.users and (operation := _delete(account, "Disks", "disk", zone, str(disk.name))):
            _done(account, operation, zone, "the end of a disk")


def _delete(account: Account, service: str, word: str, zone: str, name: str) -> str | None:
    """Begin a deletion; None where the thing is gone already."""
    try:
        asked: dict[str, Any] = {"zone": zone, word: name}
        return str(account.ask(service, "delete_unary", f"the end of a {word}", place=zone, **asked).name)
    except GcpFailure as failure:
        if failure.kind is Kind.ABSENT:
            return None
        raise failure.told() from failure


def _done(account: Account, operation: str, zone: str, doing: str) -> None:
    failure = account.finished(operation, zone, doing)
    if failure and failure.kind is not Kind.ABSENT:
        raise failure.told() from failure


def _machines(account: Account, now: float) -> Iterator[Leftover]:
    for zone, one in machines.everywhere(account, "Instances", "instances", LABELLED):
        found = _leftover("instance", one, zone, now, _price(one, zone.rpartition("-")[0]))
        yield replace(found, tags={**found.tags, "machine": machines.kind_of(one), "market": _market(one)})


def _disks(account: Account, now: float) -> Iterator[Leftover]:
    for zone, one in machines.everywhere(account, "Disks", "disks", LABELLED):
        usd = int(one.size_gb) * tariff("gcp", zone.rpartition("-")[0]).disk_gb_month / HOURS_PER_MONTH
        yield _leftover("disk", one, zone, now, usd)


def _price(instance: Instance, region: str) -> float | None:
    """USD per hour; a stopped machine costs by its disk alone."""
    if str(instance.status) in STOPPED:
        return 0.0
    market = _market(instance)
    prices = [one.usd for one in quotes_of("gcp", machines.kind_of(instance)) if (one.region, one.market) == (region, market)]
    return prices[0] if prices else None


def _market(instance: Any) -> str:
    return "spot" if str(instance.scheduling.provisioning_model) == "SPOT" else "on-demand"


def _leftover(kind: str, thing: Any, zone: str, now: float, usd: float | None) -> Leftover:
    tags = machines.tags_of(thing)
    age = max(0.0, now - machines.born(thing))
    region = zone.rpartition("-")[0]
    return Leftover("gcp", kind, f"{zone}/{thing.name}", label_of(tags), tags.get(OWNER, ""), region, age, usd, tags)
