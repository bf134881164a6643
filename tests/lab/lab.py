"""A whole lab: hosts, both clouds, what goes wrong in them and what they bill."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.clock import SystemClock
from tests.lab.faults import Faults
from tests.lab.hosts import RealHosts
from tests.lab.image import LabError
from tests.lab.ledger import Ledger
from tests.lab.net import RANGE
from tests.lab.seams import StandIn

CLOUDS = {"aws": ("tests.lab.ec2.cloud", "Ec2"), "gcp": ("tests.lab.gce.cloud", "Gce")}
ALWAYS = {"AWS_EC2_METADATA_DISABLED": "true", "NO_GCE_CHECK": "true"}
SETTLE_SECONDS = 10.0


class Lab:
    """Clouds are started by the first who asks for them."""

    def __init__(self) -> None:
        self.hosts = RealHosts()
        self.clock = SystemClock()
        self.ledger = Ledger(self.clock)
        self.faults = Faults()
        self._clouds: dict[str, StandIn] = {}

    @property
    def ec2(self) -> Any:
        return self.cloud("aws")

    @property
    def gce(self) -> Any:
        return self.cloud("gcp")

    def cloud(self, name: str) -> StandIn:
        if name not in CLOUDS:
            raise LabError(f"the lab's clouds are {' and '.join(CLOUDS)}, not {name!r}")
        if name not in self._clouds:
            module, kind = CLOUDS[name]
            make: Callable[..., StandIn] = getattr(importlib.import_module(module), kind)
            self._clouds[name] = make(self.hosts, self.ledger, self.faults, self.clock)
        return self._clouds[name]

    def environment(self, *clouds: str) -> dict[str, str]:
        """With which clients reach these clouds, or all; hosts see them at the bridge's address."""
        named = {key: value for cloud in clouds or CLOUDS for key, value in self.cloud(cloud).exports().items()}
        return {**ALWAYS, "DISPATCHER_CALLER_IP": self.hosts.slot.gateway, **named}

    @property
    def network(self) -> str:
        """Where all labs' hosts live."""
        return str(RANGE)

    def find(self, wanted: str) -> str:
        """A host by its id, or by what its cloud calls it."""
        for name, cloud in self._clouds.items():
            try:
                found = cloud.control("host", {"id": wanted})
            except (ValueError, KeyError, LookupError):
                continue
            if found in self.hosts.ids():
                return str(found)
            raise LabError(f"{wanted} of {name} has no host now")
        if wanted in self.hosts.ids():
            return wanted
        raise LabError(f"there is no host {wanted!r}; there are: {', '.join(self.hosts.ids()) or 'none'}")

    def cloud_of(self, wanted: str) -> StandIn:
        """The cloud that a host belongs to."""
        kind = self.hosts.kind(self.find(wanted))
        return self.cloud("aws" if kind == "ec2" else "gcp")

    def left(self) -> list[str]:
        """What costs, runs or lies about now, and what was done wrong. Nothing, after a test that cleaned up."""
        found = [f"billed {line.cloud} {line.kind} {line.name}" for line in self.ledger.open()]
        return found + self.hosts.remains() + self.wrongs()

    def wrongs(self) -> list[str]:
        """Requests and replies that no real cloud would take or give; hosts that failed by the lab's own fault."""
        found = [f"a host failed: {failure}" for failure in self.hosts.failures]
        for name, cloud in self._clouds.items():
            found += [f"{name}: {violation}" for violation in getattr(cloud, "violations", ())]
        return found

    def settle(self, seconds: float = SETTLE_SECONDS) -> list[str]:
        """What is still left when everything that is being deleted has had its time."""
        until = time.monotonic() + seconds
        while (left := self.left()) and not self.wrongs() and time.monotonic() < until:
            time.sleep(0.05)
        return left

    def reset(self) -> None:
        """As new. Whatever hosts a cloud has forgotten are destroyed too."""
        for cloud in self._clouds.values():
            cloud.reset()
        self.hosts.clear()
        self.faults.clear()
        self.ledger.reset()

    def status(self) -> Mapping[str, Any]:
        return {
            "network": str(self.hosts.slot.network),
            "hosts": [self.hosts.about(host) for host in self.hosts.ids()],
            "billed": [f"{line.cloud} {line.kind} {line.name} ${line.usd_per_hour}/h" for line in self.ledger.open()],
            "faults": [repr(fault) for fault in self.faults.planned()],
            "wrongs": self.wrongs(),
        }

    def close(self) -> None:
        for cloud in self._clouds.values():
            cloud.close()
        self.clock.close()
        self.hosts.close()
