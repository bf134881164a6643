"""This computer as a place to run: free, owned, and already there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dispatcher import paths
from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.backends.processes import end, marked
from dispatcher.domain.hardware import Machine
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.errors import HostError, TeardownUnconfirmed
from dispatcher.hosts.base import Host
from dispatcher.hosts.local import LocalHost
from dispatcher.retries import Clock, SystemClock

MARK = ".live"
"""`<run>/<label>.live` stands from provision to terminate; the log and the outcome beside it stay."""


class LocalBackend:
    """Backend of this computer. Each run has a folder below `runs`, each attempt one in it, named by its label."""

    name = "local"

    def __init__(
        self, runs: Path | None = None, probe: Callable[[], Machine] | None = None, clock: Clock | None = None
    ) -> None:
        self.runs = runs or paths.runs_dir()
        self._probe = probe
        self._clock = clock or SystemClock()

    def offers(self, need: Requirements) -> Iterable[Offer]:
        """This computer, where its free memory is known."""
        return [offer_of(self._probe())] if self._probe and need.where in ("auto", "local") else []

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """Here is one place."""
        return [offer]

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """Make the attempt's folder."""
        mark = self._mark(label)
        try:
            mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not mark.exists():
                _write(mark, {"client": self.owner, "made": self._clock.now(), "device": offer.device})
        except OSError as error:
            fix = "Set DISPATCHER_HOME to a folder with space that you may write to."
            raise HostError(f"The folder of the run, {mark.parent}, cannot be made: {error.strerror}", fix=fix) from error
        return self._machine(label)

    def find(self, label: Label) -> ProvisionedMachine | None:
        """Where this label has its folder, or processes."""
        return self._machine(label) if self._mark(label).exists() or marked(label) else None

    def connect(self, machine: ProvisionedMachine) -> Host:
        """A host whose root is the run's folder."""
        return LocalHost(Path(machine.address))

    def terminate(self, label: Label) -> None:
        """Kill what still runs; the log and the outcome stay."""
        if survivors := end(label, self._clock):
            pids = ", ".join(str(one.pid) for one in survivors)
            raise TeardownUnconfirmed(f"Processes of {label} do not end: {pids}", fix=f"kill -9 {pids.replace(',', '')}")
        self._mark(label).unlink(missing_ok=True)

    def leftovers(self) -> Iterator[Leftover]:
        """Processes with a label, and folders that are not given back."""
        now = self._clock.now()
        for one in marked():
            owner = self.owner if (self.runs / one.label.run).is_dir() else one.client
            yield Leftover("local", "process", str(one.pid), one.label, owner, age_seconds=max(0.0, now - one.began))
        for mark in sorted(self.runs.glob(f"*/*{MARK}")):
            if label := Label.parse(mark.name.removesuffix(MARK)):
                yield Leftover("local", "folder", str(mark), label, self.owner, age_seconds=_age(mark, now))

    @property
    def owner(self) -> str:
        """The name of this user's mlrun home on this computer."""
        return hashlib.sha256(f"{os.getuid()}:{self.runs.resolve()}".encode()).hexdigest()[:16]

    def _mark(self, label: Label) -> Path:
        return self.runs / label.run / f"{label}{MARK}"

    def _machine(self, label: Label) -> ProvisionedMachine:
        details = {"in_place": True, "client": self.owner}
        return ProvisionedMachine(label, "local", None, address=str(self.runs / label.run), details=details)


def offer_of(machine: Machine) -> Offer:
    """A computer of the user's own as an offer: what is free now is what counts."""
    gpu = machine.gpus[0] if machine.gpus else None
    return Offer(
        where="local",
        machine=None,
        device=gpu.name if gpu else "cpu",
        count=len(machine.gpus),
        device_memory_gib=gpu.total_gib if gpu else 0.0,
        device_memory_free_gib=min(one.free_gib for one in machine.gpus) if gpu else None,
        vcpus=machine.cpus,
        cores=machine.cores,
        ram_gib=machine.ram_gib,
        ram_available_gib=machine.ram_available_gib,
        disk_gb=machine.disk_free_gb,
        arch=machine.arch,
    )


def _write(mark: Path, content: dict[str, object]) -> None:
    part = mark.with_suffix(".part")
    part.write_text(json.dumps(content))
    part.replace(mark)


def _age(path: Path, now: float) -> float:
    try:
        return max(0.0, now - path.stat().st_mtime)
    except OSError:
        return 0.0
