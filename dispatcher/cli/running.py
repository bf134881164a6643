"""From plan to run: questions, Ctrl-C, last words."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import click

from dispatcher.app import runs, submit
from dispatcher.app.hidden import values
from dispatcher.app.notices import unheard
from dispatcher.cli.elsewhere import LOGINS, OVER, Stage, agreed, handling, obeying_elsewhere, second_thoughts
from dispatcher.cli.render.console import dim, document, say, width
from dispatcher.cli.render.errors import warn
from dispatcher.cli.render.live import JsonLines, Screen, ended, planned_record
from dispatcher.cli.render.plan import plan_lines
from dispatcher.cli.render.receipt import here_lines, last_words
from dispatcher.domain.plan import SCHEMA, Candidate, Plan
from dispatcher.domain.run import Run
from dispatcher.engine.context import STOP_GRACE
from dispatcher.engine.outcome import exit_code
from dispatcher.errors import Cancelled, LoginNeeded, NothingFits, UsageError
from dispatcher.hosts.job import longest_end
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings, load_settings
from dispatcher.units import parse_seconds, show_seconds

Changed = Callable[[dict[str, Any]], LoadedJob]
"""Loads the job again with changed settings, so that its command changes too."""


def start(loaded: LoadedJob, plan: Plan, flags: dict[str, Any], again: Changed) -> int:
    """Ask where there is something to ask, run, tell. Returns the exit code."""
    refuse_unbuilt(loaded)
    settings, keep = load_settings(), seconds_of("keep", flags.get("keep"))
    plan = plan if flags.get("on") else decided(plan, loaded, flags, settings)
    if plan.chosen and plan.chosen.changes:
        loaded = again(plan.chosen.changes)
    quiet = flags["quiet"] or flags["progress"] == "quiet" or flags["as_json"]
    here = plan.chosen is not None and plan.chosen.offer.where == "local" and not flags.get("on")
    if here and not flags.get("resume"):
        _introduce(loaded, plan, flags, quiet=quiet, keep=keep)
    hidden = values(loaded.config.secrets, loaded.workdir)
    listener = JsonLines(hidden) if flags["as_json"] else Screen(quiet=quiet, hidden=hidden)
    will, stage = runs.Will(), Stage()
    if flags["detach"]:
        will.detach.set()
    with (
        runs.opened(stage.hearing(listener), will, about=flags.get("on")) as ctx,
        obeying(will, stage) if here else obeying_elsewhere(will, stage),
    ):
        before = ctx.store.find(flags["resume"]) if flags.get("resume") else None
        if before and here:
            submit.saved_by(before, loaded)
            _introduce(loaded, plan, flags, quiet=quiet, keep=keep)
        if flags.get("on"):
            lender = ctx.store.find(flags["on"])
            run = submit.submit_on(ctx, loaded, plan, settings, lender, resume=before)
        else:
            named = bool(flags.get("machine"))
            run = submit.submit(ctx, loaded, plan, settings, do_setup=flags["do_setup"], keep=keep, named=named, resume=before)
    listener.close()
    code = told(run, quiet=quiet)
    if flags.get("on") and not run.open and not quiet:
        say("\n".join(last_words(lender, None, width())))  # what goes on costing money
    if flags["as_json"] and run.open:
        ended(run)
    if not second_thoughts(run, stage):
        return code
    with runs.opened(listener, about=run.id) as ctx:
        run = runs.stop(ctx, run.id, STOP_GRACE)
    return told(run, quiet=quiet)


def _introduce(loaded: LoadedJob, plan: Plan, flags: dict[str, Any], *, quiet: bool, keep: float | None) -> None:
    """Before a run on this computer: what it needs, why here, and what is not done here."""
    if not quiet:
        say("\n".join(here_lines(plan, width())))
    _say_setup(loaded, flags)
    if loaded.config.results and not quiet:
        say(dim("· results: is for rented machines; outputs stay here, and are copied nowhere"))
    if keep is not None and not quiet:
        say(dim("· --keep is for machines elsewhere; nothing has to be held of this one"))


def seconds_of(flag: str, text: str | None) -> float | None:
    """What a flag says as a time, in seconds."""
    try:
        return parse_seconds(text) if text else None
    except ValueError as why:
        raise UsageError(f"--{flag} {text}: {why}") from None


def refuse_unbuilt(loaded: LoadedJob) -> None:
    """Keys that are understood, but that nothing carries out yet."""
    config = loaded.config
    if config.import_ and config.import_.command:
        raise UsageError(
            "import.command: printed configurations are not read by this version.",
            fix="Write its output to a file, and name that in import.file.",
        )
    if config.schedule:
        say(dim("· schedule: is for `mlrun schedule add`; the job runs now"))
    for sentence in unheard(config, loaded.workdir) if config.notify else ():
        warn(sentence)


def told(run: Run, *, quiet: bool) -> int:
    """The run's last words, and its exit code."""
    if not quiet:
        say("\n".join(last_words(run, runs.log_path(run), width(), setup_log=runs.log_path(run, "setup.log"))))
    return exit_code(run)


def decided(plan: Plan, loaded: LoadedJob, flags: dict[str, Any], settings: Settings) -> Plan:
    """The plan with a choice that may be started; asks, insists or refuses."""
    plan = in_line(plan, loaded)
    chosen = plan.chosen
    if chosen is None:
        return _insisting(plan, loaded, flags)
    if chosen.offer.where != "local":
        return agreed(plan, loaded, flags, settings)
    if chosen.changes:
        _ask(f"This changes settings of the job ({_changes(chosen)}). Run it?", flags)
    if not chosen.surely:
        warn("It may not fit: " + " ".join(plan.here.reasons))
    return plan


def in_line(plan: Plan, loaded: LoadedJob) -> Plan:
    """Where the job names one computer, and all that is against it is that others use it now: it is waited for."""
    where = loaded.config.where
    able = [i for i, c in enumerate(plan.candidates) if c.surely and not c.changes and c.offer.where == where]
    if plan.choice is not None or not where.startswith("ssh:") or not able:
        return plan
    waited = replace(plan.candidates[able[0]], offer=replace(plan.candidates[able[0]].offer, usable=True))
    candidates = tuple(waited if i == able[0] else c for i, c in enumerate(plan.candidates))
    return replace(plan, candidates=candidates, choice=able[0])


def _insisting(plan: Plan, loaded: LoadedJob, flags: dict[str, Any]) -> Plan:
    """`--where local` runs here what does not surely fit, after a warning; else it is an error with its reasons."""
    here = [i for i, c in enumerate(plan.candidates) if c.offer.where == "local" and not c.changes]
    if loaded.config.where == "local" and here:
        warn("It may not fit here: " + " ".join(plan.here.reasons) + " Going on, because --where local insists.")
        return plan.picked(here[0])
    if flags["as_json"]:
        document({"schema": SCHEMA, **planned_record(plan)}, line=True)
    else:
        say("\n".join(plan_lines(plan, width=width())))
    if wanted := _login_wanted(plan, loaded):
        raise wanted
    reasons = " ".join(plan.here.reasons) or "no machine was found."
    raise NothingFits(f"Nothing was started: {reasons}", fix=_instead(plan))


def _instead(plan: Plan) -> str:
    """What to type where nothing could be chosen: the changes with which it runs, else how to insist."""
    index = plan.with_changes
    if index is None:
        return f"{_again(plan)} --where local insists; {_again(plan, 'plan ')} --all shows everything."
    free = f"{_again(plan)} --pick {index + 1} runs it here with {_changes(plan.candidates[index])}"
    return f"{free}; {_again(plan, 'plan ')} --all shows everything."


def _login_wanted(plan: Plan, loaded: LoadedJob) -> LoginNeeded | None:
    """Where only a cloud would do, and the login to it is all that is missing."""
    place = loaded.config.where.partition("/")[0]
    shut = next((c.offer for c in plan.candidates if c.surely and not c.offer.usable), None)
    if place not in ("cloud", *LOGINS) or shut is None:
        return None
    return LoginNeeded(f"{shut.place} would do, but {shut.where} {shut.why_unusable}.", fix=LOGINS[shut.where])


def _again(plan: Plan, verb: str = "") -> str:
    """The command for this very file."""
    return f"mlrun {verb}{shlex.quote(plan.job.file or 'JOB')}"


def _changes(chosen: Candidate) -> str:
    return ", ".join(f"{key} {value}" for key, value in chosen.changes.items())


def _ask(question: str, flags: dict[str, Any]) -> None:
    from dispatcher.cli.run import interactive

    if flags["yes"]:
        return
    if not interactive():
        raise UsageError(f"{question} Nobody is there to answer.", fix="Add --yes.")
    if not click.confirm(question, default=False, err=True):
        raise Cancelled("Cancelled. Nothing was started.")


def _say_setup(loaded: LoadedJob, flags: dict[str, Any]) -> None:
    if not loaded.config.setup or flags["quiet"] or flags["as_json"]:
        return
    if flags["do_setup"]:
        say(dim("· setting up first: mlrun logs last --setup shows it"))
    else:
        say(dim("· setup is not run here, as it could change your environment: --setup runs it"))


@contextmanager
def obeying(will: runs.Will, stage: Stage) -> Iterator[None]:
    """Ctrl-C and SIGTERM end a job that runs here, twice at once. A closed terminal leaves it running."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if will.cancel.is_set():
            will.hurry.set()
        elif stage.state in OVER:
            said = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            say(dim(f"\n· {said}: the job is over; this is seen to its end"))
        else:
            most = show_seconds(longest_end(STOP_GRACE))
            said = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
            say(dim(f"\n· {said}: ending the job, which has up to {most}; again ends it at once"))
        will.cancel.set()

    def leave(_number: int, _frame: FrameType | None) -> None:
        will.detach.set()

    with handling({signal.SIGINT: interrupt, signal.SIGTERM: interrupt, signal.SIGHUP: leave}):
        yield


@contextmanager
def leaving(will: runs.Will) -> Iterator[None]:
    """Whoever only watches ends nothing: Ctrl-C leaves."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        will.detach.set()

    with handling({signal.SIGINT: leave, signal.SIGTERM: leave, signal.SIGHUP: leave}):
        yield
