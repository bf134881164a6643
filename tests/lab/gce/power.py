"""What happens to machines: started, stopped, deleted, preempted, ended by their limit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.clock import Clock
from tests.lab.gce.disks import Disks
from tests.lab.gce.firewalls import Firewalls
from tests.lab.gce.machine import Key, Machine
from tests.lab.gce.operations import Operations
from tests.lab.gce.places import ACCELERATORS, ADDRESS_HOUR
from tests.lab.gce.resource import Call, Links, stamp
from tests.lab.gce.settings import Settings
from tests.lab.seams import Bill, Hosts, HostSpec, Metadata

DRIVER = "580.95.05"


class Power:
    """All machines. What takes long is done outside the lock."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        bill: Bill,
        clock: Clock,
        links: Links,
        settings: Settings,
        operations: Operations,
        disks: Disks,
        firewalls: Firewalls,
        lock: threading.RLock,
        metadata: Callable[[Machine], Metadata],
    ) -> None:
        self.hosts, self.clock, self.links, self.settings = hosts, clock, links, settings
        self.operations, self.disks = operations, disks
        self._bill, self._firewalls, self._lock, self._metadata = bill, firewalls, lock, metadata
        self.known: dict[Key, Machine] = {}
        self.gone: list[Machine] = []
        firewalls.changed = self._let_in_all

    def in_use(self, call: Call) -> bool:
        return (call.project, call.path["zone"], call.body.get("name")) in self.known

    def accept(self, machine: Machine, disks: list[dict[str, Any]]) -> None:
        """From now on it is seen; its disks cost already."""
        with self._lock:
            self.known[machine.key] = machine
            self.disks.add(machine, disks)

    def start(self, machine: Machine) -> None:
        """Boot it for the first time or again. Its limit counts from here."""
        with machine.moving:
            with self._lock:
                if self.known.get(machine.key) is not machine or machine.status == "RUNNING":
                    return
                machine.resource.update(status="RUNNING", lastStartTimestamp=stamp(self.clock.now()))
                self._begin_costs(machine)
            if machine.address:
                self.hosts.power_on(machine.host)
            else:
                machine.address = self.hosts.boot(self._spec(machine), lambda _host, _why: self.went_down(machine))
            with self._lock:
                self._show_address(machine)
                self._arm(machine)
            self.let_in(machine)

    def stop(self, machine: Machine) -> None:
        """By hand, or by its termination action: disks go on costing, and the limit is forgotten."""
        with machine.moving:
            self.hosts.power_off(machine.host)
            self.went_down(machine)

    def reset(self, machine: Machine) -> None:
        with machine.moving:
            self.hosts.power_off(machine.host)
            self.hosts.power_on(machine.host)

    def went_down(self, machine: Machine) -> None:
        with self._lock:
            if self.known.get(machine.key) is not machine:
                return
            self._disarm(machine)
            machine.resource.update(status="TERMINATED", lastStopTimestamp=stamp(self.clock.now()))
            self._stop_costs(machine)
            self._show_address(machine)
        machine.tell()

    def delete(self, machine: Machine) -> None:
        with machine.moving:
            with self._lock:
                if self.known.get(machine.key) is not machine:
                    return
                machine.resource["status"] = "STOPPING"
                self._disarm(machine)
            self.hosts.destroy(machine.host)
            with self._lock:
                self.gone.append(self.known.pop(machine.key))
                self._stop_costs(machine)
                self.disks.left_by(machine)
        machine.tell()

    def preempt(self, machine: Machine) -> None:
        """Tell it, and take it back when the notice has passed."""
        machine.preempted = True
        machine.tell()
        self.clock.later(self.settings.notice_seconds, lambda: self._taken_back(machine))

    def set_metadata(self, machine: Machine, body: Mapping[str, Any]) -> None:
        machine.resource["metadata"] = {**body, "fingerprint": f"bWV0{machine.version}"}
        machine.tell()

    def let_in(self, machine: Machine) -> None:
        if machine.address:
            self.hosts.allow(machine.host, self._firewalls.rules_for(machine.project, machine.tags))

    def clear(self) -> None:
        for machine in list(self.known.values()):
            self.delete(machine)

    def _let_in_all(self) -> None:
        for machine in list(self.known.values()):
            self.let_in(machine)

    def _spec(self, machine: Machine) -> HostSpec:
        cards = ({"name": ACCELERATORS[machine.accelerator].label} if machine.accelerator else {}) | {"driver": DRIVER}
        if machine.accelerator:
            cards["memory_mib"] = ACCELERATORS[machine.accelerator].memory_mib
        return HostSpec(
            id=machine.host,
            kind="gce",
            metadata=self._metadata(machine),
            hostname=machine.name,
            gpus=(cards,) * machine.cards,
            boot_delay=self.settings.boot_seconds,
            fault=self.settings.host_fault,
        )

    def _arm(self, machine: Machine) -> None:
        if self.known.get(machine.key) is not machine or machine.life is None:
            return
        end = stamp(self.clock.now() + machine.life)
        machine.resource["resourceStatus"] = {"scheduling": {"terminationTimestamp": end}}
        machine.expiry = self.clock.later(machine.life, lambda: self._act(machine, "compute.instances.expire"))

    def _disarm(self, machine: Machine) -> None:
        if machine.expiry:
            machine.expiry.cancel()
        machine.expiry = None
        machine.resource["resourceStatus"] = {"scheduling": {}}

    def _taken_back(self, machine: Machine) -> None:
        if self.known.get(machine.key) is machine and machine.status == "RUNNING":
            self._act(machine, "compute.instances.preempted")

    def _act(self, machine: Machine, kind: str) -> None:
        """What was agreed for its end, as an operation of the system's."""
        call = Call(kind, {"project": machine.project, "zone": machine.zone}, principal="system")
        action = machine.scheduling.get("instanceTerminationAction", "STOP")
        end = self.delete if action == "DELETE" else self.stop
        self.operations.begin(call, kind, machine.resource["selfLink"], 0.0, lambda: end(machine))

    def _begin_costs(self, machine: Machine) -> None:
        usd = machine.usd(self.settings.prices)
        self._bill.begin("gcp", "instance", self._billed(machine), usd, machine.labels)
        if machine.wants_address:
            self._bill.begin("gcp", "address", self._billed(machine), ADDRESS_HOUR, machine.labels)

    def _stop_costs(self, machine: Machine) -> None:
        self._bill.end("gcp", "instance", self._billed(machine))
        self._bill.end("gcp", "address", self._billed(machine))

    @staticmethod
    def _billed(machine: Machine) -> str:
        return f"{machine.zone}/{machine.name}"

    @staticmethod
    def _show_address(machine: Machine) -> None:
        for number, one in enumerate(machine.resource["networkInterfaces"]):
            one.setdefault("networkIP", f"10.128.{int(machine.resource['id']) % 250}.{number + 2}")
            one.update(name=f"nic{number}", kind="compute#networkInterface")
            for access in one.get("accessConfigs", ()):
                access.update(kind="compute#accessConfig", name=access.get("name", "External NAT"))
                access.pop("natIP", None)
                if machine.status == "RUNNING":
                    access["natIP"] = machine.address
