"""The jobs that ran in turn on one machine, summed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dispatcher.cli.render.console import bold
from dispatcher.cli.render.tables import table
from dispatcher.domain.plan import figures
from dispatcher.domain.run import Outcome, Run
from dispatcher.engine.outcome import explain
from dispatcher.units import show_seconds, show_usd

if TYPE_CHECKING:
    from dispatcher.store.store import Store


def queue_of(run: Run, store: Store) -> dict[str, Any]:
    """A run's queue as JSON; empty where it was in none."""
    if not isinstance(told := run.job.get("queue"), dict):
        return {}
    from dispatcher.app.queues import siblings

    found = siblings(run, store)
    rows = [
        {
            "id": one.id, "name": one.name, "outcome": one.outcome and str(one.outcome), "exit_code": one.exit_code,
            "words": explain(one), "seconds": one.phases_seconds.get("run"), "cost_usd": figures(one.cost_so_far),
        }
        for one in found
    ]  # fmt: skip
    return {
        "id": told["id"], "of": told["of"], "budget_usd": told.get("budget_usd"), "runs": rows,
        "succeeded": sum(one.outcome is Outcome.SUCCEEDED for one in found),
        "cost_usd": figures(sum(one.cost_so_far for one in found)),
    }  # fmt: skip


def queue_lines(queue: dict[str, Any], width: int) -> list[str]:
    """The same for people; nothing where there was no queue."""
    if not queue:
        return []
    head = ["job", "outcome", "took", "cost"]
    return ["", f"{bold('QUEUE')}  {in_words(queue)}", *table(head, cells(queue), width=width, shrink=1)]


def in_words(queue: dict[str, Any]) -> str:
    """How many succeeded, how long they took, what they cost together."""
    most = f" of {show_usd(queue['budget_usd'])}" if queue["budget_usd"] else ""
    took = show_seconds(sum(one["seconds"] or 0.0 for one in queue["runs"]))
    return f"{queue['succeeded']} of {queue['of']} succeeded, together {took} and {show_usd(queue['cost_usd'])}{most}"


def cells(queue: dict[str, Any]) -> list[list[str]]:
    """A row for each job."""
    return [[f"{one['name']} ({one['id'][:4]})", _ending(one), _took(one), show_usd(one["cost_usd"])] for one in queue["runs"]]


def _ending(one: dict[str, Any]) -> str:
    return str(one["outcome"]) if one["outcome"] == "succeeded" else f"{one['outcome']}: {one['words']}"


def _took(one: dict[str, Any]) -> str:
    return show_seconds(one["seconds"]) if one["seconds"] else "–"
