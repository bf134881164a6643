"""Prices as the clouds state them now, before a plan."""

from __future__ import annotations

from datetime import UTC, datetime

from dispatcher.app.access import usable
from dispatcher.backends.registry import load
from dispatcher.catalog.refreshed import keep
from dispatcher.errors import LoginNeeded
from dispatcher.jobfile.settings import Settings


def refresh(settings: Settings, where: str = "auto") -> tuple[str, ...]:
    """Ask every cloud that may be used and tells its prices. What a reader must know of it, in words.

    Raises LoginNeeded where there is nobody to ask, and the cloud's own error where it does not answer at all.
    """
    place, _, region = where.partition("/")
    clouds = [cloud for cloud in usable(settings) if place in ("auto", "cloud", cloud)]
    if not clouds:
        raise LoginNeeded("Live prices need an account, and there is none.", fix="Leave out --live, or: mlrun doctor")
    notes: list[str] = []
    for cloud in clouds:
        look = getattr(load(cloud), "live_quotes", None)
        if look is None:
            notes.append(f"{cloud} is priced from the catalog: its prices are not refreshed by this version.")
            continue
        quotes, silent = look((region,) if region and place == cloud else ())
        result = keep(cloud, quotes, datetime.now(UTC).date().isoformat())
        notes += [f"{cloud} {name} did not tell its prices: {why}" for name, why in silent.items()]
        if result.refused:
            more = f", and {len(result.refused) - 1} more" if len(result.refused) > 1 else ""
            notes.append(f"New prices of {cloud} were refused: {result.refused[0]}{more}.")
    return tuple(notes)
