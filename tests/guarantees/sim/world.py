"""A stand-in cloud on paper hosts and paper time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from dispatcher.backends.aws import ends, reaper
from dispatcher.backends.aws.client import Account
from dispatcher.backends.gcp.account import email
from tests.guarantees.sim.computers import Computer, Computers, made_key
from tests.guarantees.sim.served import Served
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.gce import operations
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHost, PaperHosts

BOOT_SECONDS = 40.0
SLACK = 60.0
"""Seconds within which a machine is gone after its deadline: Google acts up to 30 s late, a host's own timer every 15 s."""
CALLER = "198.51.100.7"


class Telling(PaperHosts):
    """Says when a host has booted."""

    booted: Callable[[PaperHost], object]

    def _ready(self, host: PaperHost) -> None:
        super()._ready(host)
        if host.ready:
            self.booted(host)


class World(Served):
    """One cloud, aws or gcp. `deaf`: no host answers any more."""

    def __init__(self, cloud: str, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = cloud
        self.ledger = Ledger(self.clock)
        self.hosts = Telling(self.clock, boot_seconds=BOOT_SECONDS)
        self.hosts.booted = self._booted
        self.faults = Faults()
        self.computers = Computers(self.clock, self.hosts.contact, self._job_ended)
        self.standin = (Ec2 if cloud == "aws" else Gce)(self.hosts, self.ledger, self.faults, self.clock)
        self.deaf = False
        self._wait, operations.WAIT_SECONDS = operations.WAIT_SECONDS, 0.0  # nobody waits in real seconds for paper ones
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

    def arm_schedules(self) -> None:
        """The role that `mlrun setup aws --overnight` makes, for machines' own schedules."""
        with mock.patch.dict(os.environ, self.environment()):
            ends.make(Account())
        self.ledger.reset()  # what setting up asks is no run's

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

    def knock(self, address: str) -> tuple[str, str] | None:
        """The host behind an address and the key it shows; None where nobody answers."""
        host = next((one for one in self.hosts.hosts.values() if one.address == address), None)
        if host is None or not host.ready or self.deaf:
            return None
        return host.spec.id, self.computers.known[host.spec.id].key

    def left(self) -> list[str]:
        """What still costs, and the machines that are."""
        return [f"{line.kind} {line.name}" for line in self.ledger.open()]

    def outlived(self, life: float) -> list[str]:
        """What is wrong once all has passed: whatever is left, two machines for one attempt, machines older than their life."""
        wrong = [f"still there: {one}" for one in self.left()]
        machines = [line for line in self.ledger.lines if line.kind == "instance"]
        if (count := len({line.name for line in machines})) > 1:
            wrong.append(f"launched {count} machines")
        ages = {line.name: line.seconds(self.now()) for line in machines}
        wrong += [f"{name} lived {age - life:.0f} s beyond its deadline" for name, age in ages.items() if age > life + SLACK]
        return wrong + [f"the lab objects: {one}" for one in self.standin.violations]

    def close(self) -> None:
        operations.WAIT_SECONDS = self._wait
        super().close()
        self.standin.close()

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


@contextlib.contextmanager
def world(cloud: str, folder: Path) -> Iterator[World]:
    """Gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = World(cloud, folder)
    try:
        yield made
    finally:
        made.close()
