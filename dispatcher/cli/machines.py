"""`fetch`, `hold` and `ssh`: machines of open runs."""

from __future__ import annotations

import os
import subprocess

import click

from dispatcher.app import machines, runs
from dispatcher.cli.render.console import bold, dim, document, good, say, width
from dispatcher.cli.render.live import JsonLines, Screen
from dispatcher.cli.render.receipt import last_words
from dispatcher.cli.render.records import run_record
from dispatcher.cli.running import seconds_of
from dispatcher.cli.runs import AS_JSON, RUN, settings, tell_warnings
from dispatcher.domain.run import Run
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import HostError, UsageError
from dispatcher.moments import show_time


@click.command()
@RUN
@AS_JSON
def fetch(run: str, *, as_json: bool) -> int:
    """Bring a run's outputs home. A machine that was held only for them is given back then."""
    listener = JsonLines() if as_json else Screen()
    with runs.opened(listener, about=run) as ctx:
        found = runs.find(ctx, run, settings())
        if not found.open:
            raise UsageError(
                f"{found.name} ({found.id}) has ended: what it left is here already.", fix=f"mlrun report {found.id}"
            )
        listener.take_up(found)
        found = machines.fetch(ctx, found)
    listener.close()
    if as_json:
        document({"schema": "1.0", **run_record(found, _log(found))}, line=True)
    elif found.open:
        count = "1 output" if len(found.outputs) == 1 else f"{len(found.outputs)} outputs"
        say(f"{good('✓')} {count} of {found.name} here; its machine goes on as it was.")
    else:
        say("\n".join(last_words(found, runs.log_path(found), width())))
    return exit_code(found) if found.doubt or (found.open and not found.outputs and found.held_for) else 0


@click.command()
@RUN
@click.argument("duration", metavar="TIME")
@AS_JSON
def hold(run: str, duration: str, *, as_json: bool) -> int:
    """Have a run's machine wait for TIME (2h, 90m) from now, after its job has ended. It never outlives its hard end."""
    seconds = seconds_of("hold", duration)
    if not seconds:
        raise UsageError("hold: say for how long, like 2h.")
    with runs.opened(tell_warnings, about=run) as ctx:
        found = machines.hold(ctx, runs.find(ctx, run, settings()), seconds)
        now = ctx.clock.now()
    if as_json:
        document({"schema": "1.0", **run_record(found, _log(found))})
        return 0
    until = found.held_until or now
    short = " (its hard end; nothing moves that)" if until < now + seconds - 1 else ""
    say(f"{good('✓')} {found.name} keeps its machine until {show_time(until, now)}{short}. {_costs(found)}")
    return 0


@click.command(context_settings={"ignore_unknown_options": True})
@RUN
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@AS_JSON
def ssh(run: str, command: tuple[str, ...], *, as_json: bool) -> int:
    """A shell on a run's machine, or a command there. Also makes `ssh mlrun-RUN` work for as long as the machine lives."""
    with runs.opened(tell_warnings, about=run) as ctx:
        file, alias = machines.shell(ctx, runs.find(ctx, run, settings()))
    if as_json:
        document({"schema": "1.0", "host": alias, "config": str(file), "include": f"{machines.ssh_folder()}/*.conf"})
        return 0
    if not command:
        say(dim(f"· for plain `ssh {alias}`, once: a line at the top of ~/.ssh/config saying"))
        say(f"    {bold(f'Include {machines.ssh_folder()}/*.conf')}")
    try:
        return subprocess.run(["ssh", "-F", str(file), alias, *command], env=os.environ, check=False).returncode
    except FileNotFoundError:
        raise HostError("There is no `ssh` on this computer.", fix="Install OpenSSH's client.") from None


def _costs(run: Run) -> str:
    from dispatcher.app.reminders import price

    return f"It costs {price(run.attempt)}." if run.attempt and run.attempt.rented else ""


def _log(run: Run) -> str | None:
    path = runs.log_path(run)
    return str(path) if path else None
