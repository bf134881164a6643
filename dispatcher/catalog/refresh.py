"""From the clouds' own price lists to rows of our tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dispatcher.catalog.guards import PRICE_GUARDS
from dispatcher.catalog.instances import instances
from dispatcher.catalog.prices import Quote
from dispatcher.domain.hardware import InstanceType
from dispatcher.errors import MlrunError

AWS_COLUMNS = ("TermType", "Instance Type", "Region Code", "PricePerUnit", "Unit", "Tenancy", "Operating System")
_AWS_WANTED = {
    "TermType": ("OnDemand",),
    "Unit": ("Hrs",),
    "Tenancy": ("Shared",),
    "Operating System": ("Linux",),
    "CapacityStatus": ("Used",),
    "Pre Installed S/W": ("", "NA"),
}
_GCP_UNWANTED = re.compile(
    r"sole tenancy|reserved|premium|custom|commitment|dws|calendar mode|flex|upgrade|sustained", re.IGNORECASE
)
_GCP_FAMILY = re.compile(r"^(?:spot preemptible )?([a-z]\d[a-z]?)\b.*\binstance (core|ram)\b", re.IGNORECASE)
_GCP_GPU = re.compile(r"^nvidia (?:tesla )?(.+?) gpu\b", re.IGNORECASE)
_GCP_MARKETS = {"OnDemand": "on-demand", "Preemptible": "spot"}
_GPU_NAMES = {"A100": "A100-40GB", "A100 80GB": "A100-80GB", "V100": "V100-16GB", "H100 80GB": "H100-80GB"}
BUNDLED_SSD = ("a2-ultragpu", "a3", "a4", "z3")
"""GCP machine types whose local SSD is billed on top of cores, memory and GPUs: not composed, left unknown."""
Component = tuple[str, str, str, str]
"""Family or GPU, "core", "ram" or "gpu", region, market."""


class PricesRefused(MlrunError):
    """New prices break a guard; nothing was written."""


def aws_quotes(lines: Iterable[str]) -> Iterator[Quote]:
    """On-demand quotes in an EC2 bulk price list (CSV with its preamble). A machine with two prices has none."""
    found: dict[tuple[str, str], set[float]] = {}
    for row in _aws_rows(lines):
        usd = float(row["PricePerUnit"])
        if usd > 0:
            found.setdefault((row["Instance Type"], row["Region Code"]), set()).add(usd)
    for (machine, region), prices in found.items():
        if len(prices) == 1:
            yield Quote("aws", machine, region, "on-demand", prices.pop(), "new")


def gcp_quotes(skus: Iterable[Mapping[str, Any]]) -> Iterator[Quote]:
    """Quotes of every GCP machine type whose cores, memory and GPUs all have a price in a region."""
    parts = gcp_components(skus)
    places = {(region, market) for _, _, region, market in parts}
    for kind in (kind for kind in instances() if kind.provider == "gcp" and not kind.name.startswith(BUNDLED_SSD)):
        for region, market in sorted(places):
            usd = _compose(kind, parts, region, market)
            if usd is not None:
                yield Quote("gcp", kind.name, region, market, round(usd, 6), "new")


def gcp_components(skus: Iterable[Mapping[str, Any]]) -> dict[Component, float]:
    """USD per core, GiB or GPU and hour. Where several SKUs match, the dearest: their order is not stable."""
    found: dict[Component, float] = {}
    for sku in skus:
        named, market = _gcp_part(sku), _GCP_MARKETS.get(sku["category"]["usageType"])
        usd = _gcp_usd(sku)
        if named and market and usd > 0:
            for region in sku["serviceRegions"]:
                key = (*named, region, market)
                found[key] = max(found.get(key, 0.0), usd)
    return found


def merged(table: str, quotes: Iterable[Quote], source: str) -> str:
    """The text of a price table with these quotes in it, each cell marked with its source. Raises PricesRefused."""
    rows = list(csv.reader(table.splitlines()))
    heading, body = rows[0], rows[1:]
    place = {region: column for column, region in enumerate(heading)}
    lines = {(row[0], row[1]): row for row in body}
    fresh = [quote for quote in quotes if (quote.machine, quote.market) in lines and quote.region in place]
    for quote in fresh:
        lines[quote.machine, quote.market][place[quote.region]] = f"{quote.usd:.6g}{source}"
    refuse(
        guarded(heading, body, fresh[0].provider) if fresh else ["no price in the list belongs to a machine type of the table"]
    )
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def guarded(heading: list[str], body: list[list[str]], provider: str) -> list[str]:
    """What the guards say of a table's rows."""
    prices: dict[str, list[Quote]] = {}
    for machine, market, *cells in body:
        for region, cell in zip(heading[2:], cells, strict=True):
            if cell:
                prices.setdefault(machine, []).append(Quote(provider, machine, region, market, float(cell[:-1]), cell[-1]))
    sourced = PRICE_GUARDS[:-1]
    return [fault for guard in sourced for fault in guard(prices)]


def refuse(faults: list[str]) -> None:
    """Raise PricesRefused with the first faults, if there are any."""
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise PricesRefused(
            f"New prices are refused: {'; '.join(faults[:5])}{more}.", fix="Check the list's kind, region and date."
        )


def _aws_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    rows = iter(csv.reader(lines))
    heading = next((row for row in rows if "TermType" in row and "Instance Type" in row), None)
    if heading is None or any(column not in heading for column in AWS_COLUMNS):
        refuse(["the file has no heading of an EC2 price list"])
    for cells in rows:
        row = dict(zip(heading or (), cells, strict=False))
        if row.get("Instance Type") and all(row.get(column, "NA") in wanted for column, wanted in _AWS_WANTED.items()):
            yield row


def _gcp_part(sku: Mapping[str, Any]) -> tuple[str, str] | None:
    text = sku["description"]
    if _GCP_UNWANTED.search(text) or sku["category"].get("resourceFamily") != "Compute":
        return None
    plain = re.sub(r"^spot preemptible ", "", text, flags=re.IGNORECASE)
    if found := _GCP_FAMILY.match(plain):
        return found.group(1).lower(), found.group(2).lower()
    if gpu := _GCP_GPU.match(plain):
        return _GPU_NAMES.get(gpu.group(1), gpu.group(1).replace(" ", "-")), "gpu"
    return None


def _gcp_usd(sku: Mapping[str, Any]) -> float:
    """USD per hour of the first tier that costs anything."""
    tiers = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"] if sku.get("pricingInfo") else []
    prices = (int(tier["unitPrice"].get("units") or 0) + tier["unitPrice"].get("nanos", 0) / 1e9 for tier in tiers)
    return next((usd for usd in prices if usd > 0), 0.0)


def _compose(kind: InstanceType, parts: Mapping[Component, float], region: str, market: str) -> float | None:
    """Cores + memory + GPUs; None where any of them has no price."""
    core, ram = parts.get((kind.family, "core", region, market)), parts.get((kind.family, "ram", region, market))
    gpu = parts.get((kind.accelerator, "gpu", region, market)) if kind.accelerator else 0.0
    if core is None or ram is None or gpu is None:
        return None
    return core * kind.vcpus + ram * kind.ram_gib + gpu * kind.accelerator_count
