"""What a run is driven with: store, places, clock, the user's will."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.backends.base import Backend, ProvisionedMachine
from dispatcher.domain.run import Attempt, Label, Run, RunState
from dispatcher.events import Event, Listener, StateChanged, nobody
from dispatcher.hosts.base import Host
from dispatcher.hosts.job import JobStatus
from dispatcher.retries import Clock, SystemClock
from dispatcher.store.store import Store

STOP_GRACE = 30.0
"""Seconds between asking a job to end and telling it to."""


@dataclass(frozen=True, slots=True)
class JobInstructions:
    """What to do on the machine, wherever it is. `secrets` are values: they are never written down.

    `deadline_seconds` count from the job's start on a machine of one's own, from its creation on a rented one. `data` are paths
    that travel even if git ignores them. `keep_seconds`: how long a rented machine is kept where the job failed;
    `grace_seconds`: how long it keeps what nobody fetched, which the plan's cost at worst counts. `checkpoint` is the folder,
    below the work folder, in which the job saves its state, `checkpoint_seconds` how often that is copied home; `resume` holds
    such a folder to go on from.
    """

    command: str
    workdir: Path
    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    setup: str | None = None
    outputs: tuple[str, ...] = ()
    deadline_seconds: float | None = None
    keep_awake: bool = True
    path_prefix: str = ""
    stop_grace: float = STOP_GRACE
    data: tuple[str, ...] = ()
    keep_seconds: float | None = None
    grace_seconds: float = 3600.0
    checkpoint: str = ""
    checkpoint_seconds: float = 600.0
    resume: str = ""

    def as_record(self) -> dict[str, Any]:
        """As the run's record keeps it: secrets by name only."""
        return (
            asdict(self)
            | {"workdir": str(self.workdir), "secrets": sorted(self.secrets)}
            | {name: list(getattr(self, name)) for name in ("outputs", "data")}
        )

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> JobInstructions:
        """What a record kept: enough to follow and collect a job, not to start it again."""
        kept = {**record, "workdir": Path(record["workdir"]), "outputs": tuple(record["outputs"]), "secrets": {}}
        return cls(**kept | {"data": tuple(record.get("data") or ())})


def no_checkpoint(_name: str) -> None:
    """Between two effects nothing happens, outside tests."""


def nobody_waits(_run: Run) -> None:
    """For runs of whose end nobody wants to hear."""


@dataclass(frozen=True, slots=True)
class Context:
    """What steps need beside the attempt itself.

    `cancel` ends the job, `hurry` ends it without grace, `detach` leaves it running. `checkpoint` is called between effects.
    `runs` is the folder of the runs' folders, for logs and receipts. `keep` holds the machine for so many seconds once the job
    has ended. `spans`: the listener takes output that still stands in a file of this computer.
    `ended` hears of runs that were found to have ended while nobody drove them.
    """

    store: Store
    backend: Callable[[str], Backend]
    clock: Clock = field(default_factory=SystemClock)
    emit: Listener = nobody
    cancel: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    detach: threading.Event = field(default_factory=threading.Event)
    checkpoint: Callable[[str], None] = no_checkpoint
    runs: Path | None = None
    spans: bool = False
    retry_preempted: bool = False
    keep: float | None = None
    ended: Callable[[Run], None] = nobody_waits

    def move(self, run: Run, to: RunState, **changes: Any) -> None:
        """Advance the run in the store, then tell."""
        self.store.advance(run, to, **changes)
        self.tell(StateChanged(run.id, self.clock.now(), run.state, run.doubt))

    def tell(self, event: Event) -> None:
        """Hand an event to the listeners."""
        self.emit(event)


@dataclass(slots=True)
class Work:
    """One attempt in progress. `adopting`: an earlier process may have started it already; nothing is started anew.
    `launched` once a job may run, `resuming` where it goes on from a saved state; `was_held` where the machine was kept after
    its job.
    """

    run: Run
    attempt: Attempt
    backend: Backend
    job: JobInstructions
    adopting: bool = False
    launched: bool = False
    resuming: bool = False
    was_held: bool = False
    asked: float | None = None
    offset: int = 0
    machine: ProvisionedMachine | None = None
    host: Host | None = None
    cwd: str = ""
    status: JobStatus | None = None
    trouble: list[Exception] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    saving: threading.Lock = field(default_factory=threading.Lock)

    @property
    def in_place(self) -> bool:
        """Whether the machine works in the user's own folder."""
        return bool(self.machine and self.machine.details.get("in_place"))

    @property
    def label(self) -> Label:
        """The attempt's label."""
        return self.attempt.label

    def reached(self) -> Host:
        """The host, once connected."""
        assert self.host is not None
        return self.host


def client_name(runs: Path) -> str:
    """The name of this user's mlrun home on this computer, as tags carry it."""
    return hashlib.sha256(f"{os.getuid()}:{socket.gethostname()}:{runs.resolve()}".encode()).hexdigest()[:16]
