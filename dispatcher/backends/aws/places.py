"""The zones of a region in which a machine could be had."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.network import zones_with_subnets
from dispatcher.backends.aws.prices import spot_by_zone
from dispatcher.domain.plan import Offer
from dispatcher.errors import CloudRefused


def placements(account: Account, offer: Offer, subnet: str | None) -> Iterator[Offer]:
    """The offer once for each zone that sells its type and has a network; spot where it is cheapest first."""
    region, kind = str(offer.region), str(offer.machine)
    sold = zones_selling(account, region, kind)
    standing = zones_with_subnets(account, region, subnet)
    if not standing:
        fix = f"aws ec2 create-default-vpc --region {region}   # or name aws.subnet in config.yaml"
        raise CloudRefused(f"The account has no network in {region} in which a machine could stand", fix=fix)
    zones = [zone for zone in sorted(sold) if zone in standing and offer.zone in (None, zone)]
    if offer.market == "spot" and len(zones) > 1:
        prices = spot_by_zone(account, region, [kind]).get(kind, {})
        zones.sort(key=lambda zone: prices.get(zone, float("inf")))
    return (replace(offer, zone=zone) for zone in zones)


def zones_selling(account: Account, region: str, kind: str) -> tuple[str, ...]:
    """The zones of a region that sell a machine type."""
    asked = [{"Name": "instance-type", "Values": [kind]}]
    found = account.pages(
        "ec2", region, "describe_instance_type_offerings", "the zones that sell a type",
        LocationType="availability-zone", Filters=asked,
    )  # fmt: skip
    return tuple(one["Location"] for page in found for one in page["InstanceTypeOfferings"])
