"""`ps`, `logs`, `attach`, `stop` and `costs`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

import click

from dispatcher.app import runs
from dispatcher.app.hidden import values_of
from dispatcher.app.redact import Redactor
from dispatcher.cli.completing import run_names
from dispatcher.cli.render.console import dim, document, say, width
from dispatcher.cli.render.errors import warn
from dispatcher.cli.render.live import JsonLines, Screen, ended
from dispatcher.cli.render.records import run_record
from dispatcher.cli.render.sanitise import Sanitiser
from dispatcher.domain.run import Run
from dispatcher.engine.context import Context
from dispatcher.engine.holding import WISH
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import Cancelled, RunBusy, UsageError
from dispatcher.events import Event, Listener, LogBytes, Warned
from dispatcher.jobfile.settings import Settings, sound_settings

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON to stdout.")
RUN = click.argument("run", metavar="RUN", shell_complete=run_names)
CHUNK = 1 << 20
WAIT = 0.05
"""Seconds between looks at a file that grows."""
KEPT_SECONDS = 3600.0
"""How long `stop --keep` holds a machine; `hold` makes it longer."""
PS_SECONDS = 10.0
"""How long a list of runs asks machines elsewhere whether their job has ended."""
LOOK = 0.5
"""Seconds between looks at whether the run has ended."""


def tell_warnings(event: Event) -> None:
    """Of what happens, only what should not."""
    if isinstance(event, Warned):
        warn(event.message, event.fix)


def settings() -> Settings:
    """For verbs that only look after runs: what is wrong in config.yaml is told, and keeps nobody from them."""
    found, error = sound_settings()
    if error:
        warn(f"{error.message}; what is wrong there is not heeded", "mlrun doctor")
    return found


def _but_reminders(event: Event) -> None:
    """What a list of runs says anyway is not said twice."""
    if isinstance(event, Warned) and not event.run:
        tell_warnings(event)


@click.command()
@click.option("-n", "--number", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@click.option("-a", "--all", "everything", is_flag=True, help="Every run ever.")
@AS_JSON
def ps(number: int, *, everything: bool, as_json: bool) -> int:
    """Runs, newest first; those that are open always, also of your other computers, where a cloud's tags tell."""
    from dispatcher.cli.render.listing import ps_lines, stranger_lines, stranger_record
    from dispatcher.engine.teardown import spent

    with runs.opened(_but_reminders, without_record=True, glancing=PS_SECONDS) as ctx:
        found = ctx.store.recent(-1 if everything else number)
        known = {run.id for run in found}
        found += [run for run in ctx.store.open_runs() if run.id not in known]
        now = ctx.clock.now()
        seen = runs.elsewhere(ctx, settings())
        others = seen.runs(now, lambda run: ctx.store.get(run) is not None)
        found = [*others, *found]
    for run in found:
        run.cost_so_far = spent(run, now) if run.open else run.cost_so_far
    if as_json:
        strangers = [stranger_record(one) for one in seen.strangers()]
        document({"schema": "1.0", "runs": [run_record(run, _log(run)) for run in found], "strangers": strangers})
    else:
        say("\n".join([*ps_lines(found, now, width()), *stranger_lines(seen, others, width())]), to_stdout=True)
    return 0


@click.command()
@RUN
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "--lines", type=click.IntRange(0), help="Only the last so many lines.")
@click.option("--setup", "setup_log", is_flag=True, help="The output of `setup` instead.")
@AS_JSON
def logs(run: str, *, follow: bool, lines: int | None, setup_log: bool, as_json: bool) -> int:
    """A run's output, byte for byte. RUN is an id, the start of one, a name, or `last`."""
    from dispatcher.app import machines

    name = "setup.log" if setup_log else "log"
    with runs.opened(tell_warnings, without_record=True, about=run) as ctx:
        found = runs.find(ctx, run, settings())
        if name == "log":
            machines.catch_up(ctx, found)
        if not follow and runs.log_path(found, name) is None:
            say(dim("no output was written"))
        listener = JsonLines(values_of(found))
        write = _as_events(listener, found) if as_json else None
        pour(ctx, found, name=name, follow=follow, lines=lines, write=write)
        listener.close()
    return 0


def _as_it_is(hidden: Redactor) -> Callable[[int, bytes], None]:
    """To stdout byte for byte, but for secrets; a terminal gets no sequences that could harm it."""
    sanitiser = Sanitiser() if sys.stdout.isatty() else None

    def write(_offset: int, chunk: bytes) -> None:
        chunk = hidden.feed(chunk)
        sys.stdout.buffer.write(sanitiser.feed(chunk) if sanitiser else chunk)
        sys.stdout.buffer.flush()

    return write


def _as_events(listener: Listener, run: Run) -> Callable[[int, bytes], None]:
    def write(offset: int, chunk: bytes) -> None:
        listener(LogBytes(run.id, time.time(), offset, chunk))

    return write


def pour(
    ctx: Context,
    run: Run,
    *,
    name: str = "log",
    follow: bool,
    lines: int | None = None,
    write: Callable[[int, bytes], None] | None = None,
) -> None:
    """Write a run's log to stdout; with `follow`, until the run has ended, or the user leaves."""

    def going_on() -> bool:
        return follow and not ctx.detach.is_set() and runs.going_on(ctx, run.id)

    path = runs.log_path(run, name)
    while path is None and going_on():
        ctx.clock.sleep(WAIT, ctx.detach)
        path = runs.log_path(ctx.store.find(run.id), name)
    if path is None:
        return
    hidden = Redactor(() if write else values_of(run))
    write = write or _as_it_is(hidden)
    with path.open("rb") as file:
        offset = file.seek(_last_lines(file, lines) if lines is not None else 0)
        for chunk in _chunks(file, going_on, ctx):
            if follow and ctx.detach.is_set():
                break
            write(offset, chunk)
            offset += len(chunk)
    sys.stdout.buffer.write(hidden.rest())
    sys.stdout.buffer.flush()


def _chunks(file: BinaryIO, going_on: Callable[[], bool], ctx: Context) -> Iterator[bytes]:
    """What stands in the file, and what is added for as long as the run goes on."""
    last, looked = False, 0.0
    while True:
        chunk = file.read(CHUNK)
        if chunk:
            yield chunk
        elif last:
            return
        else:
            if time.monotonic() - looked > LOOK:
                last, looked = not going_on(), time.monotonic()
            if not last and ctx.clock.sleep(WAIT, ctx.detach):
                return


def _last_lines(file: BinaryIO, count: int) -> int:
    """The offset at which the last `count` lines begin."""
    position = file.seek(0, os.SEEK_END)
    found = -1 if position and _byte_at(file, position - 1) == b"\n" else 0
    while position > 0:
        size = min(CHUNK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        for index in range(len(block) - 1, -1, -1):
            found += block[index] == 10
            if found >= count:
                return position + index + 1
    return 0


def _byte_at(file: BinaryIO, position: int) -> bytes:
    file.seek(position)
    return file.read(1)


@click.command()
@RUN
@AS_JSON
def attach(run: str, *, as_json: bool) -> int:
    """Follow a run to its end, from its first byte. Ctrl-C asks nothing and ends nothing: the run goes on."""
    from dispatcher.cli.running import leaving, told

    listener = JsonLines() if as_json else Screen()
    will = runs.Will()
    with runs.opened(listener, will, about=run) as ctx, leaving(will):
        found = runs.find(ctx, run, settings(), open_first=True)
        listener.take_up(found)
        write = _as_events(listener, found) if as_json else None
        try:
            found = _followed(ctx, found, write)
        except RunBusy:
            pour(ctx, found, follow=True, write=write)
            found = ctx.store.find(found.id)
    listener.close()
    if isinstance(listener, JsonLines) and not listener.ended:
        ended(found)
    code = told(found, quiet=as_json)
    return 0 if found.open and not found.doubt and will.detach.is_set() else code


def _followed(ctx: Context, run: Run, write: Callable[[int, bytes], None] | None) -> Run:
    """The run to its end; one that has ended already is shown whole."""
    if run.open and (run.attempt is None or run.attempt.where == "local"):
        return runs.follow(ctx, run.id)
    pour(ctx, run, follow=False, write=write)  # what stands here already; where it goes on, the rest follows at the very byte
    return runs.follow(ctx, run.id) if run.open else run


@click.command()
@RUN
@click.option("--grace", default="30s", show_default=True, metavar="TIME", help="Between asking the job to end and ending it.")
@click.option("--keep", is_flag=True, help="Hold its machine for an hour: mlrun JOB --on RUN, mlrun hold RUN 2h.")
@AS_JSON
def stop(run: str, grace: str, *, keep: bool, as_json: bool) -> int:
    """End a run: the job is asked first; outputs are kept. Its machine is given back, or held with --keep."""
    from dispatcher.cli.running import told
    from dispatcher.hosts.job import longest_end
    from dispatcher.units import parse_seconds, show_seconds

    try:
        seconds = parse_seconds(grace)
    except ValueError as why:
        raise UsageError(f"--grace {grace}: {why}") from None
    listener = JsonLines() if as_json else Screen()
    with runs.opened(listener, without_record=True, about=run) as ctx:
        before = runs.find(ctx, run, settings(), open_first=True)
        listener.take_up(before)
        if not before.open:
            say(dim(f"{before.name} had ended already: {before.outcome}"))
            if as_json:
                ended(before)
            return 0
        if before.started and not as_json:
            say(dim(f"· asked to stop; the job has up to {show_seconds(longest_end(seconds))}"))
        try:
            found = runs.stop(ctx, before.id, seconds, keep=KEPT_SECONDS if keep else None)
        except KeyboardInterrupt:
            if (found := ctx.store.find(before.id)).doubt:
                say("")
                return told(found, quiet=False)
            say(dim(f"\n· Ctrl-C: not waited for; the job, once asked, ends all the same: mlrun attach {before.id[:4]}"))
            return Cancelled.exit_code
    listener.close()
    told(found, quiet=as_json)
    return exit_code(found) if found.open and found.held_for != WISH else 0


@click.command()
@click.option("--month", is_flag=True, help="This month only.")
@AS_JSON
def costs(*, month: bool, as_json: bool) -> int:
    """What runs have cost, by month. Knows the runs of this computer."""
    from dispatcher.cli.render.listing import cost_lines

    with runs.opened(tell_warnings, without_record=True) as ctx:
        totals = ctx.store.totals(_month_start(ctx.clock.now()) if month else 0.0)
    if as_json:
        rows = [{"month": t.month, "runs": t.runs, "hours": round(t.hours, 4), "usd": round(t.usd, 4)} for t in totals]
        document({"schema": "1.0", "months": rows, "seen": "this computer"})
    else:
        say("\n".join(cost_lines(totals, width())), to_stdout=True)
    return 0


def _log(run: Run) -> str | None:
    path = runs.log_path(run)
    return str(path) if path else None


def _month_start(now: float) -> float:
    today = time.gmtime(now)
    return now - ((today.tm_mday - 1) * 86400 + today.tm_hour * 3600 + today.tm_min * 60 + today.tm_sec)
