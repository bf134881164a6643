"""Google's own prices for the catalog, region by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dispatcher.backends.gcp import machines, prices
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.payload import ATTACHED
from dispatcher.catalog.prices import Quote
from dispatcher.errors import CloudRefused

SOLD = (("MachineTypes", "machine_types"), ("AcceleratorTypes", "accelerator_types"))


def live_quotes(account: Account, wanted: Sequence[str] = ()) -> tuple[list[Quote], dict[str, str]]:
    """Prices of every type that the catalog knows, and why regions did not answer. Raises where none did."""
    sold, unknown = sold_in(account)
    there = {region for regions in sold.values() for region in regions}
    silent = {one: "Google Cloud does not say what is sold there" for one in unknown if not wanted or one in wanted}
    silent |= {one: "there is no such region" for one in wanted if one not in there | unknown}
    listed = prices.composed(list(prices.skus(account)))
    found = [one for one in listed if (not wanted or one.region in wanted) and _had(one, sold)]
    if not found:
        text = f"Google Cloud states no prices for {', '.join(wanted) or 'any region'}"
        raise CloudRefused(text, fix="mlrun config show   # gcp.regions")
    return found, silent


def sold_in(account: Account) -> tuple[dict[str, set[str]], set[str]]:
    """The regions in which each machine type and each accelerator is had, and those of zones that did not answer."""
    found: dict[str, set[str]] = {}
    silent: set[str] = set()
    for service, plural in SOLD:
        for zone, one in machines.everywhere(account, service, plural, "", silent=silent):
            found.setdefault(str(one.name), set()).add(_region(zone))
    return found, {_region(zone) for zone in silent}


def _had(one: Quote, sold: Mapping[str, set[str]]) -> bool:
    """Whether the machine type is had in the region, and what is attached to it too."""
    name, plus, attached = one.machine.partition("+")
    if one.region not in sold.get(name, ()):
        return False
    part = next((name for known, name in ATTACHED.items() if known.lower().startswith(attached.partition("x")[0])), "")
    return not plus or one.region in sold.get(part, ())


def _region(zone: str) -> str:
    return zone.rpartition("-")[0]
