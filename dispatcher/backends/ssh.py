"""The user's own computers over SSH: free, shared, never powered off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.backends.looks import Looks
from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.errors import HostError, MlrunError, NoCapacity, TeardownUnconfirmed, UsageError
from dispatcher.hosts.base import Host, plain
from dispatcher.hosts.job import push_agent, run_program
from dispatcher.hosts.probe.distant import Seen, probe_host
from dispatcher.hosts.ssh import SshHost, Target
from dispatcher.jobfile.settings import ListedHost, sound_settings
from dispatcher.planner import devices
from dispatcher.retries import Clock, SystemClock

ROOT = "~/.local/share/dispatcher/runs"
PATIENCE_SECONDS = 12.0
"""Computers that do not answer within this are no offers now."""
BUSY_LOAD = 0.5
"""Load per CPU above which a computer without GPUs counts as used by others."""


@dataclass(frozen=True, slots=True)
class Known:
    """A computer that may be used: its name here, its name for ssh, whether others come first."""

    name: str
    ssh: str
    idle_only: bool = False


class SshBackend:
    """Backend of the user's other computers: those in the settings, and any that the SSH configuration names."""

    name = "ssh"
    owner = "account"
    """What is listed is of the account that we log in to: all of it is its owner's, from whichever computer."""

    def __init__(
        self,
        hosts: Mapping[str, ListedHost] | None = None,
        *,
        only: str = "",
        runs: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._given, self._only = hosts, only
        self._runs, self._clock = runs or paths.runs_dir(), clock or SystemClock()
        self._looks = Looks(self._clock)

    def at(self, place: str) -> SshBackend:
        """The same, held to one computer: what "ssh:desk" means."""
        return SshBackend(self._given, only=place, runs=self._runs, clock=self._clock)

    def offers(self, need: Requirements) -> Iterable[Offer]:
        """Each computer that answers, with what it has free now; looked at together, and remembered for a moment."""
        place, _, name = need.where.partition(":")
        if place not in ("auto", "ssh"):
            return []
        known = [self._known(name or self._only)] if name or self._only else self._all()
        threads = [threading.Thread(target=self._look, args=(one,), daemon=True) for one in known]
        for thread in threads:
            thread.start()
        end = self._clock.monotonic() + PATIENCE_SECONDS
        for thread in threads:
            thread.join(max(0.0, end - self._clock.monotonic()))
        found = [(one, self._looks.last(one.name)) for one in known]
        return [offer_of(one, seen) for one, seen in found if seen and seen.machine]

    def troubles(self) -> dict[str, str]:
        """Why computers are no offers, by their place; as they were last looked at."""
        found = [(one, self._looks.last(one.name)) for one in self._all()]
        late = f"it did not answer within {PATIENCE_SECONDS:.0f} s"
        return {f"ssh:{one.name}": seen.trouble if seen else late for one, seen in found if not (seen and seen.machine)}

    def device_of(self, offer: Offer) -> Device | None:
        """What formulas compute on; None where the computer was not seen."""
        seen = self._looks.last(_name_of(offer.where))
        return devices.here(seen.machine) if seen and seen.machine else None

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """A computer is one place."""
        return [offer]

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """Mark the attempt there; where others come first, look again whether they are there."""
        known = self._known(_name_of(offer.where) or self._only)
        with self._reached(known) as host:
            if known.idle_only and not any(row["label"] == str(label) for row in self._listed(host)):
                seen = probe_host(host)
                self._looks.keep(known.name, seen)
                if why := busy(seen):
                    raise NoCapacity(f"{known.name} is used by others: {why}", fix="mlrun JOB again later, or elsewhere")
            self._ask(host, "make", str(label), self.client)
        return self._machine(label, known)

    def in_use(self, offer: Offer) -> str:
        """Who else computes there, in words, where others come first; "" where it may be used now."""
        known = self._known(_name_of(offer.where) or self._only)
        if not known.idle_only:
            return ""
        with self._reached(known) as host:
            seen = probe_host(host)
        self._looks.keep(known.name, seen)
        return busy(seen)

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The computer where this label has its mark, or processes."""
        for known in self._all():
            with self._reached(known) as host:
                if any(row["label"] == str(label) for row in self._listed(host)):
                    return self._machine(label, known)
        return None

    def connect(self, machine: ProvisionedMachine) -> Host:
        """Talk to the computer."""
        return self._open(self._known(machine.address))

    def terminate(self, label: Label) -> None:
        """Kill what still runs with the label and clear its folders away; the computer itself is left as it is."""
        for known in self._all():
            with self._reached(known) as host:
                if left := self._ask(host, "end", str(label)).get("left"):
                    what = ", ".join(map(str, left))
                    raise TeardownUnconfirmed(f"{what} on {known.name} would not go", fix=f"ssh {known.ssh}")

    def leftovers(self) -> Iterator[Leftover]:
        """Marks and processes with a label, on every computer that may be used."""
        for known in self._all():
            with self._reached(known) as host:
                rows = self._listed(host)
            marked = {row["label"] for row in rows if row["kind"] == "folder"}
            for row in rows:
                label = Label.parse(str(row["label"]))
                if label and (row["label"] in marked or row["client"] == self.client):
                    tags = {"mlrun-client": str(row["client"]), "mlrun-run": label.run}
                    name = f"{known.name}:{row['id']}"
                    yield Leftover("ssh", str(row["kind"]), name, label, self.owner, known.name, float(row["age"]), tags=tags)

    @property
    def client(self) -> str:
        """The name of this user's mlrun home on this computer, as tags carry it."""
        text = f"{os.getuid()}:{socket.gethostname()}:{self._runs.resolve()}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _all(self) -> list[Known]:
        if self._only:
            return [self._known(self._only)]
        return [self._known(name) for name in self._settings()]

    def _known(self, name: str) -> Known:
        listed = self._settings().get(name)
        if listed:
            return Known(name, listed.ssh, listed.share == "idle")
        if not name or name.startswith("-"):
            raise UsageError("`where: ssh:NAME` lacks the name of a computer", fix="mlrun JOB --where ssh:NAME")
        return Known(name, name)

    def _settings(self) -> Mapping[str, ListedHost]:
        if self._given is None:
            self._given = sound_settings()[0].hosts
        return self._given

    def _open(self, known: Known) -> SshHost:
        target = Target(known.name, known.ssh.rpartition("@")[2], known.ssh.rpartition("@")[0], config=True)
        return SshHost.open(target, ROOT, clock=self._clock, keeps=True)

    @contextlib.contextmanager
    def _reached(self, known: Known) -> Iterator[SshHost]:
        host = self._open(known)
        try:
            yield host
        finally:
            host.close()

    def _look(self, known: Known) -> None:
        if self._looks.fresh(known.name):
            return
        try:
            with self._reached(known) as host:
                self._looks.keep(known.name, probe_host(host))
        except MlrunError as error:
            self._looks.keep(known.name, Seen(None, trouble=error.message))

    def _listed(self, host: Host) -> list[dict[str, Any]]:
        rows = _told(host, "list")
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _ask(self, host: Host, verb: str, *arguments: str) -> dict[str, Any]:
        told = _told(host, verb, *arguments)
        return told if isinstance(told, dict) else {}

    def _machine(self, label: Label, known: Known) -> ProvisionedMachine:
        return ProvisionedMachine(label, "ssh", None, known.name, details={"client": self.client, "id": known.name})


def offer_of(known: Known, seen: Seen) -> Offer:
    """A computer as an offer; one that others use, and that is only lent while they do not, can be seen but not chosen."""
    assert seen.machine is not None
    why = busy(seen) if known.idle_only else ""
    here = devices.this_offer(seen.machine)
    return replace(here, where=f"ssh:{known.name}", usable=not why, why_unusable=f"used by others: {why}" if why else "")


def busy(seen: Seen) -> str:
    """Who else computes there, in words; "" where nobody does."""
    if seen.machine is None:
        return seen.trouble
    cpus = seen.machine.cpus
    if seen.machine.gpus:
        users = sum(seen.users)
        return f"{users} program{'s' * (users != 1)} on its GPU{'s' * (len(seen.machine.gpus) != 1)}" if users else ""
    return f"load {seen.load:.1f} on {cpus:.0f} CPUs" if seen.load > BUSY_LOAD * max(1.0, cpus) else ""


def _told(host: Host, verb: str, *arguments: str) -> Any:
    push_agent(host)
    done = run_program(host, "owned.py", [verb, host.root, *arguments])
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        said = plain(done.stderr)
        raise HostError(f"{host.name} does not tell which runs it has: {said}", fix="mlrun doctor") from error


def _name_of(where: str) -> str:
    return where.partition(":")[2]
