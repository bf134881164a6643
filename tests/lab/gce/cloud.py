"""Compute Engine of the lab: the parts put together, and what may be asked of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tests.lab.clock import Clock
from tests.lab.faults import Faults
from tests.lab.gce.accounts import Accounts
from tests.lab.gce.billing import Billing
from tests.lab.gce.disks import Disks
from tests.lab.gce.firewalls import Firewalls
from tests.lab.gce.front import Front
from tests.lab.gce.identities import Identities
from tests.lab.gce.images import Images
from tests.lab.gce.instances import Instances
from tests.lab.gce.machine import Machine
from tests.lab.gce.metadata import MetadataServer
from tests.lab.gce.offered import Offered
from tests.lab.gce.operations import Operations
from tests.lab.gce.places import PROJECT
from tests.lab.gce.power import Power
from tests.lab.gce.resource import Call, Links
from tests.lab.gce.scheduler import Scheduler
from tests.lab.gce.secrets import Secrets
from tests.lab.gce.server import Server
from tests.lab.gce.settings import Settings
from tests.lab.gce.storage import Storage
from tests.lab.seams import Bill, Hosts, Metadata, Reply

HOST_ENDPOINT = "http://169.254.169.254"
"""Where hosts reach the interface: beside their metadata, since loopback is not theirs."""


class Gce:
    """Implements StandIn. `violations` is empty as long as everybody spoke as Google's descriptions allow."""

    def __init__(self, hosts: Hosts, bill: Bill, faults: Faults, clock: Clock) -> None:
        self.hosts, self.clock, self.faults = hosts, clock, faults
        self.settings, self._lock, self._links = Settings(), threading.RLock(), Links()
        self.operations = Operations(self._links, clock)
        images = Images(self._links, self.settings)
        self.disks = Disks(self._links, clock, bill, self.settings, images, self.operations)
        self.firewalls = Firewalls(self._links, clock, self.settings, self.operations)
        self.accounts = Accounts(self.settings)
        self.identities = Identities(self.settings)
        self.power = Power(
            hosts=hosts,
            bill=bill,
            clock=clock,
            links=self._links,
            settings=self.settings,
            operations=self.operations,
            disks=self.disks,
            firewalls=self.firewalls,
            lock=self._lock,
            metadata=self._metadata,
        )
        self.instances = Instances(self.power, self._lock)
        self.storage = Storage(clock, self._links, self.accounts.must)
        self.secrets = Secrets()
        self.scheduler = Scheduler(clock, self.settings, faults, bill, self._sent, self.accounts.token_of)
        parts = (self.operations, self.disks, self.firewalls, self.accounts, self.identities, self.instances, images, Billing())
        others = (self.storage, self.secrets, self.scheduler)
        handlers = {name: act for part in (*parts, *others) for name, act in part.handlers().items()}
        handlers |= Offered(self._links, self.settings, self.instances).handlers() | {"fail": self._fail}
        self.front = Front(
            handlers,
            accounts=self.accounts,
            settings=self.settings,
            faults=faults,
            bill=bill,
            lock=self._lock,
            repeated=self.operations.repeated,
        )
        self._server = Server(self.front.answer, lambda: clock.now() + self.settings.skew)
        self._links.base = self.url = self._server.url

    @property
    def violations(self) -> list[str]:
        return self.front.violations

    def exports(self) -> dict[str, str]:
        return {
            "DISPATCHER_GCP_ENDPOINT": self.url,
            "DISPATCHER_GCP_HOST_ENDPOINT": HOST_ENDPOINT,
            "DISPATCHER_GCP_PROJECT": PROJECT,
            "NO_GCE_CHECK": "true",
        }

    def control(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        verbs = {
            "fault": lambda: self.faults.add(**arguments) and None,
            "set": lambda: self.settings.change(arguments),
            "preempt": lambda: self.power.preempt(self._machine(arguments)),
            "stop": lambda: self.power.stop(self._machine(arguments)),
            "console": lambda: self.hosts.console(self._machine(arguments).host).decode("utf-8", "replace"),
            "host": lambda: self._machine(arguments).host,
            "instances": lambda: self._shown(arguments),
            "guest": lambda: self._set_guest(arguments),
            "calls": lambda: [
                {"name": one.name, "path": dict(one.path), "principal": one.principal} for one in self.front.calls
            ],
            "fire": lambda: self.scheduler.fire(**arguments),
            "schedules": self.scheduler.names,
            "secret": lambda: self.secrets.set(**arguments),
            "violations": lambda: list(self.violations),
            "left": self.left,
        }
        if verb not in verbs:
            raise ValueError(f"gcp does not know {verb!r}; it knows {', '.join(sorted(verbs))}")
        return verbs[verb]()

    def left(self) -> list[str]:
        """Everything that was made and still is."""
        machines = [f"instance {one.zone}/{one.name}" for one in self.power.known.values()]
        return machines + [f"disk {zone}/{name}" for _, zone, name in self.disks.known]

    def reset(self) -> None:
        self.scheduler.clear()
        self.storage.clear()
        self.secrets.known.clear()
        self.power.clear()
        self.power.gone.clear()
        self.disks.clear()
        self.firewalls.clear()
        self.operations.forget()
        self.identities.clear()
        self.faults.clear()
        self.front.violations.clear()
        self.front.calls.clear()
        fresh = Settings()
        self.settings.change({name: getattr(fresh, name) for name in vars(fresh)})

    def close(self) -> None:
        self.reset()
        self._server.close()

    def _fail(self, call: Call) -> dict[str, Any]:
        error = {"code": call.body["code"], "message": call.body["message"]}
        target = f"{self.url}/compute/v1/projects/{call.project}/{call.body['name']}"
        verb = call.name.rpartition(".")[2]
        return self.operations.begin(call, verb, target, self.settings.operation_seconds, lambda: error)

    def _metadata(self, machine: Machine) -> Metadata:
        return MetadataServer(machine, self.settings.project_metadata, self.accounts.token, self._from_host)

    def _from_host(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The interface as hosts reach it; without a token they are nobody."""
        if not headers.get("authorization"):
            return Reply(401, b'{"error": {"code": 401, "message": "Login Required."}}', {"Content-Type": "application/json"})
        said = self.front.answer(method, target, headers, body)
        return Reply(said.status or 503, said.content, {"Content-Type": said.kind})

    def _sent(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> int:
        """What Cloud Scheduler asks of Compute Engine."""
        return self.front.answer(method, target, headers, body).status

    def _shown(self, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Instances that are; with `all` also those that were."""
        gone = self.power.gone if arguments.get("all") else []
        return [_summary(one) for one in (*gone, *self.power.known.values())]

    def _machine(self, arguments: Mapping[str, Any]) -> Machine:
        """By name, or by label: the first that is meant."""
        wanted = arguments.get("instance") or arguments.get("id")
        for one in self.power.known.values():
            if wanted in (one.name, one.host, one.resource["id"]):
                return one
        raise ValueError(f"there is no instance {wanted!r}")

    def _set_guest(self, arguments: Mapping[str, Any]) -> None:
        machine = self._machine(arguments)
        space, _, key = str(arguments["key"]).partition("/")
        machine.guest[space, key] = str(arguments["value"])


def _summary(machine: Machine) -> dict[str, Any]:
    names = {"name": machine.name, "zone": machine.zone, "machine": machine.kind.name, "status": machine.status}
    names["state"] = machine.status.lower()
    return {**names, "host": machine.host, "address": machine.address, "labels": machine.labels}
