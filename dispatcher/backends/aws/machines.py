"""Instances as AWS describes them, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.payload import tag_dict
from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud.tags import HOST_KEY, LABEL, label_of
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, HostError, MlrunError, NoCapacity, Quota

Instance = dict[str, Any]
ENDING = ("shutting-down", "terminated")
REASONS: dict[str, tuple[type[MlrunError], str]] = {
    "Server.InsufficientInstanceCapacity": (NoCapacity, "there was no capacity after all"),
    "Server.InternalError": (NoCapacity, "AWS failed while it started"),
    "Server.SpotInstanceTermination": (NoCapacity, "AWS took the spot machine back"),
    "Server.SpotInstanceShutdown": (NoCapacity, "AWS took the spot machine back"),
    "Client.VolumeLimitExceeded": (Quota, "the account may not have so much disk"),
    "Client.InstanceInitiatedShutdown": (HostError, "it ended itself: its limit was reached, or nobody came"),
    "Client.UserInitiatedShutdown": (HostError, "somebody of this account ended it"),
    "Client.InternalError": (CloudRefused, "AWS could not start it, often because of the key that encrypts volumes"),
}
"""State reasons: the error they are while a machine is started, and in words."""


def by_label(account: Account, region: str, label: Label) -> list[Instance]:
    """Every instance with this label that the region shows, also ones that are gone."""
    return _described(account, region, f"tag:{LABEL}", [str(label)])


def by_token(account: Account, region: str, token: str) -> list[Instance]:
    """Every instance that a client token made."""
    return _described(account, region, "client-token", [token])


def of_ours(account: Account, region: str) -> list[Instance]:
    """Every instance with a label that is not gone, whoever it belongs to."""
    return [one for one in _described(account, region, "tag-key", [LABEL]) if state(one) != "terminated"]


def state(instance: Instance) -> str:
    """pending, running, stopping, stopped, shutting-down or terminated."""
    return str(instance.get("State", {}).get("Name", ""))


def reason(instance: Instance) -> str:
    """Why it is in its state, as a code; "" where AWS does not say."""
    return str(instance.get("StateReason", {}).get("Code", ""))


def ended_because(instance: Instance) -> MlrunError:
    """The error that a machine is which went away while it was started."""
    code = reason(instance)
    kind, words = REASONS.get(
        code, (NoCapacity, str(instance.get("StateReason", {}).get("Message", "")) or "AWS does not say why")
    )
    return kind(f"The machine {instance['InstanceId']} ended while it started: {words} ({code or state(instance)})")


def machine_of(instance: Instance, region: str) -> ProvisionedMachine:
    """The instance as the engine knows machines."""
    tags = tag_dict(instance.get("Tags"))
    label = label_of(tags)
    assert label is not None
    details = {
        "id": instance["InstanceId"],
        "launched": instance["LaunchTime"].timestamp(),
        "zone": instance.get("Placement", {}).get("AvailabilityZone", ""),
        "market": "spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand",
        "host_key": tags.get(HOST_KEY, ""),
        "group": _group(instance),
    }
    address = str(instance.get("PublicIpAddress") or "")
    return ProvisionedMachine(label, "aws", instance.get("InstanceType"), address, region, details)


def _group(instance: Instance) -> str:
    """The security group of its first network interface."""
    faces = instance.get("NetworkInterfaces") or [{}]
    groups = faces[0].get("Groups") or instance.get("SecurityGroups") or [{}]
    return str(groups[0].get("GroupId", ""))


def _described(account: Account, region: str, name: str, values: Sequence[str]) -> list[Instance]:
    asked = [{"Name": name, "Values": list(values)}]
    return list(_instances(account.pages("ec2", region, "describe_instances", "the list of machines", Filters=asked)))


def _instances(pages: Iterator[dict[str, Any]]) -> Iterator[Instance]:
    for page in pages:
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]
