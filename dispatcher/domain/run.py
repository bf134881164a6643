"""A run: its label, its states and their legal moves, its outcome."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_LABEL = re.compile(r"mlrun-([0-9a-z]{10})-([0-9]{1,3})")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class Label:
    """The name of one attempt, chosen before anything exists.

    It is the cloud's client token, the instance's name, the tag, the folder and the process group's mark, so undoing needs no
    memory of what anybody answered. Lower-case letters, digits and hyphens, at most 20 characters: legal everywhere.
    """

    run: str
    attempt: int = 1

    def __str__(self) -> str:
        return f"mlrun-{self.run}-{self.attempt}"

    @classmethod
    def parse(cls, text: str) -> Label | None:
        """The label that `text` spells, or None."""
        found = _LABEL.fullmatch(text)
        return cls(found.group(1), int(found.group(2))) if found else None


def new_run_id() -> str:
    """Ten characters of 5 random bits each, without the ones people confuse."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(10))


class RunState(StrEnum):
    """Where a run stands. A run is not finished while anything it made may exist."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PLANNED = "planned"
    PROVISIONING = "provisioning"
    CONNECTING = "connecting"
    SYNCING = "syncing"
    PREPARING = "preparing"
    RUNNING = "running"
    COLLECTING = "collecting"
    HELD = "held"
    TERMINATING = "terminating"
    FINISHED = "finished"


_S = RunState
MOVES: dict[RunState, frozenset[RunState]] = {
    _S.SCHEDULED: frozenset({_S.QUEUED, _S.PLANNED, _S.TERMINATING}),
    _S.QUEUED: frozenset({_S.PLANNED, _S.TERMINATING}),
    _S.PLANNED: frozenset({_S.QUEUED, _S.PROVISIONING, _S.TERMINATING}),
    _S.PROVISIONING: frozenset({_S.CONNECTING, _S.TERMINATING}),
    _S.CONNECTING: frozenset({_S.SYNCING, _S.TERMINATING}),
    _S.SYNCING: frozenset({_S.PREPARING, _S.HELD, _S.TERMINATING}),
    _S.PREPARING: frozenset({_S.RUNNING, _S.HELD, _S.TERMINATING}),
    _S.RUNNING: frozenset({_S.COLLECTING, _S.TERMINATING}),
    _S.COLLECTING: frozenset({_S.HELD, _S.TERMINATING}),
    _S.HELD: frozenset({_S.COLLECTING, _S.TERMINATING}),
    _S.TERMINATING: frozenset({_S.PROVISIONING, _S.FINISHED}),
    _S.FINISHED: frozenset(),
}


class Outcome(StrEnum):
    """How the job ended, known before teardown and apart from the state."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    LOST = "lost"


class Doubt(StrEnum):
    """What is not certain beside the state: whether a launch took effect, or a teardown."""

    LAUNCH = "launch"
    TEARDOWN = "teardown"


@dataclass(frozen=True, slots=True)
class Output:
    """A file the job left: path below the work folder, bytes, SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Peak:
    """The most memory the job was seen to use, in GiB; None where it was not measured."""

    ram_gib: float | None = None
    gpu_memory_gib: float | None = None


@dataclass(slots=True)
class Attempt:
    """One try at a run on one offer. `offer` is the offer as data; times are Unix seconds.

    `beside_per_hour` is what its disk and its address cost, USD per hour. `launched` is None where nothing was made.
    `gone`: when nothing answered to its label any more, where it still has to be confirmed that nothing is left.
    """

    label: Label
    where: str
    machine: str | None
    region: str | None = None
    market: str = "owned"
    price_per_hour: float | None = 0.0
    launched: float | None = None
    ended: float | None = None
    reason: str | None = None
    offer: dict[str, Any] = field(default_factory=dict)
    beside_per_hour: float = 0.0
    gone: float | None = None

    @property
    def rented(self) -> bool:
        """Whether somebody sends a bill for it."""
        return self.market != "owned"


@dataclass(slots=True)
class Run:
    """One submission of a job, through its attempts to its end. Times are Unix seconds, money USD.

    `hard_stop` ends the job, `ends_itself` the machine it was rented with, `held_until` a machine that is kept after its job;
    `held_for` says why it is: its outputs are not home yet, or somebody's wish.
    """

    id: str
    name: str
    state: RunState = RunState.PLANNED
    doubt: Doubt | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    exit_code: int | None = None
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None
    hard_stop: float | None = None
    ends_itself: float | None = None
    held_until: float | None = None
    held_for: str = ""
    detached: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    phases_seconds: dict[str, float] = field(default_factory=dict)
    cost_likely: float | None = None
    cost_worst: float | None = None
    cost_so_far: float = 0.0
    peak: Peak = field(default_factory=Peak)
    outputs: list[Output] = field(default_factory=list)
    teardown_confirmed: bool = False
    teardown_proof: list[str] = field(default_factory=list)
    job: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def alone_until(self) -> float | None:
        """When its rented machine ends by itself, whoever is left to see it; None where nothing does that."""
        ends = [one for one in (self.ends_itself, self.held_until) if one is not None]
        return min(ends) if ends else None

    @property
    def open(self) -> bool:
        """Whether anything is still to be done, or may still exist."""
        return self.state is not RunState.FINISHED
