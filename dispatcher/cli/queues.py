"""Several jobs on one rented machine in turn: asked for and shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli.render.console import bold, on_screen, say, width
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.errors import Cancelled, LoginNeeded, UsageError
from dispatcher.moments import show_moment
from dispatcher.units import show_seconds, show_usd

if TYPE_CHECKING:
    from dispatcher.app.queues import Queue
    from dispatcher.app.schedules import Planned
    from dispatcher.overnight.night import Night


def armed(made: Planned, flags: Mapping[str, Any], now: datetime) -> Night:
    """Ask, freeze, send."""
    from dispatcher.app import queues, runs
    from dispatcher.app.results import refuse_at_night
    from dispatcher.jobfile.settings import load_settings

    for one in made.loaded:
        refuse_at_night(one)
    queue, settings = queues.together(made, flags.get("budget")), load_settings()
    _agree(queue, made, flags, now)
    with runs.opened() as ctx:
        return queues.arm(queue, made, settings, ctx.store, now.timestamp())


def _agree(queue: Queue, made: Planned, flags: Mapping[str, Any], now: datetime) -> None:
    """Ask once for all of them."""
    from dispatcher.cli.elsewhere import LOGINS
    from dispatcher.cli.run import interactive

    offer = queue.machine.offer
    if not offer.usable:
        raise LoginNeeded(
            f"{offer.place} cannot be started: {offer.why_unusable}.", fix=LOGINS.get(offer.where, "mlrun doctor")
        )
    if not flags.get("as_json"):
        say("\n".join(lines(queue, made, now)))
    if flags.get("yes"):
        return
    words = question(queue, made, now)
    if not interactive():
        raise UsageError(f"{click.unstyle(words)} Nobody is there to answer, and nothing was made.", fix="Add --yes.")
    if not click.confirm("\n".join(on_screen(words, "  ")), default=False, err=True):
        raise Cancelled("Cancelled. Nothing was made.")


def lines(queue: Queue, made: Planned, now: datetime) -> list[str]:
    """The jobs in their order, their machine, and what they cost together."""
    machine, offer = queue.machine, queue.machine.offer
    rows = []
    for number, plan in enumerate(queue.plans, 1):
        one = plan.chosen
        assert one is not None
        hours = show_seconds(one.hours.likely * 3600) if one.hours else "unknown"
        likely = one.cost.likely if one.cost else None
        rows.append([str(number), plan.job.name, hours, show_usd(likely) if likely is not None else "unknown"])
    assert machine.cost is not None
    price = f", {show_usd(offer.price_per_hour)} per hour" if offer.price_per_hour is not None else ""
    life = show_seconds((machine.hard_stop_seconds or 0.0) + machine.grace_seconds)
    budget = f", which the budget of {show_usd(queue.budget)} sets" if machine.stopped_by == "max_cost" and queue.budget else ""
    first = (
        f"{bold('IN TURN')} on one {offer.place} ({offer.market}) in {offer.region}{price}, from {show_moment(made.due, now)}"
    )
    last = [
        f"at worst {show_usd(machine.cost.worst_case)}: the machine ends by itself {life} after its start{budget}",
        "a job that fails keeps none after it from starting; each comes home as a run of its own",
    ]
    jobs = [f"  {line}" for line in table(["", "job", "likely", "cost"], rows, width=width() - 2, shrink=1)]
    return [*wrapped(first, width(), "  "), *jobs, *(part for line in last for part in wrapped(f"  {line}", width(), "    "))]


def question(queue: Queue, made: Planned, now: datetime) -> str:
    """The one thing that is asked."""
    machine = queue.machine
    assert machine.cost is not None
    names = ", ".join(one.name for one in queue.loaded)
    at_worst = f"at worst {show_usd(machine.cost.worst_case)}"
    return f"Have {names} run on {machine.offer.place}, {show_moment(made.due, now)}, {at_worst}?"
