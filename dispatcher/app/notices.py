"""Telling whoever a job names how its run stands: each word once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dispatcher import paths
from dispatcher.app.reminders import place
from dispatcher.domain.run import Outcome, Run, RunState
from dispatcher.engine.outcome import explain
from dispatcher.engine.teardown import spent
from dispatcher.events import Event, Finished, Listener, StateChanged, Warned
from dispatcher.moments import show_time
from dispatcher.units import show_seconds, show_usd

if TYPE_CHECKING:
    from collections.abc import Callable

    from dispatcher.domain.job import JobConfig

START, LIMIT, END = "start", "limit", "end"
LIMIT_KIND = "limit"
"""What the agent calls its word that little time is left."""
PATIENCE_SECONDS = 30.0
"""A command waits so long for its notices to go out; apprise gives up on a service after some seconds."""


class Notices:
    """Hears what happens to runs and sends it, beside whatever goes on; a notice that fails is said, and hurts nothing."""

    def __init__(self, find: Callable[[str], Run | None], emit: Listener) -> None:
        self._find, self._emit = find, emit
        self._sending: list[threading.Thread] = []
        self._said: set[str] = set()

    def hear(self, event: Event) -> None:
        """An event of the core; most are nobody's concern."""
        if isinstance(event, Finished):
            self.ended(event.record)
        elif isinstance(event, StateChanged) and event.state in (RunState.RUNNING, RunState.HELD):
            self._about(event.run, START if event.state is RunState.RUNNING else END, event.time)
        elif isinstance(event, Warned) and event.kind == LIMIT_KIND:
            self._about(event.run, LIMIT, event.time, event.message)

    def ended(self, run: Run) -> None:
        """A run has ended, whoever saw it; one that ends a second time is not told again."""
        self._tell(run, END, run.ended or time.time())

    def wait(self) -> None:
        """Until all are sent, or their services had their time."""
        until = time.monotonic() + PATIENCE_SECONDS
        for thread in self._sending:
            thread.join(max(0.0, until - time.monotonic()))

    def _about(self, run_id: str, what: str, now: float, words: str = "") -> None:
        run = self._find(run_id)
        if run is not None:
            self._tell(run, what, now, words)

    def _tell(self, run: Run, what: str, now: float, words: str = "") -> None:
        if not run.job.get("notify"):
            return
        mark = claimed(paths.runs_dir() / run.id, what)
        if mark is not None:
            title, text = message(run, what, now, words)
            args = (run, mark, title, text, what == END and run.outcome is not Outcome.SUCCEEDED)
            thread = threading.Thread(target=self._send, args=args, name="notice", daemon=True)
            self._sending.append(thread)
            thread.start()

    def _send(self, run: Run, mark: Path, title: str, text: str, bad: bool) -> None:  # noqa: FBT001 (a thread's arguments)
        from dispatcher.notices.addresses import of_record
        from dispatcher.notices.sending import send

        told: dict[str, str] = {}
        for address in of_record(run.job):
            told[address.shown] = why = send(address, title, text, bad=bad)
            if why and address.shown not in self._said:
                self._said.add(address.shown)
                fix = "Correct it under notify in the job file."
                self._emit(Warned(run.id, time.time(), f"No notice of {run.name} went to {address.shown}: {why}", fix))
        with suppress(OSError):
            mark.write_text(json.dumps({"time": time.time(), "title": title, "to": told}))


@contextmanager
def listening(find: Callable[[str], Run | None], emit: Listener) -> Iterator[Notices]:
    """Notices of all that happens within; left once they are sent."""
    notices = Notices(find, emit)
    try:
        yield notices
    finally:
        notices.wait()


def claimed(folder: Path, what: str) -> Path | None:
    """The file in which it is noted that this was told; None where it stands already: another mlrun tells it, or did."""
    mark = folder / f"notice-{what}.json"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(mark, "xb", opener=paths.private):
            return mark
    except OSError:
        return None


def message(run: Run, what: str, now: float, words: str = "") -> tuple[str, str]:
    """Title and text of a notice."""
    short, attempt = run.id[:4], run.attempt
    where = "this computer" if attempt is None or attempt.where == "local" else place(attempt)
    if what == START:
        stop = f"; stopped at {show_time(run.hard_stop, now)} at the latest" if run.hard_stop else ""
        return f"mlrun: {run.name} has started", f"On {where}{stop}. mlrun attach {short}"
    if what == LIMIT:
        return f"mlrun: {run.name} nears its limit", f"{words}. mlrun attach {short}"
    verdict = "succeeded" if run.outcome is Outcome.SUCCEEDED else f"has not succeeded: {run.outcome}"
    said = [] if run.outcome is Outcome.SUCCEEDED else [f"{explain(run)} (exit code {run.exit_code})"]
    took = run.phases_seconds.get("run", run.ended - run.started if run.started and run.ended else None)
    if took is not None:
        said.append(f"after {show_seconds(max(0.0, took))} on {where}")
    if attempt and attempt.rented:
        cost = max(run.cost_so_far, spent(run, now))
        said.append(f"{show_usd(cost)}, planned {show_usd(run.cost_likely or 0.0)}")
    if run.doubt:
        said.append(f"ITS MACHINE MAY STILL EXIST AND COST MONEY: mlrun stop {short}")
    elif run.state is RunState.HELD:
        said.append(f"its machine is held: mlrun fetch {short}, mlrun stop {short}")
    return f"mlrun: {run.name} {verdict}", "; ".join([*said, f"mlrun report {short}"])


def not_started(file: Path, why: str) -> list[str]:
    """Tell that a job's time came and it was not started; what could not be told, in sentences."""
    from dispatcher.notices.addresses import of_file
    from dispatcher.notices.sending import send

    title, text = f"mlrun: {file.stem} was not started", f"{why}. mlrun schedule ls"
    told = [(address.shown, send(address, title, text, bad=True)) for address in of_file(file)]
    return [f"no notice went to {shown}: {trouble}" for shown, trouble in told if trouble]


def unheard(config: JobConfig, workdir: Path) -> Iterator[str]:
    """What would keep notices of a job from being sent, in sentences; nothing is sent for that."""
    from dispatcher.notices.addresses import addresses
    from dispatcher.notices.sending import trouble

    for address in addresses(config.notify, workdir):
        if why := trouble(address):
            yield f"notify: nothing will go to {address.shown}: {why}"
