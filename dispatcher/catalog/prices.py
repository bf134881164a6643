"""Prices of machines, disks, addresses and downloads, with their sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from dispatcher.catalog import overlay
from dispatcher.catalog.tables import CatalogDamaged, number, path, read_table, read_text, sources
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
def quotes_of(provider: str, machine: str) -> tuple[Quote, ...]:
    """Every price of a machine type; refreshed prices take the place of embedded ones. Raises CatalogDamaged."""
    regional, lines = _sheet(provider)
    found = [quote for line in lines.get(machine, ()) for quote in _embedded(provider, regional, line)]
    fresh = {(quote.market, quote.region): quote for quote in _refreshed(provider).get(machine, ())}
    return (*(quote for quote in found if (quote.market, quote.region) not in fresh), *fresh.values())


def quotes(provider: str) -> dict[str, tuple[Quote, ...]]:
    """Every price of a provider, by machine type."""
    machines = {**_sheet(provider)[1], **_refreshed(provider)}
    return {machine: quotes_of(provider, machine) for machine in machines}


def price_source(quote: Quote) -> PriceSource:
    """Where this price is from."""
    return _price_sources().get(quote.source) or PriceSource(*overlay.source(quote.source))


@cache
def tariff(provider: str, region: str | None) -> Tariff:
    """What runs beside a machine in this region; the provider's dearest region where this one's is unknown."""
    return Tariff(**{field: _beside(provider, item, region) for item, field in _ITEMS.items()})


def look_again() -> None:
    """Forget the refreshed prices that were read: there are newer ones."""
    _refreshed.cache_clear()
    quotes_of.cache_clear()


def regions(provider: str) -> tuple[str, ...]:
    """The regions with embedded prices."""
    return tuple(_sheet(provider)[0])


@cache
def _sheet(provider: str) -> tuple[list[str], dict[str, list[str]]]:
    """A provider's table: the regions, and by machine type its lines, which are split only when they are asked for."""
    name = f"prices-{provider}"
    heading, *lines = read_text(name).splitlines() or [""]
    if not heading.startswith("machine,market,"):
        raise CatalogDamaged(path(name), "it has no column 'machine'")
    commas = heading.count(",")
    found: dict[str, list[str]] = {}
    for line in lines:
        machine = line.partition(",")[0]
        if '"' in line:
            raise CatalogDamaged(path(name), f"a quotation mark in the line of {machine!r}")
        if line.count(",") != commas:
            raise CatalogDamaged(path(name), f"the line of {machine!r} has {line.count(',') + 1} of {commas + 1} cells")
        found.setdefault(machine, []).append(line)
    if not found:
        raise CatalogDamaged(path(name), "it has no rows")
    return heading.split(",")[2:], found


@cache
def _refreshed(provider: str) -> dict[str, list[Quote]]:
    found: dict[str, list[Quote]] = {}
    for quote in overlay.refreshed(provider, Quote):
        found.setdefault(quote.machine, []).append(quote)
    return found


def _embedded(provider: str, regional: list[str], line: str) -> Iterator[Quote]:
    known, name = _price_sources(), f"prices-{provider}"
    machine, market, *cells = line.split(",")
    for region, cell in zip(regional, cells, strict=True):
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
