"""Instances as Google lists them, and what a list leaves unknown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud.tags import LABEL, OWNER, label_of
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.domain.run import Label
from dispatcher.errors import HostError, HostUnreachable, MlrunError

Instance = Any
GONE = ("STOPPING", "DEPROVISIONING")
STOPPED = ("TERMINATED", "STOPPED", "SUSPENDED", "SUSPENDING", "PENDING_STOP")


def at(account: Account, zone: str, name: str) -> Instance | None:
    """The instance of that name in a zone; None where there is none."""
    try:
        return account.ask("Instances", "get", "a machine", place=zone, zone=zone, instance=name)
    except GcpFailure as failure:
        if failure.kind is Kind.ABSENT:
            return None
        raise failure.told() from failure


def by_label(account: Account, label: Label) -> list[Instance]:
    """Every instance with this label, in every zone. Raises where a zone does not answer."""
    return [one for _, one in everywhere(account, "Instances", "instances", f"labels.{LABEL}={label}")]


def everywhere(
    account: Account, service: str, plural: str, wanted: str, *, silent: set[str] | None = None
) -> Iterator[tuple[str, Any]]:
    """Zone and thing, of all zones. What a silent zone has is unknown: put into `silent`, else it raises at the end."""
    complete, silent = silent is None, set() if silent is None else silent
    pages = account.pages(service, "aggregated_list", f"the list of {plural}", **_asked(service, wanted))
    for page in pages:
        silent.update(str(one).rpartition("/")[2] for one in page.unreachables)
        for scope, here in page.items.items():
            if here.warning.code and str(here.warning.code) != "NO_RESULTS_ON_PAGE":
                silent.add(scope.rpartition("/")[2])
            for one in getattr(here, plural):
                yield scope.rpartition("/")[2], one
    if silent and complete:
        names = ", ".join(sorted(silent))
        text = f"Google Cloud does not say what there is in {names}: what is not listed may exist all the same"
        raise HostUnreachable(text, fix="Try again in some minutes: https://status.cloud.google.com")


def ours(instance: Instance, label: Label, owner: str) -> bool:
    """Whether it was a launch of ours that made it: its name alone proves nothing."""
    tags = tags_of(instance)
    return (tags.get(LABEL), tags.get(OWNER)) == (str(label), owner)


def ended_because(instance: Instance | None, label: Label) -> MlrunError:
    """The error that a machine is which went away, or was stopped, while it started."""
    if instance is None:
        return HostError(f"The machine {label} is gone: its limit was reached, somebody deleted it, or Google took it back")
    return HostError(f"The machine {label} was stopped; only its disk is left, and costs", fix="mlrun stop RUN")


def tags_of(thing: Any) -> dict[str, str]:
    """Labels as a plain dict."""
    return {str(name): str(value) for name, value in thing.labels.items()}


def born(thing: Any) -> float:
    """Unix seconds of its making."""
    return datetime.fromisoformat(str(thing.creation_timestamp)).timestamp()


def machine_of(instance: Instance, zone: str) -> ProvisionedMachine:
    """The instance as the engine knows machines."""
    label = label_of(tags_of(instance))
    assert label is not None
    details = {
        "id": str(instance.id),
        "launched": born(instance),
        "zone": zone,
        "market": "spot" if str(instance.scheduling.provisioning_model) == "SPOT" else "on-demand",
        "status": str(instance.status),
    }
    return ProvisionedMachine(label, "gcp", kind_of(instance), address(instance), zone.rpartition("-")[0], details)


def kind_of(instance: Instance) -> str:
    """The machine type, with what is attached to it, as the catalog names it."""
    name = str(instance.machine_type).rpartition("/")[2]
    attached = [one for one in instance.guest_accelerators if name.startswith("n1-")]
    if not attached:
        return name
    part = str(attached[0].accelerator_type).rpartition("/")[2].removeprefix("nvidia-tesla-")
    return f"{name}+{part}x{attached[0].accelerator_count}"


def address(instance: Instance) -> str:
    """Its public address; "" where it has none now."""
    return next(
        (str(access.nat_i_p) for one in instance.network_interfaces for access in one.access_configs if access.nat_i_p), ""
    )


def _asked(service: str, wanted: str) -> dict[str, Any]:
    """The request. Older versions of Google's library have to be told to answer where a zone does not."""
    from google.cloud import compute_v1

    known = getattr(compute_v1, f"AggregatedList{service}Request").meta.fields
    partial = {"return_partial_success": True} if "return_partial_success" in known else {}
    return {"filter": wanted} | partial
