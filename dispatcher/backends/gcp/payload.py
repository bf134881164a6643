"""The requests that make a machine, field by field; pure."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.disk import disk_gib
from dispatcher.catalog.accelerators import find_accelerator
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label

SHORTEST, LONGEST = 30, 120 * 86400
"""Seconds that maxRunDuration may have."""
NETWORK_TAG = "mlrun"
CLOSED = "mlrun-closed"
"""The rule that keeps everybody out of our machines: the default network lets the whole world try."""
CLOSED_PRIORITY, OPEN_PRIORITY = 200, 100
SCOPE = "https://www.googleapis.com/auth/compute"
ATTACHED = {
    "T4": "nvidia-tesla-t4",
    "P4": "nvidia-tesla-p4",
    "P100": "nvidia-tesla-p100",
    "V100-16GB": "nvidia-tesla-v100",
}
"""Accelerators of N1 machines, by their names in the catalog."""
_NAMESPACE = uuid.UUID("6d6c7275-6e00-5000-8000-676370000000")
_UNWANTED = re.compile(r"[^a-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image: its link, and the least disk it takes, in GiB."""

    link: str
    min_gib: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where: region, zone, network, and the subnetwork where one is named."""

    region: str
    zone: str
    network: str = "global/networks/default"
    subnetwork: str = ""


def request_id(label: Label, zone: str) -> str:
    """The request's id: one machine per attempt and zone."""
    return str(uuid.uuid5(_NAMESPACE, f"{label}/{zone}"))


def machine_type(offer: Offer) -> tuple[str, str, int]:
    """The machine type, and the accelerators that are attached to it: "n1-standard-8+t4x1" is two things to Google."""
    name, plus, _ = str(offer.machine).partition("+")
    if not plus:
        return name, "", 0
    part = find_accelerator(offer.device)
    return name, ATTACHED.get(part.name if part else "", ""), offer.count


def request(
    offer: Offer,
    label: Label,
    terms: Terms,
    site: Site,
    image: Image,
    script: str,
    labels: Mapping[str, str],
    account: str | None = None,
) -> dict[str, Any]:
    """Everything that instances.insert is sent."""
    name, attached, count = machine_type(offer)
    interface: dict[str, Any] = {"access_configs": [{"type_": "ONE_TO_ONE_NAT", "name": "External NAT"}]}
    found: dict[str, Any] = {
        "name": str(label),
        "machine_type": f"zones/{site.zone}/machineTypes/{name}",
        "labels": dict(labels),
        "tags": {"items": [NETWORK_TAG, str(label)]},
        "scheduling": scheduling(offer, terms),
        "disks": [
            {
                "boot": True,
                "auto_delete": True,
                "initialize_params": {
                    "source_image": image.link,
                    "disk_size_gb": disk_gib(terms, image.min_gib),
                    "disk_type": f"zones/{site.zone}/diskTypes/{disk_type(name)}",
                    "labels": dict(labels),
                },
            }
        ],
        "network_interfaces": [interface | ({"subnetwork": site.subnetwork} if site.subnetwork else {"network": site.network})],
        "metadata": {
            "items": [
                {"key": "startup-script", "value": script},
                {"key": "enable-guest-attributes", "value": "TRUE"},
                {"key": "block-project-ssh-keys", "value": "TRUE"},
                {"key": "enable-oslogin", "value": "FALSE"},
                {"key": "serial-port-enable", "value": "FALSE"},
            ]
        },
    }
    if attached:
        link = f"zones/{site.zone}/acceleratorTypes/{attached}"
        found["guest_accelerators"] = [{"accelerator_type": link, "accelerator_count": count}]
    if account:
        found["service_accounts"] = [{"email": account, "scopes": [SCOPE]}]
    return found


def scheduling(offer: Offer, terms: Terms) -> dict[str, Any]:
    """Its end, enforced by Google: deleted after so many seconds, never restarted, never moved where it has accelerators."""
    return {
        "max_run_duration": {"seconds": min(max(terms.max_seconds, SHORTEST), LONGEST)},
        "instance_termination_action": "DELETE",
        "automatic_restart": False,
        "on_host_maintenance": "TERMINATE",
        "provisioning_model": "SPOT" if offer.market == "spot" else "STANDARD",
    }


def disk_type(machine: str) -> str:
    """Hyperdisk where a family takes nothing else, else the balanced kind."""
    return "hyperdisk-balanced" if machine.partition("-")[0] in HYPERDISK_ONLY else "pd-balanced"


HYPERDISK_ONLY = frozenset({"a4", "a4x", "c4", "c4a", "c4d", "n4", "g4", "tpu7x"})
"""Families without Persistent Disk (cloud.google.com/compute/docs/disks/hyperdisks, 2026; recalled)."""


def opening(label: Label, site: Site, networks: Iterable[str], tags: Mapping[str, str]) -> dict[str, Any]:
    """The rule that lets the caller in to one machine, and nobody else."""
    return {
        "name": str(label),
        "network": site.network,
        "direction": "INGRESS",
        "priority": OPEN_PRIORITY,
        "source_ranges": sorted(networks),
        "target_tags": [str(label)],
        "allowed": [{"I_p_protocol": "tcp", "ports": ["22"]}],
        "description": json.dumps(dict(tags)),
    }


def closing(site: Site) -> dict[str, Any]:
    """The rule that keeps everybody else out, whatever other rules the network has."""
    return {
        "name": closed_name(site),
        "network": site.network,
        "direction": "INGRESS",
        "priority": CLOSED_PRIORITY,
        "source_ranges": ["0.0.0.0/0"],
        "target_tags": [NETWORK_TAG],
        "denied": [{"I_p_protocol": "all"}],
        "description": "mlrun: nobody enters its machines but who started the run",
    }


def closed_name(site: Site) -> str:
    """One such rule per network."""
    name = site.network.rpartition("/")[2]
    return CLOSED if name == "default" else f"{CLOSED}-{name}"[:63].rstrip("-")


def described(text: str) -> dict[str, str]:
    """The tags of an opening: rules have no labels, so that they stand in its description."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def labels_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as Google's labels can hold them: small letters, digits, - and _, at most 63."""
    return {name: _UNWANTED.sub("-", value.lower())[:63] for name, value in tags.items()}
