"""`sweep`: what exists in the clouds with our tags, against what should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dispatcher.app import machines, runs
from dispatcher.app.access import closed
from dispatcher.cli.render.console import bad, dim, document, good, say, width
from dispatcher.cli.render.errors import warn
from dispatcher.cli.render.tables import table
from dispatcher.cli.runs import AS_JSON, tell_warnings
from dispatcher.engine.sweep import Found
from dispatcher.errors import Cancelled, TeardownUnconfirmed, UsageError
from dispatcher.jobfile.settings import load_settings
from dispatcher.units import show_seconds, show_usd

MEANS = {
    "keep": "in use",
    "stranger": "another owner's",
    "elsewhere": "another computer's",
    "young": "too young to judge",
    "shared": "shared, costs nothing",
    "remove": "should not exist",
    "removed": "removed",
    "failed": "could not be removed",
}


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit code 107 if anything is left.")
@click.option("--any-owner", is_flag=True, help="Also what other owners and other computers made. Think twice.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing.")
@AS_JSON
def sweep(*, check: bool, any_owner: bool, yes: bool, as_json: bool) -> int:
    """List what exists in the clouds with our tags but should not, and remove it, asking once."""
    settings = load_settings()
    with runs.opened(tell_warnings) as ctx:
        places = machines.swept_places(ctx, settings)
        unseen = closed(settings)
        if not as_json:
            for cloud, why in unseen.items():
                say(dim(f"· {cloud} is not looked at: {why}"))
        found = machines.survey(ctx, places, any_owner=any_owner)
        wrong = [one for one in found if one.left]
        if not as_json:
            _show(found, [place.name for place in places])
        if not check and wrong:
            _agree(wrong, yes=yes, as_json=as_json)
            found = machines.sweep(ctx, places, found)
        elif not check:
            machines.settle(ctx)
        doubtful = [run for run in ctx.store.open_runs() if run.doubt]
    if as_json:
        document({"schema": "1.0", "leftovers": [_record(one) for one in found], "not_looked_at": unseen})
    elif not check and wrong:
        _tell(found)
    left = any(one.left for one in found) or bool(doubtful and not check)
    return TeardownUnconfirmed.exit_code if left else 0


def _show(found: Sequence[Found], places: Sequence[str]) -> None:
    shown = [one for one in found if one.action != "shared"]
    if not shown:
        nothing = f"{good('✓')} Nothing of ours exists in {' and '.join(places)}."
        say(nothing if places else "Nothing was looked at: there is no cloud to ask.", to_stdout=True)
        return
    rows = [_row(one) for one in shown]
    for line in table(("WHERE", "WHAT", "RUN", "AGE", "PER HOUR", ""), rows, width=width(), right=(3, 4), shrink=1):
        say(line, to_stdout=True)


def _row(one: Found) -> tuple[str, ...]:
    thing = one.leftover
    cost = "unknown" if thing.usd_per_hour is None else show_usd(thing.usd_per_hour) if thing.usd_per_hour else "–"
    where = " ".join(filter(None, (thing.where, thing.region)))
    run = thing.label.run[:4] if thing.label else "–"
    return (where, thing.id, run, show_seconds(thing.age_seconds), cost, MEANS[one.action])


def _agree(wrong: Sequence[Found], *, yes: bool, as_json: bool) -> None:
    from dispatcher.cli.run import interactive

    if yes:
        return
    labels = len({one.leftover.label for one in wrong})
    words = f"Remove {len(wrong)} things of {labels} {'run' if labels == 1 else 'runs'} that should not exist?"
    if as_json or not interactive():
        raise UsageError(f"{words} Nobody is there to answer, and nothing was removed.", fix="Add --yes, or --check.")
    if not click.confirm(words, default=False, err=True):
        raise Cancelled("Cancelled. Nothing was removed.")


def _tell(found: Sequence[Found]) -> None:
    removed = [one for one in found if one.action == "removed"]
    if removed:
        say(f"{good('✓')} {len(removed)} removed, and seen to be gone.")
    for one in (one for one in found if one.action == "failed"):
        warn(
            f"{one.leftover.kind} {one.leftover.id} on {one.leftover.where} may still cost money: {one.trouble}", "mlrun sweep"
        )
    if any(one.left for one in found):
        say(bad("✗ Something is left."))


def _record(one: Found) -> dict[str, Any]:
    thing = one.leftover
    return {
        "where": thing.where,
        "kind": thing.kind,
        "id": thing.id,
        "region": thing.region,
        "run": thing.label.run if thing.label else None,
        "owner": thing.owner,
        "age_seconds": round(thing.age_seconds),
        "usd_per_hour": thing.usd_per_hour,
        "action": one.action,
    }
