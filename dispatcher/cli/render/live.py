"""A run as it happens: bytes to stdout, words to stderr."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from dispatcher.app import runs
from dispatcher.app.hidden import values_of
from dispatcher.app.redact import Redactor
from dispatcher.cli.render.console import caution, dim, document, on_screen, say
from dispatcher.cli.render.errors import warn
from dispatcher.cli.render.journey import Journey
from dispatcher.cli.render.records import attempt_record, moment, run_record
from dispatcher.cli.render.sanitise import Sanitiser
from dispatcher.domain.plan import SCHEMA, Plan
from dispatcher.domain.run import Run, RunState
from dispatcher.engine.outcome import exit_code
from dispatcher.events import AttemptStarted, Counted, Event, Finished, LogBytes, Progress, Sampled, Span, StateChanged, Warned

SPOKEN = {
    RunState.HELD: "held: its outputs are not home yet",
}
"""States worth a line on a local run; the others pass in milliseconds."""


SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ of Linux's fcntl(2), which Python 3.11 on other systems does not name."""
PIPE_BYTES = 1 << 20
"""The most that Linux gives an ordinary user; a pipe's usual 64 KiB make writer and reader take turns for every megabyte."""


class Screen:
    """A listener for people. `quiet` leaves only the job's own output, warnings and errors; `hidden` are values never shown."""

    def __init__(self, *, quiet: bool = False, hidden: Iterable[str] = ()) -> None:
        self._quiet = quiet
        self._mid_line = False
        self._sanitiser = Sanitiser() if sys.stdout.isatty() else None
        self._listening = True
        self._whole = threading.Lock()
        self._journey = Journey()
        self._redactor = Redactor(hidden)
        self.spans = widen_pipe() and hasattr(os, "splice") and not self._redactor

    def take_up(self, run: Run) -> None:
        """A run that an earlier mlrun began."""
        self._redactor = Redactor(values_of(run))
        self.spans = self.spans and not self._redactor
        self._journey.take_up(run.attempt)

    def __call__(self, event: Event) -> None:
        """Show one event, whole: the job's follower and what watches beside it speak from two threads."""
        with self._whole:
            self._show(event)

    def _show(self, event: Event) -> None:
        journey = self._journey.words(event)
        match event:
            case LogBytes():
                self._write(event.data)
            case Warned():
                self._break_line()
                warn(event.message, event.fix)
            case StateChanged() | AttemptStarted() | Sampled() if journey and not self._quiet:
                self._tell(journey)
            case StateChanged() if event.state in SPOKEN and not self._journey.away and not self._quiet:
                self._tell(SPOKEN[event.state])
            case Progress() if not self._quiet:
                self._tell(event.message)
            case _:
                pass

    def close(self) -> None:
        """End an unfinished line of the job's."""
        with self._whole:
            self._put(self._redactor.rest())
        self._break_line()

    def _tell(self, words: str) -> None:
        self._break_line()
        for line in on_screen(f"· {words}", "  "):
            say(dim(line))

    def _write(self, data: bytes | Span) -> None:
        if not self._listening or not data:
            return
        if isinstance(data, Span):
            data = self._poured(data)
        self._put(self._redactor.feed(data))

    def _put(self, data: bytes) -> None:
        if not data or not self._listening:
            return
        shown = self._sanitiser.feed(data) if self._sanitiser else data
        try:
            sys.stdout.buffer.write(shown)
            sys.stdout.buffer.flush()
        except (BrokenPipeError, OSError) as why:
            self._stop_listening(why)
        self._mid_line = bool(shown) and not shown.endswith(b"\n")

    def _poured(self, span: Span) -> bytes:
        """Have the kernel move what stands in a file into the pipe that is our stdout; what it will not move comes back."""
        sys.stdout.buffer.flush()
        at, end = span.offset, span.offset + len(span)
        try:
            while at < end and (moved := os.splice(span.file, sys.stdout.fileno(), end - at, offset_src=at)):
                at += moved
        except OSError as why:
            if why.errno != errno.EINVAL:
                self._stop_listening(why)
                return b""
        return bytes(Span(span.file, at, end - at))

    def _stop_listening(self, why: OSError) -> None:
        """Whoever read our output is gone; the job and its log go on."""
        self._listening = False
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        say(caution("  ! ") + f"Its output cannot be shown any more ({why.strerror}); the job goes on, and its log is whole.")

    def _break_line(self) -> None:
        if self._mid_line and sys.stdout.isatty():
            say("")
        self._mid_line = False


class JsonLines:
    """A listener for programs: one event a line on stdout, whole whichever thread tells it."""

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        self.ended = False
        self._whole = threading.Lock()
        self._listening = True
        self._redactor = Redactor(hidden)
        self._last: LogBytes | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take_up(self, run: Run) -> None:
        """A run that an earlier mlrun began."""
        self._redactor = Redactor(values_of(run))

    def __call__(self, event: Event) -> None:
        """Write one event; once nobody reads any more, the job goes on unwatched."""
        with self._whole:
            self.ended = self.ended or isinstance(event, Finished)
            if not self._listening:
                return
            if isinstance(event, LogBytes):
                self._last = event
                self._write(event, self._decoder.decode(self._redactor.feed(bytes(event.data))))
            else:
                self._write(event)

    def _write(self, event: Event, text: str = "") -> None:
        if isinstance(event, LogBytes) and not text and event.data:
            return  # the beginning of a character or of what may be a secret: the next piece has the rest
        try:
            document({"schema": SCHEMA, **event_record(event, text)}, line=True)
        except OSError:
            self._listening = False
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def close(self) -> None:
        """Tell what may have been the beginning of a secret or a character, and was none."""
        with self._whole:
            rest, self._redactor = self._redactor.rest(), Redactor(())
            text = self._decoder.decode(rest, final=True)
            if text and self._last and self._listening:
                self._write(self._last, text)


def widen_pipe() -> bool:
    """Whether stdout is a pipe; it may then hold more, where the system allows it: output is as quick as the job writes it."""
    import fcntl

    with contextlib.suppress(OSError, ValueError):
        if sys.platform == "linux" and stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode):
            with contextlib.suppress(OSError):
                fcntl.fcntl(sys.stdout.fileno(), SET_PIPE_SIZE, PIPE_BYTES)
            return True
    return False


def ended(run: Run) -> None:
    """The last line of a command that leaves a run, or finds it ended: its record."""
    event = "left" if run.open else "result"
    line = {"schema": SCHEMA, "event": event, "time": moment(time.time()), "run": run.id, "exit_code": exit_code(run)}
    document(line | {"result": run_record(run, _log_of(run))}, line=True)


def planned_record(plan: Plan) -> dict[str, Any]:
    """A plan that was made and starts nothing, as an event."""
    base = {"event": "progress", "time": moment(time.time()), "run": None, "step": "plan"}
    return {**base, "message": " ".join(plan.here.reasons), "fraction": None, "plan": plan.as_dict()}


def _log_of(run: Run) -> str | None:
    log = runs.log_path(run)
    return str(log) if log else None


def event_record(event: Event, text: str = "") -> dict[str, Any]:
    """An event as its JSON line; `text` is what the bytes of a log say."""
    base: dict[str, Any] = {"time": moment(event.time), "run": event.run}
    match event:
        case StateChanged():
            return {"event": "state", **base, "state": str(event.state), "doubt": event.doubt and str(event.doubt)}
        case AttemptStarted():
            return {"event": "attempt", **base, "attempt": attempt_record(event.attempt)}
        case Progress():
            return {"event": "progress", **base, "step": event.step, "message": event.message, "fraction": event.fraction}
        case LogBytes():
            return {"event": "log", **base, "offset": event.offset, "text": text}
        case Sampled():
            return {"event": "progress", **base, "step": "sample", "cpus": event.cpus, "ram_gib": event.ram_gib,
                    "gpu_utilisation": event.gpu_utilisation, "gpu_memory_gib": event.gpu_memory_gib}  # fmt: skip
        case Counted():
            return {"event": "progress", **base, "step": "count", "row": event.row}
        case Warned():
            return {"event": "warning", **base, "message": event.message, "fix": event.fix}
        case Finished():
            return {"event": "result", **base, "exit_code": event.exit_code,
                    "result": run_record(event.record, _log_of(event.record))}  # fmt: skip
