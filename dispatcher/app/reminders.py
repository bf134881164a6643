"""What every command says of machines that cost money while nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from dispatcher.domain.run import Attempt, Run, RunState
from dispatcher.engine.borrowed import HELD_MARKET
from dispatcher.engine.glance import waiting
from dispatcher.engine.teardown import spent
from dispatcher.events import Warned
from dispatcher.moments import show_time
from dispatcher.units import show_usd

MOST = 5
"""So many runs have a line each."""


def reminders(runs: Iterable[Run], now: float, about: str | None = None) -> Iterator[Warned]:
    """One line for each open run on a rented machine, the doubtful first; none for the run that the command is about."""
    open_runs = [run for run in runs if run.attempt and _told_of(run, run.attempt)]
    shown = sorted((run for run in open_runs if not is_meant(run, about)), key=lambda run: run.doubt is None)
    for run in shown[:MOST]:
        words, fix = line(run, now)
        yield Warned(run.id, now, words, fix)
    if len(shown) > MOST:
        yield Warned("", now, f"{len(shown) - MOST} more runs have rented machines", "mlrun ps")


def at_a_glance() -> list[Warned]:
    """The same, read without opening the record: for commands that have no need of it."""
    from dispatcher import paths
    from dispatcher.store.observations import open_documents

    documents = open_documents(paths.database())
    if not documents:
        return []
    from dispatcher.errors import HostError
    from dispatcher.store.records import from_document

    try:
        return list(reminders(map(from_document, documents), time.time()))
    except HostError:
        return []  # the next command that opens the record says so


def line(run: Run, now: float) -> tuple[str, str]:
    """What it is, what it costs, when it ends by itself; and the command to type."""
    attempt, short = run.attempt, run.id[:4]
    assert attempt is not None
    what = f"{run.name} ({short})"
    if not attempt.rented and waiting(run):
        return f"{what} has ended on {place(attempt)} ({run.outcome}), and what it left waits there", f"mlrun fetch {short}"
    tail = f"{price(attempt)}, {show_usd(spent(run, now))} so far, {ending(run, now)}"
    if run.doubt:
        return f"{what} may still exist on {place(attempt)}: its {run.doubt} is not confirmed; {tail}", f"mlrun stop {short}"
    if run.state is RunState.COLLECTING and waiting(run):
        words = f"{what} has ended on {place(attempt)} ({run.outcome}), waiting to be fetched"
        return f"{words}: {tail}", f"mlrun fetch {short}"
    if run.state is RunState.HELD:
        why = "its outputs are not home yet" if run.held_for == "outputs" else "kept as you asked"
        return f"{what} is held on {place(attempt)}, {why}: {tail}", f"mlrun fetch {short} or mlrun stop {short}"
    if (end := run.alone_until) is not None and now > end:
        return f"{what} was to end by itself on {place(attempt)}; nobody has looked since: {tail}", f"mlrun attach {short}"
    return f"{what} is {run.state} on {place(attempt)}: {tail}", f"mlrun attach {short}"


def _told_of(run: Run, attempt: Attempt) -> bool:
    return (attempt.rented and attempt.market != HELD_MARKET) or waiting(run)


def place(attempt: Attempt) -> str:
    """aws g4dn.xlarge us-east-1."""
    return " ".join(filter(None, (attempt.where, attempt.machine, attempt.region)))


def price(attempt: Attempt) -> str:
    """What an hour of it costs, in words."""
    hourly = attempt.price_per_hour
    return f"{show_usd(hourly + attempt.beside_per_hour)} per hour" if hourly is not None else "at a price nobody states"


def ending(run: Run, now: float) -> str:
    """When its machine ends by itself, on this computer's clock."""
    end = run.alone_until
    if end is None:
        return "nothing ends it but you"
    return f"{'ended' if now > end else 'ends'} by itself at {show_time(end, now)}"


def is_meant(run: Run, about: str | None) -> bool:
    """Whether a command about `about` is about this run."""
    return bool(about) and (run.id.startswith(str(about)) or run.name == about or about == "last")
