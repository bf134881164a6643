"""Refreshed prices, kept in the cache in place of embedded ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from dispatcher.errors import MlrunError
from dispatcher.paths import cache_dir

SPREAD = 0.02
"""Relative uncertainty of a price read from the provider's own list."""
LIVE = "live "
Q = TypeVar("Q")


class RefreshedPricesDamaged(MlrunError):
    """The cached file of refreshed prices cannot be read."""


def refreshed(provider: str, make: Callable[[str, str, str, str, float, str], Q]) -> Iterator[Q]:
    """Quotes of the last refresh, none where there was none. Raises RefreshedPricesDamaged.

    The file is {"as_of": "2026-11-20", "prices": {machine: {market: {region: usd}}}}.
    """
    document = _document(provider)
    source = LIVE + str(document.get("as_of", ""))
    for machine, markets in document.get("prices", {}).items():
        for market, regional in markets.items():
            for region, usd in regional.items():
                yield make(provider, machine, region, market, _price(provider, usd), source)


def source(name: str) -> tuple[str, str, str, float]:
    """Source, date, confidence and spread of a refreshed price."""
    return "live", name.removeprefix(LIVE), "seen", SPREAD


def _document(provider: str) -> dict[str, Any]:
    file = cache_dir() / f"prices-{provider}.json"
    if not file.is_file():
        return {}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        for markets in document["prices"].values():
            _ = [dict(regional) for regional in markets.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(provider) from error
    return dict(document)


def _price(provider: str, usd: Any) -> float:
    if isinstance(usd, bool) or not isinstance(usd, (int, float)) or not 0 < usd < 1e6:
        raise _damaged(provider)
    return float(usd)


def _damaged(provider: str) -> RefreshedPricesDamaged:
    file = cache_dir() / f"prices-{provider}.json"
    fix = f"rm {file}   # embedded prices are used then"
    return RefreshedPricesDamaged(f"The refreshed prices in {file} cannot be read.", fix=fix)
