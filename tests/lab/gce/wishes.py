"""What an insert asks for, refused where Compute Engine would."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.lab.gce.machine import Machine
from tests.lab.gce.places import ACCELERATORS, TYPES, sold_in
from tests.lab.gce.refusals import Refused, invalid
from tests.lab.gce.resource import LARGEST_METADATA, Call, Links, check_labels, check_name, new_id, stamp, tail
from tests.lab.gce.settings import Settings

SHORTEST, LONGEST = 30, 120 * 86400
"""Seconds of maxRunDuration."""


def wished(call: Call, links: Links, settings: Settings, now: float) -> Machine:
    """The machine as it will be, with status PROVISIONING. Raises Refused."""
    body = copy.deepcopy(dict(call.body))
    zone = call.path["zone"]
    name = check_name(body.get("name", ""))
    kind = TYPES.get(tail(body.get("machineType", "")))
    if kind is None or not sold_in(kind, zone):
        raise _no_type(body.get("machineType", ""), zone)
    accelerator, cards = _accelerators(body, kind.name, zone)
    check_labels(body.get("labels", {}), "resource.labels")
    _check_metadata(body.get("metadata", {}))
    _check_policies(call.project, body.get("metadata", {}), settings)
    _check_scheduling(body.get("scheduling", {}), has_cards=bool(cards))
    _check_account(body.get("serviceAccounts", []), settings)
    if not body.get("disks"):
        raise invalid("resource.disks", "", "At least one disk is required.")
    interfaces = body.get("networkInterfaces")
    if not interfaces:
        raise invalid("resource.networkInterfaces", "", "At least one network interface is required.")
    if (
        tail(interfaces[0].get("network", "default")) == "default"
        and "subnetwork" not in interfaces[0]
        and not settings.default_network
    ):
        raise Refused(
            400, "invalid", f"The referenced network resource 'projects/{call.project}/global/networks/default' was not found."
        )
    own = {
        "kind": "compute#instance",
        "id": new_id(),
        "name": name,
        "status": "PROVISIONING",
        "creationTimestamp": stamp(now),
        "selfLink": links.to(call.project, f"zones/{zone}/instances/{name}"),
        "zone": links.to(call.project, f"zones/{zone}"),
        "machineType": links.to(call.project, f"zones/{zone}/machineTypes/{kind.name}"),
        "cpuPlatform": "Ampere Altra" if kind.arm else "Intel Cascade Lake",
        "labelFingerprint": "bGFi",
        "metadata": {"kind": "compute#metadata", "fingerprint": "bWV0MA==", **body.get("metadata", {})},
        "startRestricted": False,
        "resourceStatus": {"scheduling": {}},
    }
    return Machine(call.project, zone, {**body, **own}, kind, accelerator, cards)


def _no_type(asked: str, zone: str) -> Refused:
    why = f"Machine type with name '{tail(asked)}' does not exist in zone '{zone}'."
    return invalid("resource.machineType", asked, why)


def _accelerators(body: Mapping[str, Any], machine: str, zone: str) -> tuple[str, int]:
    kind = TYPES[machine]
    if not (asked := body.get("guestAccelerators")):
        return kind.bundled, kind.count
    name, many = tail(asked[0].get("acceleratorType", "")), asked[0].get("acceleratorCount", 0)
    if kind.bundled == name and many == kind.count:
        return name, many
    if name not in kind.attachable or many not in (1, 2, 4, 8) or many > ACCELERATORS[name].most:
        why = f"[{many}] accelerators of type {name} cannot be attached to {machine}."
        raise invalid("resource.guestAccelerators[0].acceleratorType", name, why)
    if not sold_in(ACCELERATORS[name], zone):
        why = f"Accelerator type {name} does not exist in zone {zone}."
        raise invalid("resource.guestAccelerators[0].acceleratorType", name, why)
    return name, many


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    keys = [one.get("key", "") for one in metadata.get("items", ())]
    if len(set(keys)) != len(keys):
        raise invalid("resource.metadata", ",".join(keys), "Metadata has duplicate keys.")
    for one in metadata.get("items", ()):
        if len(one.get("value", "").encode()) > LARGEST_METADATA:
            raise invalid("resource.metadata.items", one["key"], f"Value exceeds the limit of {LARGEST_METADATA} bytes.")


def _check_policies(project: str, metadata: Mapping[str, Any], settings: Settings) -> None:
    """constraints/compute.requireOsLogin: machines that switch OS Login off are refused, as Google documents it."""
    said = {one.get("key"): one.get("value", "").upper() for one in metadata.get("items", ())}
    if settings.os_login and said.get("enable-oslogin", "TRUE") != "TRUE":
        raise Refused(412, "conditionNotMet", f"Constraint constraints/compute.requireOsLogin violated for project {project}.")


def _check_scheduling(asked: Mapping[str, Any], *, has_cards: bool) -> None:
    spot = asked.get("provisioningModel") == "SPOT" or asked.get("preemptible")
    if (has_cards or spot) and asked.get("onHostMaintenance") != "TERMINATE":
        why = "Instances with guest accelerators, and spot instances, do not support live migration."
        raise invalid("resource.scheduling.onHostMaintenance", asked.get("onHostMaintenance"), why)
    if spot and asked.get("automaticRestart", True):
        why = "Scheduling must have preemptible be false when AutomaticRestart is true."
        raise invalid("resource.scheduling.preemptible", "True", why)
    limited = "maxRunDuration" in asked or "terminationTime" in asked
    if "instanceTerminationAction" in asked and not (limited or spot):
        why = "It may be set for spot instances and for those with a limited run duration only."
        raise invalid("resource.scheduling.instanceTerminationAction", asked["instanceTerminationAction"], why)
    if limited and "instanceTerminationAction" not in asked:
        raise invalid("resource.scheduling.instanceTerminationAction", "", "It must be set with a limited run duration.")
    if "maxRunDuration" in asked and not SHORTEST <= int(asked["maxRunDuration"].get("seconds", 0)) <= LONGEST:
        why = f"It must be between {SHORTEST} and {LONGEST} seconds."
        raise invalid("resource.scheduling.maxRunDuration", asked["maxRunDuration"].get("seconds"), why)


def _check_account(asked: list[Mapping[str, Any]], settings: Settings) -> None:
    for one in asked:
        if one.get("email") not in settings.accounts:
            text = f"The resource '{one.get('email')}' of type 'serviceAccount' was not found."
            raise Refused(400, "invalid", text)
