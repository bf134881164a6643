"""One instance: what the interface shows of it, and what only the lab knows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.clock import Timer
from tests.lab.gce.places import ACCELERATORS, SPOT, MachineType, region_of

Key = tuple[str, str, str]
"""Project, zone, name."""


@dataclass
class Machine:
    """`resource` is the instance as Google shows it; `guest` are guest attributes by namespace and key.

    Whoever starts, stops or deletes it holds `moving`: its host is not to be destroyed while it is built.
    """

    project: str
    zone: str
    resource: dict[str, Any]
    kind: MachineType
    accelerator: str = ""
    cards: int = 0
    guest: dict[tuple[str, str], str] = field(default_factory=dict)
    address: str = ""
    preempted: bool = False
    expiry: Timer | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 1
    moving: threading.RLock = field(default_factory=threading.RLock)

    @property
    def name(self) -> str:
        return str(self.resource["name"])

    @property
    def key(self) -> Key:
        return self.project, self.zone, self.name

    @property
    def host(self) -> str:
        """Its id among the lab's hosts: an instance made anew under an old name is another host."""
        return f"gce-{self.resource['id']}"

    @property
    def path(self) -> str:
        return f"projects/{self.project}/zones/{self.zone}/instances/{self.name}"

    @property
    def status(self) -> str:
        return str(self.resource["status"])

    @property
    def scheduling(self) -> Mapping[str, Any]:
        return self.resource.get("scheduling", {})

    @property
    def spot(self) -> bool:
        return self.scheduling.get("provisioningModel") == "SPOT" or bool(self.scheduling.get("preemptible"))

    @property
    def life(self) -> float | None:
        """Seconds from each start to its end, where it has such a limit."""
        limit = self.scheduling.get("maxRunDuration")
        return float(limit["seconds"]) if limit else None

    @property
    def attributes(self) -> dict[str, str]:
        return {one["key"]: one.get("value", "") for one in self.resource.get("metadata", {}).get("items", ())}

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(self.resource.get("tags", {}).get("items", ()))

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.resource.get("labels", {}))

    @property
    def wants_address(self) -> bool:
        return any(one.get("accessConfigs") for one in self.resource["networkInterfaces"])

    def usd(self, prices: Mapping[str, float]) -> float:
        """Per hour, without disks and address. `prices` are those that a test has set."""
        each = ACCELERATORS[self.accelerator].usd if self.accelerator else 0.0
        whole = prices.get(self.kind.name, self.kind.usd(self.cards, each))
        return whole * (SPOT if self.spot else 1.0)

    def uses(self) -> dict[str, float]:
        """What it takes of the project's quotas, by "region/METRIC" or METRIC."""
        region = region_of(self.zone)
        taken = {f"{region}/{self.kind.metric}": float(self.kind.cpus), f"{region}/INSTANCES": 1.0}
        taken["CPUS_ALL_REGIONS"] = float(self.kind.cpus)
        if self.wants_address:
            taken[f"{region}/IN_USE_ADDRESSES"] = 1.0
        if self.accelerator:
            metric = ACCELERATORS[self.accelerator].metric
            bounded = self.spot or self.life is not None
            taken[f"{region}/{'PREEMPTIBLE_' if bounded else ''}{metric}"] = float(self.cards)
            taken["GPUS_ALL_REGIONS"] = float(self.cards)
        return taken

    def tell(self) -> None:
        """Wake those who wait for the metadata to change."""
        with self.changed:
            self.version += 1
            self.changed.notify_all()
