"""The stand-in EC2: a server on loopback, its state, and the hands of tests."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from tests.lab.clock import Clock
from tests.lab.ec2 import fleets, functions, images, instances, launch, life, lookups, network, side  # noqa: F401 — they register their handlers
from tests.lab.ec2.answering import Answering
from tests.lab.ec2.people import ADMIN, ADMIN_SECRET
from tests.lab.ec2.server import Server
from tests.lab.ec2.state import LIVE, Instance, Settings, World
from tests.lab.faults import Faults
from tests.lab.seams import Bill, Hosts


class Ec2:
    """A StandIn. `calls` and `violations` are what tests read; a violation is a flaw of the client or of the lab."""

    def __init__(self, hosts: Hosts, ledger: Bill, faults: Faults, clock: Clock) -> None:
        self.world = World(hosts, ledger, clock)
        self.faults = faults
        self.answering = Answering(self.world, faults)
        self.server = Server(self.answering)

    @property
    def calls(self) -> list[dict[str, Any]]:
        return self.answering.calls

    @property
    def violations(self) -> list[str]:
        return self.answering.violations

    def exports(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.server.url,
            "AWS_ACCESS_KEY_ID": ADMIN,
            "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def control(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        verbs = {
            "fault": self._fault,
            "set": self._set,
            "preempt": self._preempt,
            "end": self._end,
            "user": self._user,
            "expire": self._expire,
            "calls": lambda: list(self.calls),
            "violations": lambda: list(self.violations),
            "instances": self._instances,
            "host": self._host,
            "console": self._console,
            "fire": lambda name: self.server.others.schedules.fire(name),
            "schedules": lambda: self.server.others.schedules.names(),
            "parameter": self._parameter,
        }
        if verb not in verbs:
            raise ValueError(f"the lab's EC2 knows {', '.join(verbs)}, not {verb!r}")
        try:
            return verbs[verb](**arguments)
        except TypeError as error:
            raise ValueError(f"{verb}: {error}") from None

    def reset(self) -> None:
        self._destroy()
        with self.world.lock:
            self.world.forget()
            self.answering.forget()
            self.faults.clear()
        self.server.others.forget()

    def close(self) -> None:
        self._destroy()
        self.server.others.forget()
        self.server.close()

    def _destroy(self) -> None:
        with self.world.lock:
            left = [one for one in self.world.instances() if one.state != "terminated"]
            for one in left:
                one.state = "terminated"
            kept = [volume.id for region in self.world.regions.values() for volume in region.volumes.values()]
        for one in left:
            self.world.hosts.destroy(one.id)
            for kind in ("instance", "address"):
                self.world.bill.end(life.CLOUD, kind, one.id)
        for name in kept:
            self.world.bill.end(life.CLOUD, "volume", name)

    def _fault(self, **fault: Any) -> dict[str, Any]:
        return dataclasses.asdict(self.faults.add(**fault))

    def _set(self, **values: Any) -> dict[str, Any]:
        """What is given; everything as it stands afterwards."""
        known = {one.name for one in dataclasses.fields(Settings)}
        if unknown := set(values) - known:
            raise ValueError(f"the lab's EC2 can set {', '.join(sorted(known))}, not {', '.join(sorted(unknown))}")
        with self.world.lock:
            for name, value in values.items():
                setattr(self.world.settings, name, value)
            if values.get("default_network") is False:
                self.world.regions = {name: region for name, region in self.world.regions.items() if region.instances}
        return dataclasses.asdict(self.world.settings)

    def _preempt(self, id: str, rebalance: float = 0.0) -> float:  # noqa: A002 — it is what people type
        return life.preempt(self.world, self._live(id), rebalance)

    def _end(self, id: str, reason: str = "Server.InternalError") -> None:  # noqa: A002
        """As EC2 ends an instance for reasons of its own."""
        life.end(self.world, self._live(id), (reason, f"{reason}: ended by the lab"), "")

    def _live(self, wanted: str) -> Instance:
        one = self.world.instance(wanted)
        if one.state not in LIVE:
            raise ValueError(f"{wanted} is {one.state}")
        return one

    def _user(self, name: str, policy: Any, seconds: float | None = None) -> dict[str, str]:
        """Credentials of a user who may do what the policy (or list of policies) says, for so long."""
        policies = policy if isinstance(policy, list) else [policy]
        expires = None if seconds is None else self.world.now() + seconds
        return self.answering.people.add(name, policies, expires)

    def _expire(self, name: str, seconds: float = 0.0) -> None:
        """This user's credentials are good for so long and no longer."""
        for person in self.answering.people.known.values():
            if person.name == name:
                person.expires = self.world.now() + seconds

    def _instances(self, *, all: bool = False) -> list[dict[str, Any]]:  # noqa: A002
        names = ("id", "region", "zone", "kind", "market", "state", "address", "tags")
        shown = [one for one in self.world.instances() if all or one.state != "terminated"]
        return [{name: getattr(one, name) for name in names} for one in shown]

    def _host(self, id: str, instance: str = "") -> str:  # noqa: A002
        """An instance's host has its name."""
        return self.world.instance(id).id

    def _parameter(self, name: str, value: str | None, region: str = "us-east-1") -> None:
        """A parameter of the account's own, as a SecureString; None removes it."""
        self.world.parameters.pop((region, name), None)
        if value is not None:
            self.world.parameters[region, name] = value

    def _console(self, id: str) -> str:  # noqa: A002
        return life.console(self.world, self.world.instance(id), latest=True).decode(errors="replace")
