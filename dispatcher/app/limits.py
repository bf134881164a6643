"""Spending limits of the settings, checked before anything is launched."""

from __future__ import annotations

import calendar
import time
from typing import TYPE_CHECKING

from dispatcher.domain.plan import Candidate, Plan
from dispatcher.errors import NothingFits
from dispatcher.jobfile.settings import Limits
from dispatcher.overnight import night as nights
from dispatcher.overnight.night import Night
from dispatcher.scheduling.cron import next_firing
from dispatcher.units import show_usd

if TYPE_CHECKING:
    from dispatcher.store.store import Store


def check_limits(chosen: Candidate, limits: Limits, store: Store, now: float, times: int = 1) -> None:
    """Raise NothingFits where this run, which comes so often this month, could at worst spend more than the settings allow."""
    worst = chosen.cost.worst_case if chosen.cost else None
    if chosen.offer.market == "owned" or (limits.per_run is None and limits.per_month is None):
        return
    if worst is None:
        raise NothingFits("What this run would cost is not known, and the settings limit it.", fix="mlrun config show")
    if limits.per_run is not None and worst > limits.per_run:
        raise NothingFits(
            f"At worst this run costs {show_usd(worst)}, over limits.per_run {show_usd(limits.per_run)}.",
            fix="Lower budget.max_time or budget.max_cost, or raise the limit in config.yaml.",
        )
    if limits.per_month is None:
        return
    armed = sum(night.cost_worst * times_this_month(night, now) for night in nights.every() if store.get(night.id) is None)
    if (spent := month_so_far(store, now) + armed) + worst * times > limits.per_month:
        nightly = f", {show_usd(armed)} of it by scheduled nights" if armed else ""
        often = f" in {times} times" if times > 1 else ""
        raise NothingFits(
            f"This month {show_usd(spent)} are spent or promised{nightly}; at worst this run adds {show_usd(worst * times)}"
            f"{often}, over limits.per_month {show_usd(limits.per_month)}.",
            fix="Wait for runs to end, mlrun schedule ls, or raise the limit in config.yaml.",
        )


def foreseen(plan: Plan, limits: Limits) -> tuple[str, ...]:
    """What a plan says where its choice, or else the first that could be picked, is over the limit of one run."""
    able = (one for one in plan.candidates if one.surely and one.offer.market != "owned" and not one.changes)
    one = plan.chosen or next(able, None)
    worst = one.cost.worst_case if one and one.cost and one.offer.market != "owned" else None
    if worst is None or limits.per_run is None or worst <= limits.per_run:
        return ()
    most, likely = show_usd(limits.per_run), show_usd(worst)
    return (f"It would be refused: at worst {likely}, over limits.per_run {most} of the settings. A lower max_time would do.",)


def month_so_far(store: Store, now: float) -> float:
    """USD of this month's runs: what finished ones cost, and what open ones may at worst."""
    open_runs = [run for run in store.open_runs() if run.submitted >= month_start(now)]
    finished = sum(one.usd for one in store.totals(month_start(now))) - sum(run.cost_so_far for run in open_runs)
    return finished + sum(max(run.cost_so_far, run.cost_worst or 0.0) for run in open_runs)


def times_this_month(night: Night, now: float) -> int:
    """How often a night may cost its worst until this month ends: one that comes again every time, any at least once."""
    today = time.gmtime(now)
    end = month_start(now) + 86400 * calendar.monthrange(today.tm_year, today.tm_mon)[1]
    end, at, count = min(end, night.until or end), night.moment, 0
    while night.cron and at.timestamp() < end:
        at, count = next_firing(night.cron, at), count + 1
    return max(1, count)


def month_start(now: float) -> float:
    """Unix seconds at which this month began, in UTC."""
    today = time.gmtime(now)
    return now - ((today.tm_mday - 1) * 86400 + today.tm_hour * 3600 + today.tm_min * 60 + today.tm_sec)
