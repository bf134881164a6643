"""New prices into the cache, each past the guards."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.catalog.guards import CHEAPEST_SPOT, DEAREST, HOME, RATIO
from dispatcher.catalog.instances import find_instance
from dispatcher.catalog.overlay import refreshed
from dispatcher.catalog.prices import Quote, look_again
from dispatcher.errors import HostError
from dispatcher.paths import cache_dir

Table = dict[str, dict[str, dict[str, float]]]
"""USD per hour by machine, market and region."""


@dataclass(slots=True)
class Refreshed:
    """What a refresh brought: how many prices were kept, what was refused and why, and which regions did not answer."""

    kept: int = 0
    changed: int = 0
    refused: list[str] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)
    file: Path | None = None


def keep(provider: str, found: Iterable[Quote], as_of: str) -> Refreshed:
    """Put new prices of a provider in place of earlier refreshed ones; those that break a guard stay out."""
    table, before = _known(provider), _known(provider)
    result = Refreshed()
    quotes = list(found)
    listed = {(one.machine, one.region): one.usd for one in quotes if one.market == "on-demand"}
    for quote in quotes:
        if fault := fault_of(quote, listed):
            result.refused.append(fault)
            continue
        table.setdefault(quote.machine, {}).setdefault(quote.market, {})[quote.region] = quote.usd
        result.kept += 1
        result.changed += before.get(quote.machine, {}).get(quote.market, {}).get(quote.region) != quote.usd
    if result.kept:
        result.file = _write(provider, {"as_of": as_of, "prices": table})
        look_again()
    return result


def fault_of(quote: Quote, listed: dict[tuple[str, str], float]) -> str:
    """Which guard a price breaks, in words; "" where none."""
    where = f"{quote.machine} in {quote.region}"
    if find_instance(quote.provider, quote.machine) is None:
        return f"{quote.machine} is not described in the catalog"
    if not 0 < quote.usd < DEAREST:
        return f"{where}: {quote.usd} USD per hour is a placeholder"
    if quote.market == "spot":
        whole = listed.get((quote.machine, quote.region))
        if whole and not CHEAPEST_SPOT <= quote.usd / whole <= 1:
            return f"{where}: spot is {quote.usd / whole:.0%} of the on-demand price"
        return ""
    home = listed.get((quote.machine, HOME[quote.provider]))
    if home and not RATIO[0] <= quote.usd / home <= RATIO[1]:
        return f"{where}: {quote.usd / home:.2f} times the price in {HOME[quote.provider]}"
    return ""


def _known(provider: str) -> Table:
    found: Table = {}
    for quote in _read(provider):
        found.setdefault(quote.machine, {}).setdefault(quote.market, {})[quote.region] = quote.usd
    return found


def _read(provider: str) -> Iterator[Quote]:
    return refreshed(provider, Quote)


def _write(provider: str, document: dict[str, object]) -> Path:
    file = cache_dir() / f"prices-{provider}.json"
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(document), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise HostError(f"{file} cannot be written: {error.strerror}", fix="mlrun purge") from error
    return file
