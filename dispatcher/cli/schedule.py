"""`mlrun schedule`: runs that begin later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli import overnight
from dispatcher.cli.render.console import caution, dim, document, good, say, width
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.cli.setup import AS_JSON
from dispatcher.errors import MlrunError

if TYPE_CHECKING:
    from dispatcher.app.overnight import There
    from dispatcher.jobfile.load import LoadedJob

CLOUDS = ("aws", "gcp")
"""Clouds that start runs by themselves."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def schedule() -> None:
    """Runs that begin later: on this computer, or in a cloud with this computer off.

    \b
      mlrun schedule add train.yaml --at 23:00
      mlrun schedule add train.yaml --at "tomorrow 01:00" --timezone Europe/Rome
      mlrun schedule add train.yaml --cron "0 1 * * 1-5"      weekdays at one
      mlrun schedule add a.yaml b.yaml --at 22:00 --one-after-another
      mlrun schedule add train.yaml --at 23:00 --where aws
      mlrun schedule add a.yaml b.yaml --at 22:00 --one-after-another --where aws --budget 20
      mlrun schedule ls
      mlrun schedule rm 3f9a2c
    """


@schedule.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB…", type=click.Path(path_type=Path))
@click.option("--at", metavar="TIME", help='Once: 23:00, "tomorrow 01:00", "2026-11-22 01:00".')
@click.option("--cron", metavar="CRON", help='Again and again: "0 1 * * 1-5".')
@click.option("--timezone", "zone", metavar="ZONE", help="The zone of these times; this computer's if not said.")
@click.option("--one-after-another", is_flag=True, help="Several jobs, in turn.")
@click.option("--budget", type=click.FloatRange(min=0, min_open=True), metavar="USD", help="Most that they cost together.")
@click.option("--where", metavar="PLACE", help="local; or aws, gcp: the cloud starts it, this computer may be off.")
@click.option("--max-time", metavar="TIME", help="Most each may take: 2h, 90m.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting that `run` takes.")
@click.option("--setup", "do_setup", is_flag=True, help="Run `setup` too.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing: where it costs money, too.")
@AS_JSON
def add(jobs: tuple[Path, ...], *, one_after_another: bool, **flags: Any) -> int:
    """Run jobs later; says when, and what could keep them from starting."""
    from dispatcher.errors import UsageError

    if len(jobs) > 1 and not one_after_another:
        raise UsageError("Several jobs at one time would share this computer.", fix="Add --one-after-another.")
    if len(jobs) == 1 and flags["budget"]:
        flags["max_cost"] = str(flags["budget"])  # a queue of one
    return later(jobs, flags, ())


def later(jobs: Sequence[Path], flags: Mapping[str, Any], words: Sequence[str]) -> int:
    """Schedule jobs as the flags of `mlrun JOB` say; `words` go to the job."""
    from dispatcher.app import schedules
    from dispatcher.cli.flags import by_flag, settings_of
    from dispatcher.scheduling.wakers import named

    now = datetime.now(UTC)
    said = ["--max-time", flags["max_time"]] if flags["max_time"] else []
    said += [word for pair in flags["sets"] for word in ("--set", pair)] + (["--setup"] if flags["do_setup"] else [])
    said += ["--", *words] if words else []
    wish = schedules.Wish(flags["at"], flags.get("cron"), flags.get("zone"), tuple(said), settings_of(flags))
    with by_flag(flags):
        planned = schedules.planned(jobs, wish, now, words)
    for sentence in _unheard(planned.loaded):
        say("\n".join(wrapped(f"{caution('!')} {sentence}", width(), "  ")))
    if any(one.chosen and one.chosen.offer.where in CLOUDS for one in planned.plans):
        from dispatcher.cli.overnight import arm

        return arm(planned, flags, now)
    made, _plans = schedules.keep(jobs, wish, planned, now)
    limits = [*named(made.waker).limits(), *schedules.unkept(planned.loaded)]
    if flags["as_json"]:
        document({"schema": "1.0", "schedule": record(made), "limits": limits})
    else:
        _say_added(made, limits, now)
    return 0


@schedule.command()
@AS_JSON
def ls(*, as_json: bool) -> int:
    """What is to come, and what came of the last time."""
    from dispatcher.scheduling import records

    now, found = datetime.now(UTC), list(records.every())
    there = _in_clouds(now)
    if as_json:
        document({"schema": "1.0", "schedules": [*(record(one) for one in found), *overnight.rows(there)]})
        return 0
    for file in records.unreadable():
        say(f"{caution('!')} {file} cannot be read: remove it, and add the schedule again.")
    if not found and not there:
        say('Nothing is scheduled. mlrun schedule add train.yaml --at "tonight 23:00"')
        return 0
    rows = [[one.id, _names(one), _next(one, now), _last(one)] for one in found] + overnight.listing(there, now)
    say("\n".join(table(["id", "job", "next", "last time"], rows, width=width(), shrink=3)), to_stdout=True)
    return 0


@schedule.command()
@click.argument("schedule_id", metavar="ID")
@AS_JSON
def rm(schedule_id: str, *, as_json: bool) -> int:
    """Forget a schedule; what runs already goes on."""
    from dispatcher.app import schedules
    from dispatcher.scheduling import records

    if not _here(schedule_id):
        return _remove_there(schedule_id, as_json=as_json)
    found = records.find(schedule_id)
    schedules.remove(found)
    if as_json:
        document({"schema": "1.0", "removed": record(found)})
    else:
        say(f"{good('✓')} {found.id} removed: {_names(found)} will not be started.")
    return 0


@schedule.command("run-now")
@click.argument("schedule_id", metavar="ID")
@AS_JSON
def run_now(schedule_id: str, *, as_json: bool) -> int:
    """Run a schedule's jobs now.

    On this computer its next time stays. One that a cloud starts is started there at once instead of at its time, by the
    same request, and its trigger is deleted; one that comes again (--cron) in a cloud is refused: mlrun JOB starts it.
    """
    from dispatcher.app import schedules
    from dispatcher.scheduling import records

    now = datetime.now(UTC).timestamp()
    if _here(schedule_id):
        return _fired(schedules.fire(records.find(schedule_id), now, early=True), as_json=as_json)
    from dispatcher.app import overnight as nights

    begun = nights.start_now(nights.find(schedule_id), now)
    cloud = overnight.CLOUDS[begun.where]
    if as_json:
        document({"schema": "1.0", "started": begun.id, "where": begun.where, "region": begun.region})
        return 0
    say(f"{good('✓')} {begun.name} is started on {cloud} in {begun.region}; its trigger is deleted. mlrun schedule ls")
    return 0


@schedule.command(hidden=True)
@click.argument("schedule_id", metavar="ID", required=False)
def due(schedule_id: str | None) -> int:
    """Run what is due: this is what the system's scheduler calls."""
    from dispatcher.app import schedules

    now, worst = datetime.now(UTC).timestamp(), 0
    for one in schedules.due(now, schedule_id):
        try:
            worst = max(worst, _fired(schedules.fire(one, now)))
        except MlrunError as error:
            say(f"{caution('!')} {one.id}: {error.message} {error.fix}".rstrip())
            worst = max(worst, error.exit_code)
    return worst


def _unheard(jobs: Sequence[LoadedJob]) -> list[str]:
    if not any(one.config.notify for one in jobs):
        return []
    from dispatcher.app.notices import unheard

    return [sentence for one in jobs for sentence in unheard(one.config, one.workdir)]


def _here(schedule_id: str) -> bool:
    """Whether this computer starts it; a cloud is only asked where it does not."""
    from dispatcher.app.overnight import starting
    from dispatcher.jobfile.settings import load_settings
    from dispatcher.scheduling import records

    return any(one.id.startswith(schedule_id) for one in records.every()) or not starting(load_settings())


def _in_clouds(now: datetime) -> list[There]:
    from dispatcher.app import overnight as nights
    from dispatcher.jobfile.settings import load_settings

    found: list[There] = []
    for where in nights.starting(load_settings()):
        try:
            found += nights.listed(where, now.timestamp())
        except MlrunError as error:
            say(f"{caution('!')} {overnight.CLOUDS[where]} was not looked at: {error.message}")
    return found


def _remove_there(schedule_id: str, *, as_json: bool) -> int:
    from dispatcher.app import overnight as nights

    found = nights.find(schedule_id)
    going = nights.remove(found)
    if as_json:
        document({"schema": "1.0", "removed": overnight.record(found), "goes_on": [one.id for one in going]})
        return 0
    if all(one.id != found.id for one in going):
        say(f"{good('✓')} {found.id[:6]} removed: {overnight.CLOUDS[found.where]} will not start {found.name}.")
    for one in going:
        text = f"{one.id[:6]}: what has begun goes on, and comes home. To end it: mlrun stop {one.label.run[:6]}"
        say("\n".join(wrapped(f"{caution('!')} {text}", width(), "  ")))
    return 0


def record(one: Any) -> dict[str, Any]:
    """A schedule as JSON."""
    return {
        "id": one.id,
        "job": one.jobs[0] if len(one.jobs) == 1 else list(one.jobs),
        "where": "local",
        "next": one.due.isoformat() if one.due else None,
        "cron": one.cron,
        "worst_case_usd": 0.0,
        "fired": [{"time": datetime.fromtimestamp(f.time, UTC).isoformat(), "outcomes": list(f.outcomes)} for f in one.fired],
    }


def _say_added(made: Any, limits: list[str], now: datetime) -> None:
    from dispatcher.moments import comes_twice, show_moment

    again = f", again at {made.cron!r}" if made.cron else ""
    say(f"{good('✓')} {made.id}: {_names(made)} starts {show_moment(made.due, now)}{again}, on this computer, free")
    if comes_twice(made.due):
        say(f"{caution('!')} The clock shows this time twice that night: the first is meant.")
    for sentence in limits:
        say("\n".join(wrapped(f"{caution('!')} {sentence}", width(), "  ")))
    say(dim(f"· woken by {made.waker} · mlrun schedule ls · mlrun schedule rm {made.id}"))


def _fired(one: Any, *, as_json: bool = False) -> int:
    outcomes = one.fired[-1].outcomes
    if as_json:
        document({"schema": "1.0", "started": one.id, "outcomes": list(outcomes)})
    for outcome in () if as_json else outcomes:
        say(f"· {outcome}")
    return 0 if all(outcome.partition(": ")[2].startswith("exit code 0") for outcome in outcomes) else 1


def _names(one: Any) -> str:
    return ", ".join(Path(job).name for job in one.jobs)


def _next(one: Any, now: datetime) -> str:
    from dispatcher.moments import show_moment

    if one.due is None:
        return "–"
    return ("missed: " if one.due < now else "") + show_moment(one.due, now)


def _last(one: Any) -> str:
    return "; ".join(one.fired[-1].outcomes) or "running" if one.fired else "–"
