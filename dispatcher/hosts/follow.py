"""A job's log as it grows, and how the job ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Protocol, TypeVar, runtime_checkable

from dispatcher.errors import HostUnreachable
from dispatcher.events import Span
from dispatcher.hosts.base import End, Host
from dispatcher.hosts.job import JobStatus, status, status_of
from dispatcher.hosts.local import LocalHost
from dispatcher.retries import Clock

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.04
"""Seconds between looks: what is printed is seen well within 50 ms, and an idle job costs nothing to follow."""
ASK_AFTER = 5.0
"""Seconds of silence after which the agent is asked whether the job still lives."""
Piece = TypeVar("Piece", bytes, Span)
ENDS = ("absent", "ended", "lost")


@runtime_checkable
class Elsewhere(Protocol):
    """A host for which looking again costs a journey: it sends by itself what is new."""

    name: str

    def follow(self, label: str, offset: int) -> Iterator[bytes | End | None]:
        """The log from `offset`, None where nothing new is there, at last the end."""


def follow(
    host: Host, label: str, offset: int, *, clock: Clock, cancel: threading.Event | None = None
) -> Iterator[bytes | JobStatus]:
    """Yield the log from `offset`, and at the end the final status. Ends without one when `cancel` is set.

    HostUnreachable when the link breaks: whoever kept what came goes on from there over another.
    """
    if isinstance(host, Elsewhere):
        return _sent(host, label, offset, clock, cancel or threading.Event())
    return _looked_at(host, host.read(f"{label}/log", offset), label, offset, clock, cancel)


def follow_spans(
    host: LocalHost, label: str, offset: int, *, clock: Clock, cancel: threading.Event | None = None
) -> Iterator[Span | JobStatus]:
    """As `follow`, where the log is a file of this computer: not its bytes, but where they stand."""
    return _looked_at(host, host.spans(f"{label}/log", offset), label, offset, clock, cancel)


def _sent(host: Elsewhere, label: str, offset: int, clock: Clock, cancel: threading.Event) -> Iterator[bytes | JobStatus]:
    asked = clock.monotonic()
    for piece in host.follow(label, offset):
        if cancel.is_set():
            return
        if isinstance(piece, End):
            if piece.size != offset:
                message = f"{host.name} has {piece.size} bytes of log, of which {offset} came"
                raise HostUnreachable(message, fix="mlrun attach")
            yield status_of({**piece.outcome, "log_size": piece.size})
            return
        if piece:
            offset, asked = offset + len(piece), clock.monotonic()
            yield piece
        elif clock.monotonic() - asked >= ASK_AFTER:
            asked = clock.monotonic()
            found = status(host, label)  # type: ignore[arg-type]  # it is a Host, and can follow
            if found.phase in ("absent", "lost") and found.log_size <= offset:  # nobody is left to record the end
                yield found
                return


def _looked_at(
    host: Host, chunks: Iterator[Piece], label: str, offset: int, clock: Clock, cancel: threading.Event | None
) -> Iterator[Piece | JobStatus]:
    """Look again and again: where looking costs nothing."""
    pause, asked = FIRST_PAUSE, clock.monotonic()
    while cancel is None or not cancel.is_set():
        if chunk := next(chunks):
            yield chunk
            pause, offset, asked = FIRST_PAUSE, offset + len(chunk), clock.monotonic()
            continue
        overdue = clock.monotonic() - asked >= ASK_AFTER
        found = _recorded(host, label)
        if overdue or found:
            asked = clock.monotonic()
            found = found or status(host, label)
            if found.phase in ENDS:
                yield from _rest(chunks, found.log_size - offset, clock)
                yield found
                return
        if clock.sleep(pause, cancel):
            return
        pause = min(2 * pause, LONGEST_PAUSE)


def _recorded(host: Host, label: str) -> JobStatus | None:
    """The job's end, once the agent has written it: in one look, without asking the agent."""
    text = next(host.read(f"{label}/outcome.json", 0))
    return status_of(json.loads(text)) if text.endswith(b"}") else None


def _rest(chunks: Iterator[Piece], missing: int, clock: Clock) -> Iterator[Piece]:
    """What was written between the last look and the end. A host that has less than it said is not waited for long."""
    patience = 100
    while missing > 0 and patience:
        if chunk := next(chunks):
            missing -= len(chunk)
            yield chunk
            continue
        patience -= 1
        clock.sleep(LONGEST_PAUSE)
