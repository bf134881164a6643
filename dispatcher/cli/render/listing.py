"""Runs and costs as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dispatcher.app.reminders import line as told
from dispatcher.app.sightings import Seen
from dispatcher.backends.base import Leftover
from dispatcher.cli.render.console import bad, dim
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.domain.run import Run, RunState
from dispatcher.engine.glance import waiting
from dispatcher.engine.outcome import length_unknown
from dispatcher.store.records import MonthTotal
from dispatcher.units import show_seconds, show_usd

NARROW = 72
"""Below so many columns a run's age gives way."""
HEAD = ("RUN", "NAME", "STATE", "WHERE", "AGE", "TOOK", "COST", "EXIT")
AGE = HEAD.index("AGE")


def ps_lines(found: Sequence[Run], now: float, width: int) -> list[str]:
    """One line a run; what may still cost money stands first, and says so."""
    if not found:
        return ["No runs yet. Start one: mlrun train.yaml"]
    doubtful = [line for run in found if run.doubt for line in _doubtful(run, width)]
    rows = [HEAD, *(_row(run, now) for run in found)]
    if width < NARROW:
        rows = [(*row[:AGE], *row[AGE + 1 :]) for row in rows]
    head, *lines = table(rows[0], rows[1:], width=width, right=range(AGE, len(rows[0])), shrink=1)
    kept = [told(run, now) for run in found if not run.doubt and _kept(run)]
    left = [line for words, command in kept for line in wrapped(f"! {words}. {command}", width, "  ")]
    return [*doubtful, *left, dim(head), *lines]


def cost_lines(totals: Sequence[MonthTotal], width: int) -> list[str]:
    """One line a month."""
    if not totals:
        return ["No runs yet, no costs."]
    rows = [(one.month, f"{one.runs:,}", f"{one.hours:,.1f}", "free" if not one.usd else show_usd(one.usd)) for one in totals]
    return [*table(("MONTH", "RUNS", "HOURS", "COST"), rows, width=width, right=(1, 2, 3)), dim("Runs of this computer only.")]


def stranger_lines(seen: Seen, others: Sequence[Run], width: int) -> list[str]:
    """What the list does not say by itself: whose runs are not of this computer, and what other owners have."""
    lines = []
    if others:
        names = ", ".join(run.id[:4] for run in others)
        lines += wrapped(f"Of your other computers, by their tags: {names}. mlrun stop works from here.", width, "  ")
    if strangers := seen.strangers():
        owners = len({one.owner for one in strangers})
        words = f"{len(strangers)} things of {owners} other {'owner' if owners == 1 else 'owners'} in the same accounts"
        lines += wrapped(f"{words}: mlrun ps --json names them, mlrun sweep leaves them alone.", width, "  ")
    return [dim(line) for line in lines]


def stranger_record(one: Leftover) -> dict[str, Any]:
    """Something of another owner's, as the document shows it."""
    return {
        "where": one.where,
        "kind": one.kind,
        "id": one.id,
        "region": one.region,
        "run": one.label.run if one.label else None,
        "owner": one.owner,
        "age_seconds": round(one.age_seconds),
        "usd_per_hour": one.usd_per_hour,
    }


def _kept(run: Run) -> bool:
    return run.open and run.attempt is not None and (waiting(run) or run.state is RunState.HELD)


def _doubtful(run: Run, width: int) -> list[str]:
    words = f"! {run.name} ({run.id[:4]}): its {run.doubt} is not confirmed. mlrun stop {run.id[:4]}"
    return [bad(line) for line in wrapped(words, width, "  ")]


def _row(run: Run, now: float) -> tuple[str, ...]:
    attempt = run.attempt
    where = "here" if attempt is None or attempt.where == "local" else f"{attempt.where} {attempt.machine or ''}".strip()
    began, ended = run.started or run.submitted, run.ended or now
    state = str(run.state if run.open and not run.doubt else run.outcome or run.state)
    state = "in doubt" if run.doubt else "ended" if run.open and waiting(run) else state
    return (
        run.id,
        run.name,
        state,
        where,
        show_seconds(max(0.0, now - run.submitted)),
        _nothing(run) or show_seconds(max(0.0, ended - began)),
        f"{'≤ ' if length_unknown(run) else ''}{show_usd(run.cost_so_far)}" if run.cost_so_far else "free",
        "" if run.exit_code is None else str(run.exit_code),
    )


def _nothing(run: Run) -> str:
    """In place of how long a run took, where nobody knows, or nothing ran."""
    if not length_unknown(run):
        return ""
    return "–" if run.reason == "not-started" else "?"
