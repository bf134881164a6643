"""From offers and needs to candidates within the budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Candidate, Offer, Range, Tariff
from dispatcher.domain.values import Span
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.cost import Use, cost, hard_stop, spending, spot_delay
from dispatcher.planner.fit import KEPT_BACK, Verdict, budget, verdict
from dispatcher.planner.phases import Transfers, fetching, phases, whole, with_fetching
from dispatcher.units import show_seconds, show_usd

if TYPE_CHECKING:
    from dispatcher.domain.traced import Traced
    from dispatcher.planner.calibrate import Learned
    from dispatcher.planner.probed import Evidence

SECONDS = 3600.0
SYSTEM_DISK_GB = {("aws", True): 113.0, ("aws", False): 41.0, ("gcp", True): 86.0, ("gcp", False): 43.0}
"""What a rented machine's image takes, with and without GPUs, and 30 GiB beside it: for packages, and what nobody foresees."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a candidate rests on beside the offer: tariffs, the wire, time until `finish_by`, past runs, a trace, a probe."""

    tariff: Callable[[str, str | None], Tariff]
    moved: Transfers
    seconds_left: float | None = None
    kept_back: float = KEPT_BACK
    learned: Learned | None = None
    traced: Traced | None = None
    probed: Evidence | None = None


def judged(need: Assessment, offer: Offer, terms: Terms) -> Verdict:
    """Whether the job fits this offer's machine."""
    return verdict(need, budget(offer, unified=_unified(need), kept_back=terms.kept_back))


def candidate(
    job: JobConfig, need: Assessment, offer: Offer, ruling: Verdict, terms: Terms, changes: dict[str, Any] | None = None
) -> Candidate:
    """The offer with what the job needs, takes and costs there."""
    run = _on_market(job, with_fetching(offer.where, need), offer)
    parts = phases(offer.where, replace(need, run=run), terms.moved, has_setup=job.setup is not None)
    span = whole(parts, run)
    around = sum(parts.values()) - parts["run"]
    hours = span.scaled(1 / SECONDS) if span else None
    offer = _with_disk(offer, need, job.resources.disk)
    use = Use(offer.disk_gb or 0.0, terms.moved.down_bytes / 1e9)
    tariff = terms.tariff(offer.where, offer.region)
    stop = hard_stop(run, around, job.budget, spending(offer, tariff, use), terms.seconds_left)
    amount = need.gpu or need.ram
    room = budget(offer, unified=_unified(need), kept_back=terms.kept_back)
    return Candidate(
        offer=offer,
        fits=ruling.fits,
        surely=ruling.surely,
        memory=amount,
        memory_available_gib=room.gpu_for(need.gpu) if need.gpu else room.ram_for(need.ram),
        headroom=ruling.headroom,
        hours=hours,
        hours_basis=need.basis,
        step_seconds=need.step,
        samples_per_second=need.rate,
        cost=cost(offer, hours, stop, tariff, use),
        hard_stop_seconds=stop.seconds if _limited(job, offer, terms) else None,
        grace_seconds=stop.grace,
        stopped_by=stop.by,
        phases_seconds=parts,
        changes=changes or {},
        learned=need.learned,
        fetching_seconds=fetching(need) if offer.where in ("aws", "gcp") else 0.0,
    )


def _with_disk(offer: Offer, need: Assessment, asked: Span | None) -> Offer:
    """A rented machine is ordered with the disk that it is priced with: the image's, and the job's at its highest."""
    if offer.market == "owned":
        return offer
    system = SYSTEM_DISK_GB.get((offer.where, offer.count > 0), 113.0)
    return replace(offer, disk_gb=float(math.ceil(max(system + need.disk.range.high, asked.minimum if asked else 0.0))))


def over_budget(job: JobConfig, one: Candidate) -> str | None:
    """Why the job's own limits exclude this candidate, or None. Free candidates can only be too slow."""
    limits, offer = job.budget, one.offer
    if limits.max_hourly and (offer.price_per_hour or 0.0) > limits.max_hourly:
        return f"${offer.price_per_hour:.2f} per hour, over max_hourly {limits.max_hourly:.2f}"
    likely = one.cost.likely if one.cost else None
    if limits.max_cost and likely is not None and likely > limits.max_cost:
        return f"{show_usd(likely)}, over max_cost {limits.max_cost:.2f}"
    if one.hours is None or one.hard_stop_seconds is None:
        return None
    around = sum(one.phases_seconds.values()) - one.phases_seconds.get("run", 0.0)
    needed = one.hours.likely * SECONDS - around
    useful = one.hard_stop_seconds - around
    if needed <= useful:
        return None
    limit = _limit(job, one)
    if not around:
        return f"needs {show_seconds(needed)}, more than {limit}"
    return f"needs {show_seconds(needed)}, but {limit} leaves {show_seconds(max(0.0, useful))}"


def _limited(job: JobConfig, offer: Offer, terms: Terms) -> bool:
    """A run on an owned machine costs nothing: only the user's own limits end it."""
    return offer.market != "owned" or job.budget.max_time is not None or terms.seconds_left is not None


def _limit(job: JobConfig, one: Candidate) -> str:
    """The limit that set the hard stop, by its name and value."""
    limits = job.budget
    shown = {
        "finish_by": limits.finish_by,
        "max_cost": f"{limits.max_cost or 0:.2f}",
        "max_time": show_seconds(limits.max_time or 0.0),
    }
    return f"{one.stopped_by} {shown[one.stopped_by]}" if one.stopped_by else "the hard stop"


def _on_market(job: JobConfig, run: Range | None, offer: Offer) -> Range | None:
    """On spot, interruptions make the job longer."""
    if run is None or offer.market != "spot":
        return run
    every = job.checkpoint.every if job.checkpoint else None
    delay = spot_delay(run, every or (600.0 if job.checkpoint else None))
    return Range(run.low, run.likely + delay, run.high + 2 * delay)


def _unified(need: Assessment) -> bool:
    spec = need.device.accelerator
    return bool(spec and spec.unified)
