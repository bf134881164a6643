"""Instances: asked for, started, stopped, deleted, and taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from tests.lab.gce.filters import chosen
from tests.lab.gce.lists import aggregated, reachable
from tests.lab.gce.machine import Machine
from tests.lab.gce.metadata import guest_attributes_on
from tests.lab.gce.places import GLOBAL_QUOTAS, region_of, regional_quotas
from tests.lab.gce.power import Power
from tests.lab.gce.refusals import Refused, conflict, not_found, over_quota, over_quota_at_once, stockout
from tests.lab.gce.resource import Call, Handler, check_labels, page
from tests.lab.gce.wishes import wished

RING = 1 << 20
"""Bytes of serial output that are kept."""


class Instances:
    """What the interface answers about instances; `power` is what happens to them."""

    def __init__(self, power: Power, lock: threading.RLock) -> None:
        self._power, self._lock = power, lock
        self._settings, self._operations, self._disks = power.settings, power.operations, power.disks

    def handlers(self) -> dict[str, Handler]:
        verbs = (self.get, self.list, self.aggregatedList, self.insert, self.delete, self.stop, self.start, self.reset)
        more = (
            self.setMetadata,
            self.setLabels,
            self.setTags,
            self.setScheduling,
            self.getSerialPortOutput,
            self.getGuestAttributes,
        )
        return {f"instances.{act.__name__}": act for act in (*verbs, *more)}

    def find(self, call: Call) -> Machine:
        reachable(call, self._settings)
        machine = self._power.known.get((call.project, call.path["zone"], call.path["instance"]))
        if machine is None:
            raise not_found(f"projects/{call.project}/zones/{call.path['zone']}/instances/{call.path['instance']}")
        return machine

    def get(self, call: Call) -> dict[str, Any]:
        return self.find(call).resource

    def list(self, call: Call) -> dict[str, Any]:
        reachable(call, self._settings)
        here = [one.resource for one in self._mine(call) if one.zone == call.path["zone"]]
        return page("instanceList", chosen(here, call.query), call)

    def aggregatedList(self, call: Call) -> dict[str, Any]:  # noqa: N802 as Google calls it
        return aggregated("instance", "instances", [(one.zone, one.resource) for one in self._mine(call)], call, self._settings)

    def insert(self, call: Call) -> dict[str, Any]:
        reachable(call, self._settings)
        if self._settings.squatted:
            self._squat(call)
        if self._power.in_use(call):
            raise conflict(f"projects/{call.project}/zones/{call.path['zone']}/instances/{call.body['name']}")
        machine = wished(call, self._power.links, self._settings, self._power.clock.now())
        disks = self._disks.wished(machine)
        refused = self._over_quota(machine) or self._sold_out(machine)
        seconds = self._settings.operation_seconds
        if refused:
            return self._operations.begin(call, "insert", machine.resource["selfLink"], seconds, lambda: refused)
        self._power.accept(machine, disks)
        return self._operations.begin(
            call,
            "insert",
            machine.resource["selfLink"],
            seconds,
            lambda: self._power.start(machine),
            target_id=machine.resource["id"],
        )

    def _squat(self, call: Call) -> None:
        """Somebody else, who knows nothing of us, makes a machine of the very name."""
        self._settings.squatted = False
        image = call.body["disks"][0]["initializeParams"]["sourceImage"]
        disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": image}}
        theirs = replace(call, body={**call.body, "labels": {"team": "theirs"}, "metadata": {}, "disks": [disk]})
        machine = wished(theirs, self._power.links, self._settings, self._power.clock.now())
        self._power.accept(machine, self._disks.wished(machine))
        self._power.start(machine)

    def delete(self, call: Call) -> dict[str, Any]:
        machine = self.find(call)
        if machine.resource.get("deletionProtection"):
            raise Refused(
                400, "resourceInUseByAnotherResource", f"Resource cannot be deleted if it's protected: {machine.name}"
            )
        machine.resource["status"] = "STOPPING"
        return self._later(call, "delete", machine, lambda: self._power.delete(machine))

    def stop(self, call: Call) -> dict[str, Any]:
        machine = self.find(call)
        return self._later(call, "stop", machine, lambda: self._power.stop(machine))

    def start(self, call: Call) -> dict[str, Any]:
        machine = self.find(call)
        return self._later(call, "start", machine, lambda: self._power.start(machine))

    def reset(self, call: Call) -> dict[str, Any]:
        machine = self.find(call)
        return self._later(call, "reset", machine, lambda: self._power.reset(machine))

    def setMetadata(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)
        if call.body.get("fingerprint") != machine.resource.get("metadata", {}).get("fingerprint"):
            raise Refused(412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint.")
        return self._later(call, "setMetadata", machine, lambda: self._power.set_metadata(machine, call.body))

    def setLabels(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)
        if call.body.get("labelFingerprint") != machine.resource["labelFingerprint"]:
            raise Refused(412, "conditionNotMet", "Labels fingerprint either invalid or resource labels have changed.")
        check_labels(call.body.get("labels", {}), "labels")
        return self._later(call, "setLabels", machine, lambda: machine.resource.update(labels=dict(call.body["labels"])))

    def setTags(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)

        def work() -> None:
            machine.resource["tags"] = {**call.body, "fingerprint": "dGFn"}
            self._power.let_in(machine)

        return self._later(call, "setTags", machine, work)

    def setScheduling(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)
        if machine.status != "TERMINATED":
            raise Refused(400, "invalid", "Scheduling can be changed on a stopped instance only.")
        return self._later(call, "setScheduling", machine, lambda: machine.resource.update(scheduling=dict(call.body)))

    def getSerialPortOutput(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)
        printed = self._power.hosts.console(machine.host)
        first = max(int(call.query.get("start") or 0), len(printed) - RING, 0)
        shown = printed[first:].decode("utf-8", "replace")
        numbers = {"start": str(first), "next": str(len(printed))}
        return {"kind": "compute#serialPortOutput", "contents": shown, "selfLink": machine.resource["selfLink"], **numbers}

    def getGuestAttributes(self, call: Call) -> dict[str, Any]:  # noqa: N802
        machine = self.find(call)
        if not guest_attributes_on(machine, self._settings.project_metadata):
            raise Refused(412, "conditionNotMet", "Guest attributes are not enabled for this instance.")
        answer = {"kind": "compute#guestAttributes", "selfLink": f"{machine.resource['selfLink']}/guestAttributes/"}
        if one := call.query.get("variableKey"):
            space, _, key = one.partition("/")
            if (space, key) not in machine.guest:
                raise not_found(f"{machine.path}/guestAttributes/{one}")
            return {**answer, "variableKey": one, "variableValue": machine.guest[space, key]}
        wanted = call.query.get("queryPath", "")
        space, _, rest = wanted.partition("/")
        found = [
            {"namespace": ns, "key": key, "value": value}
            for (ns, key), value in sorted(machine.guest.items())
            if ns == space and key.startswith(rest)
        ]
        if not found:
            raise not_found(f"{machine.path}/guestAttributes/{wanted}")
        return {**answer, "queryPath": wanted, "queryValue": {"items": found}}

    def used(self, project: str) -> dict[str, float]:
        """How much of each quota is taken; what is stopped takes none but its name."""
        total: dict[str, float] = {}
        for machine in self._power.known.values():
            if machine.project == project and machine.status != "TERMINATED":
                for metric, many in machine.uses().items():
                    total[metric] = total.get(metric, 0.0) + many
        return total

    def limits(self, region: str) -> dict[str, float]:
        """The quotas of a region, as a test may have set them."""
        standing = {f"{region}/{metric}": limit for metric, limit in regional_quotas().items()}
        return {metric: self._settings.quotas.get(metric, limit) for metric, limit in standing.items()}

    def global_limits(self) -> dict[str, float]:
        return {metric: self._settings.quotas.get(metric, limit) for metric, limit in GLOBAL_QUOTAS.items()}

    def _mine(self, call: Call) -> list[Machine]:
        with self._lock:
            return [one for one in self._power.known.values() if one.project == call.project]

    def _later(self, call: Call, kind: str, machine: Machine, work: Callable[[], None]) -> dict[str, Any]:
        seconds, link = self._settings.operation_seconds, machine.resource["selfLink"]
        return self._operations.begin(call, kind, link, seconds, work, target_id=machine.resource["id"])

    def _over_quota(self, machine: Machine) -> dict[str, Any] | None:
        used, region = self.used(machine.project), region_of(machine.zone)
        limits = {**self.global_limits(), **self.limits(region)}
        for metric, many in machine.uses().items():
            limit = limits.get(metric)
            if limit is None or used.get(metric, 0.0) + many <= limit:
                continue
            name, place = metric.rpartition("/")[2], region if "/" in metric else None
            if self._settings.quota_at_once:
                raise over_quota_at_once(name, limit, f"in region {region}" if place else "globally")
            return over_quota(name, limit, place)
        return None

    def _sold_out(self, machine: Machine) -> dict[str, Any] | None:
        market = "spot" if machine.spot else "on-demand"
        for one in self._settings.stockouts:
            asked = ((machine.zone, one.get("zone", "*")), (machine.kind.name, one.get("machine", "*")))
            if all(fnmatchcase(*pair) for pair in (*asked, (market, one.get("market", "*")))):
                attached = f"{machine.accelerator}:{machine.cards}" if machine.accelerator else ""
                others, details = one.get("others", ()), one.get("details", True)
                return stockout(
                    machine.project, machine.zone, machine.kind.name, attachment=attached, others=others, details=details
                )
        return None
