"""A stand-in cloud on paper hosts and paper time, and the desk at which drivers in other processes reach all three."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any
from unittest import mock

from dispatcher.backends.aws import reaper
from dispatcher.backends.aws.client import Account
from dispatcher.backends.gcp.account import email
from tests.guarantees.sim.computers import Answer, Computer, Computers, made_key
from tests.lab.clock import PaperClock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.gce import operations
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHost, PaperHosts

BOOT_SECONDS = 40.0
CALLER = "198.51.100.7"


class GuardedClock(PaperClock):
    """Many may let time pass; one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._moving = threading.RLock()

    def advance(self, seconds: float) -> None:
        with self._moving:
            super().advance(seconds)


class Telling(PaperHosts):
    """Says when a host has booted."""

    booted: Callable[[PaperHost], object]

    def _ready(self, host: PaperHost) -> None:
        super()._ready(host)
        if host.ready:
            self.booted(host)


class World:
    """One cloud, aws or gcp. Its methods are what a driver may ask for, by name. `dumb`: no host ever ends itself."""

    def __init__(self, cloud: str, folder: Path) -> None:
        self.cloud, self.folder = cloud, folder
        self.clock = GuardedClock()
        self.ledger = Ledger(self.clock)
        self.hosts = Telling(self.clock, boot_seconds=BOOT_SECONDS)
        self.hosts.booted = self._booted
        self.faults = Faults()
        self.computers = Computers(self.clock, self.hosts.contact, self._job_ended)
        self.standin = (Ec2 if cloud == "aws" else Gce)(self.hosts, self.ledger, self.faults, self.clock)
        self.deaf = False
        self._wait, operations.WAIT_SECONDS = operations.WAIT_SECONDS, 0.0  # nobody waits in real seconds for paper ones
        self._listener = Listener(str(folder / "desk"), "AF_UNIX")
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()
        self.reset()

    def reset(self) -> None:
        """A new lab, at a later time."""
        self.standin.reset()
        self.hosts.hosts.clear()
        self.ledger.reset()
        self.computers.known.clear()
        self.clock.close()
        self.hosts.hung = self.deaf = False
        self.clock.advance(3600.0)
        if self.cloud == "aws":
            self.standin.control("set", {"lag": 20.0, "pending": 5.0, "address": 2.0, "ending": 20.0})
        else:
            self.standin.control("set", {"operation_seconds": 5.0})

    def environment(self) -> dict[str, str]:
        """What a driver needs to reach this cloud."""
        named = {"DISPATCHER_CALLER_IP": CALLER, "GOOGLE_CLOUD_PROJECT": PROJECT}
        return {**self.standin.exports(), **named, "DISPATCHER_HOME": str(self.folder / "home"), "HOME": str(self.folder)}

    def arm_reaper(self) -> None:
        """What `mlrun setup aws --reaper` makes."""
        with mock.patch.dict(os.environ, self.environment()):
            reaper.make(Account())

    def disarm_reaper(self) -> None:
        with mock.patch.dict(os.environ, self.environment()):
            reaper.remove(Account())

    def give_account(self) -> None:
        """What `mlrun setup gcp` makes: with it machines delete themselves."""
        self.standin.control("set", {"accounts": {email(PROJECT): ["compute.instances.delete@mlrun-*"]}})

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.advance(max(0.0, seconds))

    def knock(self, address: str) -> tuple[str, str] | None:
        """The host behind an address and the key it shows; None where nobody answers."""
        host = next((one for one in self.hosts.hosts.values() if one.address == address), None)
        if host is None or not host.ready or self.deaf:
            return None
        return host.spec.id, self.computers.known[host.spec.id].key

    def shell(self, host: str, argv: list[str], stdin: bytes) -> Answer:
        return self.computers.shell(host, argv, stdin) if self._answers(host) else Answer(None)

    def log(self, host: str, label: str, offset: int) -> Any:
        return self.computers.log(host, label, offset) if self._answers(host) else None

    def left(self) -> list[str]:
        """What still costs, and the machines that are."""
        return [f"{line.kind} {line.name}" for line in self.ledger.open()]

    def close(self) -> None:
        self._over = True
        operations.WAIT_SECONDS = self._wait
        self._listener.close()
        self.standin.close()
        self.clock.close()

    def _answers(self, host: str) -> bool:
        return not self.deaf and host in self.hosts.hosts and self.hosts.hosts[host].ready

    def _job_ended(self, host: str) -> None:
        if host in self.hosts.hosts and self.hosts.hosts[host].on:
            self.hosts.end_job(host)

    def _booted(self, host: PaperHost) -> None:
        name = host.spec.id
        if self.cloud == "aws":
            self.computers.known.setdefault(name, Computer(name, self.standin.world.instance(name).tags["mlrun-host-key"]))
            return
        made = self.computers.known.setdefault(name, Computer(host.spec.hostname, made_key(name)))
        guest = {"instance": host.spec.hostname, "key": "hostkeys/ssh-ed25519", "value": made.key.split()[1]}
        self.standin.control("guest", guest)

    def _serve(self) -> None:
        while not self._over:
            with contextlib.suppress(OSError, EOFError):
                threading.Thread(target=self._attend, args=(self._listener.accept(),), daemon=True).start()

    def _attend(self, visitor: Connection) -> None:
        with visitor, contextlib.suppress(EOFError, OSError):
            while True:
                name, arguments = visitor.recv()
                visitor.send(getattr(self, name)(*arguments))


@contextlib.contextmanager
def world(cloud: str, folder: Path) -> Iterator[World]:
    """Gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = World(cloud, folder)
    try:
        yield made
    finally:
        made.close()
