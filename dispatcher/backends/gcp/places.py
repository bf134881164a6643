"""The zones of a region in which a machine could be had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dispatcher.backends.gcp import machines
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.payload import machine_type
from dispatcher.domain.plan import Offer


def placements(account: Account, offer: Offer, advised: Callable[[], tuple[str, ...]]) -> Iterator[Offer]:
    """The offer once for each zone that sells its type. After a refusal, zones that Google named as having room come first."""
    left = [zone for zone in zones_selling(account, offer) if offer.zone in (None, zone)]
    while left:
        zone = next((one for one in advised() if one in left), left[0])
        left.remove(zone)
        yield replace(offer, zone=zone)


def zones_selling(account: Account, offer: Offer) -> list[str]:
    """The zones of the offer's region that have its machine type, and what is attached to it."""
    name, attached, _ = machine_type(offer)
    found = _zones(account, "MachineTypes", "machine_types", name)
    if attached:
        found &= _zones(account, "AcceleratorTypes", "accelerator_types", attached)
    return sorted(zone for zone in found if zone.rpartition("-")[0] == offer.region)


def _zones(account: Account, service: str, plural: str, name: str) -> set[str]:
    return {zone for zone, _ in machines.everywhere(account, service, plural, f"name={name}", silent=set())}
