"""What the core tells: frozen events, handed to listeners."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dispatcher.domain.run import Attempt, Doubt, Outcome, Run, RunState


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A run moved to another state."""

    run: str
    time: float
    state: RunState
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt began on an offer."""

    run: str
    time: float
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Progress:
    """A step tells how far it is; `fraction` is 0–1, None where it cannot be known."""

    run: str
    time: float
    step: str
    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that stand in an open file of this computer; good for as long as the event that brings them is being told."""

    file: int
    offset: int
    size: int

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return os.pread(self.file, self.size, self.offset)


@dataclass(frozen=True, slots=True)
class LogBytes:
    """The job's own output, byte for byte, from `offset` of its log. A Span only to listeners who said that they take one."""

    run: str
    time: float
    offset: int
    data: bytes | Span


@dataclass(frozen=True, slots=True)
class Sampled:
    """The job's use of the machine now: CPU in cores, memory in GiB, GPU 0–1."""

    run: str
    time: float
    cpus: float
    ram_gib: float
    gpu_utilisation: float | None = None
    gpu_memory_gib: float | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, with the next command to type. `kind` is a word for what it is, where that matters."""

    run: str
    time: float
    message: str
    fix: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The run's last word: how it ended, and mlrun's exit code."""

    run: str
    time: float
    outcome: Outcome | None
    exit_code: int
    record: Run


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of the job's own count: what it wrote to DISPATCHER_PROGRESS."""

    run: str
    time: float
    row: dict[str, Any]


Event = StateChanged | AttemptStarted | Progress | LogBytes | Sampled | Counted | Warned | Finished
Listener = Callable[[Event], None]


def nobody(_event: Event) -> None:
    """A listener for callers who do not care."""


def but_output(listener: Listener) -> Listener:
    """The listener without what the job writes."""

    def hear(event: Event) -> None:
        if not isinstance(event, LogBytes):
            listener(event)

    return hear
