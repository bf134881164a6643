"""Disks: made with their machines, billed until they are deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lab.clock import Clock
from tests.lab.gce.images import Images
from tests.lab.gce.lists import aggregated, reachable
from tests.lab.gce.machine import Key, Machine
from tests.lab.gce.operations import Operations
from tests.lab.gce.places import DISK_GB_MONTH, HOURS_A_MONTH
from tests.lab.gce.refusals import Refused, conflict, not_found
from tests.lab.gce.resource import Call, Links, check_labels, new_id, page, stamp, tail
from tests.lab.gce.settings import Settings
from tests.lab.seams import Bill


class Disks:
    """Persistent disks by project, zone and name."""

    def __init__(
        self, links: Links, clock: Clock, bill: Bill, settings: Settings, images: Images, operations: Operations
    ) -> None:
        self._links, self._clock, self._bill, self._settings = links, clock, bill, settings
        self._images, self._operations = images, operations
        self.known: dict[Key, dict[str, Any]] = {}

    def handlers(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        return {
            "disks.get": self.get,
            "disks.list": self.list,
            "disks.aggregatedList": self.aggregated_list,
            "disks.delete": self.delete,
        }

    def wished(self, machine: Machine) -> list[dict[str, Any]]:
        """The disks that a new machine brings, put into its resource as attached. Raises Refused."""
        made = []
        for index, attached in enumerate(machine.resource["disks"]):
            disk = self._disk(machine, attached, index)
            made.append(disk)
            attached.pop("initializeParams", None)
            attached.update(
                kind="compute#attachedDisk",
                index=index,
                source=disk["selfLink"],
                diskSizeGb=disk["sizeGb"],
                deviceName=attached.get("deviceName", f"persistent-disk-{index}"),
                mode="READ_WRITE",
                type="PERSISTENT",
                autoDelete=attached.get("autoDelete", False),
            )
        return made

    def add(self, machine: Machine, made: list[dict[str, Any]]) -> None:
        for disk in made:
            self.known[machine.project, machine.zone, disk["name"]] = disk
            usd = int(disk["sizeGb"]) * DISK_GB_MONTH / HOURS_A_MONTH
            self._bill.begin("gcp", "disk", f"{machine.zone}/{disk['name']}", usd, disk.get("labels", {}))

    def left_by(self, machine: Machine) -> None:
        """The machine is gone: so are its disks, but for those that were to stay."""
        for attached in machine.resource["disks"]:
            name = tail(attached["source"])
            if attached["autoDelete"]:
                self._remove((machine.project, machine.zone, name))
            elif disk := self.known.get((machine.project, machine.zone, name)):
                disk["users"] = []

    def clear(self) -> None:
        for key in list(self.known):
            self._remove(key)

    def get(self, call: Call) -> dict[str, Any]:
        reachable(call, self._settings)
        disk = self.known.get((call.project, call.path["zone"], call.path["disk"]))
        if disk is None:
            raise not_found(f"projects/{call.project}/zones/{call.path['zone']}/disks/{call.path['disk']}")
        return disk

    def list(self, call: Call) -> dict[str, Any]:
        from tests.lab.gce.filters import chosen

        reachable(call, self._settings)
        here = [disk for (project, zone, _), disk in self.known.items() if (project, zone) == (call.project, call.path["zone"])]
        return page("diskList", chosen(here, call.query), call)

    def aggregated_list(self, call: Call) -> dict[str, Any]:
        mine = [(zone, disk) for (project, zone, _), disk in self.known.items() if project == call.project]
        return aggregated("disk", "disks", mine, call, self._settings)

    def delete(self, call: Call) -> dict[str, Any]:
        disk = self.get(call)
        if disk.get("users"):
            text = f"The disk resource '{disk['name']}' is already being used by '{disk['users'][0]}'"
            raise Refused(400, "resourceInUseByAnotherResource", text)
        key = (call.project, call.path["zone"], call.path["disk"])
        seconds = self._settings.operation_seconds
        return self._operations.begin(call, "delete", disk["selfLink"], seconds, lambda: self._remove(key))

    def _remove(self, key: Key) -> None:
        if self.known.pop(key, None):
            self._bill.end("gcp", "disk", f"{key[1]}/{key[2]}")

    def _disk(self, machine: Machine, attached: dict[str, Any], index: int) -> dict[str, Any]:
        asked = attached.get("initializeParams")
        if asked is None:
            raise Refused(400, "invalid", "The lab only makes new disks: initializeParams is missing.")
        image = self._images.resolve(asked.get("sourceImage", ""))
        if (image["architecture"] == "ARM64") != machine.kind.arm:
            text = (
                f"Requested architecture {image['architecture']} is not compatible with the specified VM {machine.kind.name}."
            )
            raise Refused(400, "badRequest", text)
        size = int(asked.get("diskSizeGb", image["diskSizeGb"]))
        if size < int(image["diskSizeGb"]):
            text = f"Requested disk size cannot be smaller than the image size ({image['diskSizeGb']} GB)"
            raise Refused(400, "invalid", text)
        name = asked.get("diskName") or (machine.name if index == 0 else f"{machine.name}-{index}")
        if (machine.project, machine.zone, name) in self.known:
            raise conflict(f"projects/{machine.project}/zones/{machine.zone}/disks/{name}")
        check_labels(asked.get("labels", {}), "resource.disks.initializeParams.labels")
        return {
            "kind": "compute#disk",
            "id": new_id(),
            "name": name,
            "sizeGb": str(size),
            "status": "READY",
            "labels": dict(asked.get("labels", {})),
            "creationTimestamp": stamp(self._clock.now()),
            "sourceImage": image["selfLink"],
            "selfLink": self._links.to(machine.project, f"zones/{machine.zone}/disks/{name}"),
            "zone": self._links.to(machine.project, f"zones/{machine.zone}"),
            "users": [machine.resource["selfLink"]],
            "type": self._links.to(
                machine.project, f"zones/{machine.zone}/diskTypes/{tail(asked.get('diskType', 'pd-standard'))}"
            ),
        }
