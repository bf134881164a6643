"""Runs on other machines: the question before, Ctrl-C meanwhile, second thoughts after."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click

from dispatcher.app import runs
from dispatcher.app.access import closed
from dispatcher.app.results import kept_in
from dispatcher.catalog.offers import NOT_LAUNCHED
from dispatcher.cli.render.consent import consent_lines, question
from dispatcher.cli.render.console import dim, on_screen, say, width
from dispatcher.doctor.credentials import AWS_FIX, GCP_FIX
from dispatcher.domain.plan import Plan
from dispatcher.domain.run import Run, RunState
from dispatcher.errors import Cancelled, LoginNeeded, NothingFits, UsageError
from dispatcher.events import Event, Listener, StateChanged
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings

SECOND_SECONDS = 3.0
"""So long a second Ctrl-C is waited for."""
LOGINS = {"aws": AWS_FIX, "gcp": GCP_FIX}
SAFE = frozenset({RunState.RUNNING, RunState.HELD})
OVER = frozenset({RunState.COLLECTING, RunState.TERMINATING, RunState.FINISHED})
SETTLED = SAFE | OVER


class Stage:
    """How far the run is, for whoever presses Ctrl-C."""

    def __init__(self) -> None:
        self.state: RunState | None = None
        self.left = False

    def hearing(self, listener: Listener) -> Listener:
        """The listener, after the state was noted."""

        def hear(event: Event) -> None:
            if isinstance(event, StateChanged):
                self.state = event.state
            listener(event)

        return hear


@contextmanager
def obeying_elsewhere(will: runs.Will, stage: Stage) -> Iterator[None]:
    """Ctrl-C and SIGTERM before the job's start cancel; then they leave the job to itself. A closed terminal only leaves."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if stage.state in SAFE:
            stage.left = True
            will.detach.set()
        elif stage.state is RunState.COLLECTING:
            if will.detach.is_set():
                will.hurry.set()
            else:
                _say("its outputs are being brought home; again leaves them on the machine, which waits")
            will.detach.set()
        elif stage.state in (RunState.TERMINATING, RunState.FINISHED):
            _say("the machine is being given back; this is seen to its end")
        else:
            _say("still giving back what was made" if will.cancel.is_set() else "cancelling; what was made is given back")
            will.cancel.set()

    def leave(_number: int, _frame: FrameType | None) -> None:
        will.detach.set()

    def terminate(_number: int, _frame: FrameType | None) -> None:
        if stage.state in SETTLED:
            say(
                dim("\n· told to end: the job goes on by itself" if stage.state in SAFE else "\n· told to end: seen to its end")
            )
            will.detach.set()
        else:
            say(dim("\n· told to end before the job was started: cancelling; what was made is given back"))
            will.cancel.set()

    with handling({signal.SIGINT: interrupt, signal.SIGTERM: terminate, signal.SIGHUP: leave}):
        yield


@contextmanager
def handling(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """These handlers, for as long as it lasts."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agreed(plan: Plan, loaded: LoadedJob, flags: dict[str, Any], settings: Settings) -> Plan:
    """The plan, once the user said yes to its place and its price."""
    from dispatcher.cli.run import interactive

    chosen = plan.chosen
    assert chosen is not None
    offer = chosen.offer
    if not offer.usable:
        if offer.why_unusable == NOT_LAUNCHED:
            raise NothingFits(f"{offer.place} cannot be started: {NOT_LAUNCHED}.", fix="Name a GPU in resources.gpu.")
        place = offer.where.partition(":")[0]
        why = closed(settings).get(place, offer.why_unusable)
        raise LoginNeeded(f"{offer.place} cannot be started: {why}.", fix=LOGINS.get(place, "mlrun doctor"))
    kept = kept_in(loaded, offer)
    if not (flags["quiet"] or flags["as_json"]):
        watched = flags["watched"] if "watched" in flags else runs.watched(offer.where)
        asked = {"detached": flags["detach"], "outputs": bool(loaded.config.outputs), "watched": watched}
        say("\n".join(consent_lines(plan, width(), kept=kept, **asked)))
    if offer.market == "owned" and not _of_others(offer.where, settings):
        return plan
    if flags["yes"]:
        return plan
    words = question(plan, time.time())
    if not interactive():
        raise UsageError(f"{click.unstyle(words)} Nobody is there to answer, and nothing was started.", fix="Add --yes.")
    if not click.confirm("\n".join(on_screen(words, "  ")), default=False, err=True):
        raise Cancelled("Cancelled. Nothing was started.")
    return plan


def second_thoughts(run: Run, stage: Stage) -> bool:
    """Whether the user, who has just left a running job, wants it ended after all: by another Ctrl-C, then by a word."""
    from dispatcher.cli.run import interactive

    if not (stage.left and run.open and run.doubt is None and interactive()):
        return False
    say(dim(f"· Ctrl-C again within {SECOND_SECONDS:.0f} s asks whether to stop it"))
    try:
        time.sleep(SECOND_SECONDS)
    except KeyboardInterrupt:
        try:
            return click.confirm("Stop the job, and give its machine back?", default=False, err=True)
        except (click.Abort, KeyboardInterrupt):
            return False
    return False


def _of_others(where: str, settings: Settings) -> bool:
    """Whether other people use that machine too."""
    host = settings.hosts.get(where.partition(":")[2])
    return host is not None and host.share == "idle"


def _say(words: str) -> None:
    say(dim(f"\n· Ctrl-C: {words}"))
