"""What is to be had where: zones, regions, machine types, accelerators, networks, the project."""

from __future__ import annotations

from typing import Any

from tests.lab.gce.filters import chosen
from tests.lab.gce.instances import Instances
from tests.lab.gce.lists import aggregated, is_unreachable, reachable
from tests.lab.gce.places import ACCELERATORS, NUMBER, TYPES, ZONES, Accelerator, MachineType, region_of, sold_in, zones
from tests.lab.gce.refusals import not_found
from tests.lab.gce.resource import Call, Handler, Links, page
from tests.lab.gce.settings import Settings

BORN = "2020-01-01T00:00:00.000-08:00"


class Offered:
    """Reads only."""

    def __init__(self, links: Links, settings: Settings, instances: Instances) -> None:
        self._links, self._settings, self._instances = links, settings, instances

    def handlers(self) -> dict[str, Handler]:
        return {
            "zones.list": lambda call: page("zoneList", chosen([self._zone(call, one) for one in zones()], call.query), call),
            "zones.get": lambda call: self._zone(call, _known(call, "zone", zones())),
            "regions.list": lambda call: page(
                "regionList", chosen([self._region(call, one) for one in ZONES], call.query), call
            ),
            "regions.get": lambda call: self._region(call, _known(call, "region", list(ZONES))),
            "machineTypes.list": lambda call: self._list(call, "machineType", self._types(call, call.path["zone"])),
            "machineTypes.get": lambda call: self._one(call, "machineType", self._types(call, call.path["zone"])),
            "machineTypes.aggregatedList": lambda call: self._everywhere(call, "machineType", self._types),
            "acceleratorTypes.list": lambda call: self._list(call, "acceleratorType", self._cards(call, call.path["zone"])),
            "acceleratorTypes.get": lambda call: self._one(call, "acceleratorType", self._cards(call, call.path["zone"])),
            "acceleratorTypes.aggregatedList": lambda call: self._everywhere(call, "acceleratorType", self._cards),
            "networks.list": lambda call: page("networkList", chosen(self._networks(call), call.query), call),
            "networks.get": self.network,
            "subnetworks.get": self.subnetwork,
            "projects.get": self.project,
            "addresses.aggregatedList": lambda call: aggregated("address", "addresses", [], call, self._settings),
        }

    def network(self, call: Call) -> dict[str, Any]:
        for one in self._networks(call):
            if one["name"] == call.path["network"]:
                return one
        raise not_found(f"projects/{call.project}/global/networks/{call.path['network']}")

    def subnetwork(self, call: Call) -> dict[str, Any]:
        """Each region has the default one, and one called `own` in a network of its own."""
        name, region = call.path["subnetwork"], _known(call, "region", list(ZONES))
        if name not in ("default", "own"):
            raise not_found(f"projects/{call.project}/regions/{region}/subnetworks/{name}")
        return {
            "kind": "compute#subnetwork",
            "id": "1",
            "name": name,
            "region": self._links.to(call.project, f"regions/{region}"),
            "network": self._links.to(call.project, f"global/networks/{name}"),
            "selfLink": self._links.to(call.project, f"regions/{region}/subnetworks/{name}"),
        }

    def project(self, call: Call) -> dict[str, Any]:
        used = self._instances.used(call.project)
        items = [{"key": key, "value": value} for key, value in self._settings.project_metadata.items()]
        return {
            "kind": "compute#project",
            "id": NUMBER,
            "name": call.project,
            "creationTimestamp": BORN,
            "selfLink": self._links.to(call.project, "").rstrip("/"),
            "defaultServiceAccount": f"{NUMBER}-compute@developer.gserviceaccount.com",
            "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "cHJv", "items": items},
            "quotas": [
                {"metric": metric, "limit": limit, "usage": used.get(metric, 0.0)}
                for metric, limit in self._instances.global_limits().items()
            ],
        }

    def _networks(self, call: Call) -> list[dict[str, Any]]:
        if not self._settings.default_network:
            return []
        link = self._links.to(call.project, "global/networks/default")
        both = {"id": "1", "name": "default", "selfLink": link, "autoCreateSubnetworks": True}
        return [{"kind": "compute#network", "creationTimestamp": BORN, **both}]

    def _zone(self, call: Call, zone: str) -> dict[str, Any]:
        return {
            "kind": "compute#zone",
            "id": str(2000 + zones().index(zone)),
            "name": zone,
            "status": "DOWN" if is_unreachable(zone, self._settings) else "UP",
            "region": self._links.to(call.project, f"regions/{region_of(zone)}"),
            "selfLink": self._links.to(call.project, f"zones/{zone}"),
        }

    def _region(self, call: Call, region: str) -> dict[str, Any]:
        used = self._instances.used(call.project)
        return {
            "kind": "compute#region",
            "id": str(1000 + list(ZONES).index(region)),
            "name": region,
            "status": "UP",
            "zones": [self._links.to(call.project, f"zones/{region}-{letter}") for letter in ZONES[region]],
            "quotas": [
                {"metric": metric.rpartition("/")[2], "limit": limit, "usage": used.get(metric, 0.0)}
                for metric, limit in self._instances.limits(region).items()
                if metric.rpartition("/")[2] not in NEWER
            ],
            "selfLink": self._links.to(call.project, f"regions/{region}"),
        }

    def _types(self, call: Call, zone: str) -> list[dict[str, Any]]:
        return [self._type(call, one, zone) for one in TYPES.values() if sold_in(one, zone)]

    def _type(self, call: Call, one: MachineType, zone: str) -> dict[str, Any]:
        cards = {"accelerators": [{"guestAcceleratorType": one.bundled, "guestAcceleratorCount": one.count}]}
        return {
            "kind": "compute#machineType",
            "id": str(abs(hash(one.name)) % 10**6),
            "name": one.name,
            "guestCpus": one.cpus,
            "memoryMb": one.memory_mb,
            "isSharedCpu": one.name == "e2-small",
            "architecture": "ARM64" if one.arm else "X86_64",
            "zone": zone,
            "selfLink": self._links.to(call.project, f"zones/{zone}/machineTypes/{one.name}"),
            **(cards if one.bundled else {}),
            **({"bundledLocalSsds": {"partitionCount": one.ssd_gb // 375}} if one.ssd_gb else {}),
        }

    def _cards(self, call: Call, zone: str) -> list[dict[str, Any]]:
        return [self._card(call, one, zone) for one in ACCELERATORS.values() if sold_in(one, zone)]

    def _card(self, call: Call, one: Accelerator, zone: str) -> dict[str, Any]:
        return {
            "kind": "compute#acceleratorType",
            "id": str(abs(hash(one.name)) % 10**6),
            "name": one.name,
            "description": one.label,
            "maximumCardsPerInstance": one.most,
            "zone": self._links.to(call.project, f"zones/{zone}"),
            "selfLink": self._links.to(call.project, f"zones/{zone}/acceleratorTypes/{one.name}"),
        }

    def _list(self, call: Call, kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        reachable(call, self._settings)
        return page(f"{kind}List", chosen(items, call.query), call)

    def _one(self, call: Call, kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        reachable(call, self._settings)
        for one in items:
            if one["name"] == call.path[kind]:
                return one
        raise not_found(f"projects/{call.project}/zones/{call.path['zone']}/{kind}s/{call.path[kind]}")

    def _everywhere(self, call: Call, kind: str, here: Any) -> dict[str, Any]:
        found = [(zone, one) for zone in zones() for one in here(call, zone)]
        return aggregated(kind, f"{kind}s", found, call, self._settings)


NEWER = frozenset(["NVIDIA_H100_GPUS"])
"""Quotas that a region keeps but does not list: the description's enumeration ends before them."""


def _known(call: Call, what: str, names: list[str]) -> str:
    name = call.path[what]
    if name not in names:
        raise not_found(f"projects/{call.project}/{what}s/{name}")
    return name
