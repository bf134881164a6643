"""Money for a whole job: likely, its range, and at worst."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.domain.job import Budget
from dispatcher.domain.plan import Cost, Offer, Range, Tariff

GRACE_SECONDS = 3600.0
"""How long a finished job's machine waits for its outputs to be fetched before it ends itself."""
LEAST_GRACE = 300.0
"""Seconds of grace that even a small budget leaves: enough to fetch what is there."""
GRACE_SHARE = 0.25
"""Of the time that a small budget buys, the share that is kept for fetching outputs."""
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


@dataclass(frozen=True, slots=True)
class Spending:
    """What a rented machine costs at its dearest: USD per hour while it exists, and once."""

    hourly: float
    once: float = 0.0

    def seconds(self, usd: float) -> float:
        """How long the machine may exist for this much."""
        return max(0.0, usd - self.once) / self.hourly * 3600


@dataclass(frozen=True, slots=True)
class Stop:
    """The hard stop in seconds after launch, the grace after it (both paid at worst), and the limit that set it, if any."""

    seconds: float
    grace: float = GRACE_SECONDS
    by: str = ""


def spending(offer: Offer, tariff: Tariff, use: Use) -> Spending | None:
    """What this offer costs at its dearest; None where it costs nothing, or nobody knows what."""
    if not offer.price_per_hour or offer.market == "owned":
        return None
    beside = use.disk_gb * tariff.disk_gb_month / HOURS_PER_MONTH + tariff.address_hour
    return Spending(offer.price_per_hour * (1 + offer.price_spread) + beside, 2 * use.down_gb * tariff.egress_gb)


def hard_stop(run: Range | None, around: float, limits: Budget, spend: Spending | None, seconds_left: float | None) -> Stop:
    """When the machine ends, whatever happens.

    The least of `max_time`, what `max_cost` buys and `finish_by`; where no `max_time` is given, twice the high estimate, at
    least one hour. What `max_cost` buys is the machine until it is gone: where that is short, so is the grace.
    """
    ends = Stop(max(MIN_HARD_STOP, 2 * (run.high + around)) if run else 24 * 3600.0)
    if limits.max_time:
        ends = Stop(limits.max_time + around, by="max_time")
    if seconds_left is not None and seconds_left < ends.seconds:
        ends = Stop(seconds_left, by="finish_by")
    if not limits.max_cost or spend is None:
        return ends
    bought = spend.seconds(limits.max_cost)
    if ends.seconds + GRACE_SECONDS <= bought:
        return ends
    grace = min(GRACE_SECONDS, max(LEAST_GRACE, bought * GRACE_SHARE, bought - ends.seconds))
    left = max(0.0, bought - grace)
    return Stop(left, grace, "max_cost") if left < ends.seconds else Stop(ends.seconds, grace, ends.by)


def spot_delay(run: Range, checkpoint_seconds: float | None) -> float:
    """Expected seconds lost to interruptions: half the work since the last checkpoint, each time."""
    expected = SPOT_INTERRUPTIONS_PER_HOUR * run.likely / 3600
    lost = min(checkpoint_seconds if checkpoint_seconds is not None else run.likely, run.likely) / 2
    return expected * (lost + 240.0)


def cost(offer: Offer, hours: Range | None, stop: Stop, tariff: Tariff, use: Use) -> Cost | None:
    """USD for the job on this offer; None where its price is unknown. Owned machines are free.

    Where the job's time is unknown, so is its cost, but for the most that it can be: its machine ends by itself.
    """
    if offer.price_per_hour is None:
        return None
    spend = spending(offer, tariff, use)
    if spend is None:
        return Cost(Range(0.0, 0.0, 0.0), 0.0, {})
    hourly = offer.price_per_hour
    disk = use.disk_gb * tariff.disk_gb_month / HOURS_PER_MONTH
    egress = use.down_gb * tariff.egress_gb
    beside = disk + tariff.address_hour
    worst = (stop.seconds + stop.grace) / 3600 * spend.hourly + spend.once
    if hours is None:
        return Cost(None, worst, beside_per_hour=beside)
    parts = {
        "machine": hours.likely * hourly,
        "disk": hours.likely * disk,
        "address": hours.likely * tariff.address_hour,
        "download": egress,
    }
    likely = sum(parts.values())
    low = hours.low * (hourly * (1 - offer.price_spread) + beside) + egress * 0.5
    high = hours.high * spend.hourly + spend.once
    if stop.by:  # a limit cuts a job short that takes longer than is likely
        high = max(likely, min(high, worst))
    return Cost(Range(low, likely, high), max(worst, high), parts, beside)
