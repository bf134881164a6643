"""A job's log as it grows, and how the job ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

from dispatcher.hosts.base import Host
from dispatcher.hosts.job import JobStatus, status, status_of
from dispatcher.retries import Clock

FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.04
"""Seconds between looks: what is printed is seen well within 50 ms, and an idle job costs nothing to follow."""
ASK_AFTER = 5.0
"""Seconds of silence after which the agent is asked whether the job still lives."""


def follow(
    host: Host, label: str, offset: int, *, clock: Clock, cancel: threading.Event | None = None
) -> Iterator[bytes | JobStatus]:
    """Yield the log from `offset`, and at the end the final status. Ends without one when `cancel` is set."""
    chunks, pause, asked = host.read(f"{label}/log", offset), FIRST_PAUSE, clock.monotonic()
    while cancel is None or not cancel.is_set():
        if chunk := next(chunks):
            yield chunk
            pause, offset, asked = FIRST_PAUSE, offset + len(chunk), clock.monotonic()
            continue
        silent = clock.monotonic() - asked >= ASK_AFTER
        found = _recorded(host, label)
        if silent or found:
            asked = clock.monotonic()
            found = found or status(host, label)
            if found.phase in ("absent", "ended", "lost"):
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


def _rest(chunks: Iterator[bytes], missing: int, clock: Clock) -> Iterator[bytes]:
    """What was written between the last look and the end. A host that has less than it said is not waited for long."""
    patience = 100
    while missing > 0 and patience:
        if chunk := next(chunks):
            missing -= len(chunk)
            yield chunk
            continue
        patience -= 1
        clock.sleep(LONGEST_PAUSE)
