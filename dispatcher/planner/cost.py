"""Money for a whole job: likely, its range, and at worst."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.domain.job import Budget
from dispatcher.domain.plan import Cost, Offer, Range, Tariff

GRACE_SECONDS = 3600.0
"""How long a finished job's machine waits for its outputs to be fetched before it ends itself."""
HOURS_PER_MONTH = 730.0
MIN_HARD_STOP = 3600.0
SPOT_INTERRUPTIONS_PER_HOUR = 0.03
"""Interruptions per hour of a spot machine: the middle of the 5–20 % a month bands that AWS's Spot Advisor publishes lies far
lower, GPU types are reported far higher; a stated assumption of 2026, not a measurement."""


@dataclass(frozen=True, slots=True)
class Use:
    """What the job uses beside time: disk in GB, and what comes home in GB."""

    disk_gb: float = 0.0
    down_gb: float = 0.0


def hard_stop(run: Range | None, around: float, limits: Budget, price: float, seconds_left: float | None) -> float:
    """Seconds after launch at which the machine ends, whatever happens.

    The least of `max_time`, what `max_cost` buys and `finish_by`; where no `max_time` is given, twice the high estimate, at
    least one hour.
    """
    ends = [limits.max_time + around] if limits.max_time else []
    if not limits.max_time:
        ends.append(max(MIN_HARD_STOP, 2 * (run.high + around)) if run else 24 * 3600.0)
    if limits.max_cost and price > 0:
        ends.append(limits.max_cost / price * 3600)
    if seconds_left is not None:
        ends.append(seconds_left)
    return min(ends)


def spot_delay(run: Range, checkpoint_seconds: float | None) -> float:
    """Expected seconds lost to interruptions: half the work since the last checkpoint, each time."""
    expected = SPOT_INTERRUPTIONS_PER_HOUR * run.likely / 3600
    lost = min(checkpoint_seconds if checkpoint_seconds is not None else run.likely, run.likely) / 2
    return expected * (lost + 240.0)


def cost(offer: Offer, hours: Range, stop_seconds: float, tariff: Tariff, use: Use) -> Cost | None:
    """USD for the job on this offer; None where its price is unknown. Owned machines are free."""
    if offer.price_per_hour is None:
        return None
    if offer.market == "owned":
        return Cost(Range(0.0, 0.0, 0.0), 0.0, {})
    hourly = offer.price_per_hour
    disk = use.disk_gb * tariff.disk_gb_month / HOURS_PER_MONTH
    beside = disk + tariff.address_hour
    egress = use.down_gb * tariff.egress_gb
    parts = {
        "machine": hours.likely * hourly,
        "disk": hours.likely * disk,
        "address": hours.likely * tariff.address_hour,
        "download": egress,
    }
    dearest = hourly * (1 + offer.price_spread)
    low = hours.low * (hourly * (1 - offer.price_spread) + beside) + egress * 0.5
    high = hours.high * (dearest + beside) + egress * 2
    worst = (stop_seconds + GRACE_SECONDS) / 3600 * (dearest + beside) + egress * 2
    return Cost(Range(low, sum(parts.values()), high), max(worst, high), parts)
