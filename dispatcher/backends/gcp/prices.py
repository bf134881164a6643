"""Prices as Google states them now, composed of their parts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure
from dispatcher.catalog.instances import instances
from dispatcher.catalog.prices import Quote
from dispatcher.catalog.refresh import BUNDLED_SSD, Component, gcp_components, gcp_quotes
from dispatcher.domain.hardware import InstanceType

SKUS = "https://cloudbilling.googleapis.com/v1/services/6F81-5844-456A/skus"
"""Compute Engine's part of the public price list."""
HOURS_PER_MONTH = 730
MARKETS = {"OnDemand": "on-demand", "Preemptible": "spot"}
_LOCAL_SSD = re.compile(r"^(?:spot preemptible )?ssd backed local storage", re.IGNORECASE)
_OTHER = re.compile(r"commitment|reserved|dws|calendar mode|flex", re.IGNORECASE)
Regional = Mapping[tuple[str, str], float]
"""By region and market."""


def skus(account: Account) -> Iterator[dict[str, Any]]:
    """The price list, page by page."""
    token = ""
    while True:
        try:
            page = account.rest(SKUS, "the price list", None, pageSize="5000", pageToken=token)
        except GcpFailure as failure:
            raise failure.told() from failure
        yield from page.get("skus", ())
        token = str(page.get("nextPageToken", ""))
        if not token:
            return


def local_ssd(listed: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """USD per GB and hour of local SSD, by region and market; the dearest where several match."""
    found: dict[tuple[str, str], float] = {}
    for sku in listed:
        market = MARKETS.get(sku["category"]["usageType"])
        if market is None or not _LOCAL_SSD.match(sku["description"]) or _OTHER.search(sku["description"]):
            continue
        for region in sku["serviceRegions"]:
            found[region, market] = max(found.get((region, market), 0.0), _monthly(sku) / HOURS_PER_MONTH)
    return found


def composed(listed: list[dict[str, Any]]) -> Iterator[Quote]:
    """What each machine type of the catalog costs in each region that lists a price for all its parts, had there or not."""
    yield from gcp_quotes(listed)
    yield from with_ssd(gcp_components(listed), local_ssd(listed))


def with_ssd(parts: Mapping[Component, float], ssd: Regional) -> Iterator[Quote]:
    """Machine types whose local SSD is billed on top: cores + memory + accelerators + SSD, where all have a price."""
    for kind in (one for one in instances() if one.provider == "gcp" and one.name.startswith(BUNDLED_SSD)):
        for region, market in sorted({(place[2], place[3]) for place in parts}):
            usd = _composed(kind, parts, ssd, region, market)
            if usd is not None:
                yield Quote("gcp", kind.name, region, market, round(usd, 6), "new")


def _composed(kind: InstanceType, parts: Mapping[Component, float], ssd: Regional, region: str, market: str) -> float | None:
    amounts = (
        (parts.get((kind.family, "core", region, market)), kind.vcpus),
        (parts.get((kind.family, "ram", region, market)), kind.ram_gib),
        (parts.get((kind.accelerator, "gpu", region, market)) if kind.accelerator else 0.0, kind.accelerator_count),
        (ssd.get((region, market), ssd.get((region, "on-demand"))) if kind.local_ssd_gb else 0.0, kind.local_ssd_gb),
    )
    if any(price is None for price, _ in amounts):
        return None
    return sum((price or 0.0) * amount for price, amount in amounts)


def _monthly(sku: Mapping[str, Any]) -> float:
    """USD per GiB and month of the first tier that costs anything."""
    tiers = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"] if sku.get("pricingInfo") else []
    prices = (int(tier["unitPrice"].get("units") or 0) + tier["unitPrice"].get("nanos", 0) / 1e9 for tier in tiers)
    return next((usd for usd in prices if usd > 0), 0.0)
