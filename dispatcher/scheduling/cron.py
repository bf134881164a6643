"""Cron expressions: when they fire next, and which are refused."""

from __future__ import annotations

from datetime import datetime

from dispatcher.moments import seconds_between

CLOSEST_SECONDS = 900.0
"""Runs closer together than this are a mistake: five fields that begin with a star fire every minute."""
LOOKED_AT = 48


def next_firing(expression: str, after: datetime) -> datetime:
    """The next time after `after` (aware), in its zone; of a skipped hour the first minute after it. Raises ValueError."""
    from cronsim import CronSim, CronSimError

    try:
        return next(CronSim(expression, after))
    except CronSimError as why:
        raise ValueError(f"{expression!r} is no cron expression: {why}. Write five fields: 0 1 * * 1-5") from None
    except StopIteration:
        raise ValueError(f"{expression!r} never fires") from None


def check(expression: str, now: datetime) -> None:
    """Refuse what fires too often. Raises ValueError."""
    last = next_firing(expression, now)
    for _ in range(LOOKED_AT):
        following = next_firing(expression, last)
        if (apart := seconds_between(last, following)) < CLOSEST_SECONDS:
            raise ValueError(f"{expression!r} fires every {round(apart / 60)} min; a run at most every 15 min")
        last = following
