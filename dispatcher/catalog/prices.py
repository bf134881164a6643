"""What machines, disks, addresses and downloads cost, by region and market, each with its source and date."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from dispatcher.catalog import overlay
from dispatcher.catalog.tables import CatalogDamaged, number, path, read_lines, read_table, sources
from dispatcher.domain.plan import Tariff

PROVIDERS = ("aws", "gcp")
BESIDE = "prices-beside"
_ITEMS = {"disk": "disk_gb_month", "address": "address_hour", "egress": "egress_gb"}


class Quote(NamedTuple):
    """One machine type's price in one region and market: USD per hour, and the short name of its source."""

    provider: str
    machine: str
    region: str
    market: str
    usd: float
    source: str


@dataclass(frozen=True, slots=True)
class PriceSource:
    """Where a price is from. `spread` is its relative uncertainty today, by age and kind."""

    source: str
    as_of: str
    confidence: str
    spread: float


@cache
def quotes(provider: str) -> dict[str, tuple[Quote, ...]]:
    """Every price of a provider, by machine type; refreshed prices take the place of embedded ones."""
    found: dict[str, dict[tuple[str, str], Quote]] = {}
    for quote in (*_embedded(provider), *overlay.refreshed(provider, Quote)):
        found.setdefault(quote.machine, {})[quote.market, quote.region] = quote
    return {machine: tuple(prices.values()) for machine, prices in found.items()}


def price_source(quote: Quote) -> PriceSource:
    """Where this price is from."""
    return _price_sources().get(quote.source) or PriceSource(*overlay.source(quote.source))


@cache
def tariff(provider: str, region: str | None) -> Tariff:
    """What runs beside a machine in this region; the provider's dearest region where this one's is unknown."""
    return Tariff(**{field: _beside(provider, item, region) for item, field in _ITEMS.items()})


def regions(provider: str) -> tuple[str, ...]:
    """The regions with embedded prices."""
    return tuple(next(read_lines(f"prices-{provider}"), ()))[2:]


def _embedded(provider: str) -> Iterator[Quote]:
    name = f"prices-{provider}"
    lines = read_lines(name)
    heading = next(lines, [])
    if heading[:2] != ["machine", "market"]:
        raise CatalogDamaged(path(name), "it has no column 'machine'")
    known, regional = _price_sources(), heading[2:]
    for line in lines:
        if len(line) != len(heading):
            raise CatalogDamaged(path(name), f"the line of {line[:1]} has {len(line)} of {len(heading)} cells")
        machine, market = line[0], line[1]
        for region, cell in zip(regional, line[2:], strict=True):
            if cell:
                if cell[-1] not in known:
                    raise CatalogDamaged(path(name), f"{cell!r} names no source")
                yield Quote(provider, machine, region, market, _usd(cell, name), cell[-1])


def _usd(cell: str, name: str) -> float:
    try:
        return float(cell[:-1])
    except ValueError as error:
        raise CatalogDamaged(path(name), f"{cell!r} is not a price") from error


@cache
def _price_sources() -> dict[str, PriceSource]:
    name = "price-sources"
    rows = read_table(name, ("id", "source", "as_of", "confidence", "spread"))
    return {row["id"]: _price_source(row, number(row, "spread", name) or 0.0) for row in rows}


def _price_source(row: dict[str, str], spread: float) -> PriceSource:
    return PriceSource(row["source"], row["as_of"], row["confidence"], spread)


def _beside(provider: str, item: str, region: str | None) -> float:
    known = _beside_prices()[provider, item]
    return known.get(region or "") or known.get("*") or max(known.values())


@cache
def _beside_prices() -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in read_table(BESIDE, ("provider", "item", "region", "usd", "unit", "source", "as_of", "confidence")):
        usd = number(row, "usd", BESIDE)
        if usd is not None:
            found.setdefault((row["provider"], row["item"]), {})[row["region"]] = usd
    return found


def beside_sources() -> tuple[tuple[str, str, str], ...]:
    """Provider, source and date of the prices of disks, addresses and downloads."""
    rows = read_table(BESIDE, ("provider", "source", "as_of"))
    return tuple(sorted({(row["provider"], sources()[row["source"]][0], row["as_of"]) for row in rows}))
