"""Prices as AWS states them now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from dispatcher.backends.aws.client import HOME, Account

PRODUCT = "Linux/UNIX"
"""What the spot price list calls plain Linux."""
TYPES_AT_ONCE = 100
_WANTED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "capacitystatus": "Used",
    "preInstalledSw": "NA",
    "marketoption": "OnDemand",
}


def on_demand(account: Account, region: str, kind: str | None = None) -> dict[str, float]:
    """USD per hour of one machine type, or of all, in a region. A type with two prices has none."""
    wanted = _WANTED | {"regionCode": region} | ({"instanceType": kind} if kind else {})
    asked = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    found: dict[str, set[float]] = {}
    for page in account.pages("pricing", HOME, "get_products", "the price list", ServiceCode="AmazonEC2", Filters=asked):
        for product in page["PriceList"]:
            document = json.loads(product)
            prices = found.setdefault(str(document["product"]["attributes"].get("instanceType", "")), set())
            prices.update(usd for usd in _hourly(document) if usd > 0)
    return {name: prices.pop() for name, prices in found.items() if name and len(prices) == 1}


def spot_by_zone(
    account: Account, region: str, kinds: Sequence[str], now: datetime | None = None
) -> dict[str, dict[str, float]]:
    """USD per hour by machine type and zone, as it stands."""
    moment = now or datetime.now(UTC)
    found: dict[str, dict[str, float]] = {}
    for start in range(0, len(kinds), TYPES_AT_ONCE):
        some = kinds[start : start + TYPES_AT_ONCE]
        pages = account.pages(
            "ec2", region, "describe_spot_price_history", "the spot prices",
            InstanceTypes=list(some), ProductDescriptions=[PRODUCT], StartTime=moment,
        )  # fmt: skip
        newest: dict[tuple[str, str], datetime] = {}
        for entry in (entry for page in pages for entry in page["SpotPriceHistory"]):
            place = entry["InstanceType"], entry["AvailabilityZone"]
            if place not in newest or entry["Timestamp"] > newest[place]:
                newest[place] = entry["Timestamp"]
                found.setdefault(place[0], {})[place[1]] = float(entry["SpotPrice"])
    return found


def quote(account: Account, region: str, kind: str, market: str, zone: str | None = None) -> float | None:
    """What a machine costs per hour now; None where AWS states no price. Spot: the zone's, else the cheapest one's."""
    if market != "spot":
        return on_demand(account, region, kind).get(kind)
    prices = spot_by_zone(account, region, [kind]).get(kind, {})
    return prices.get(zone) if zone else min(prices.values(), default=None)


def _hourly(document: dict[str, Any]) -> Iterator[float]:
    terms: Iterable[Any] = document.get("terms", {}).get("OnDemand", {}).values()
    for dimension in (one for term in terms for one in term["priceDimensions"].values()):
        if dimension.get("unit") == "Hrs":
            yield float(dimension["pricePerUnit"].get("USD", 0))
