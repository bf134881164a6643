"""Who may do what: permissions of each method, tokens of service accounts."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from tests.lab.gce import judging
from tests.lab.gce.machine import Machine
from tests.lab.gce.refusals import expired, not_permitted
from tests.lab.gce.resource import OWNER, Call, Handler
from tests.lab.gce.settings import Settings

NEEDED: dict[str, tuple[str, ...]] = {
    "acceleratorTypes.aggregatedList": ("compute.acceleratorTypes.list",),
    "acceleratorTypes.list": ("compute.acceleratorTypes.list",),
    "addresses.aggregatedList": ("compute.addresses.list",),
    "disks.aggregatedList": ("compute.disks.list",),
    "disks.list": ("compute.disks.list",),
    "disks.get": ("compute.disks.get",),
    "disks.delete": ("compute.disks.delete",),
    "firewalls.delete": ("compute.firewalls.delete", "compute.networks.updatePolicy"),
    "firewalls.get": ("compute.firewalls.get",),
    "firewalls.insert": ("compute.firewalls.create", "compute.networks.updatePolicy"),
    "firewalls.list": ("compute.firewalls.list",),
    "firewalls.patch": ("compute.firewalls.update", "compute.networks.updatePolicy"),
    "globalOperations.get": ("compute.globalOperations.get",),
    "globalOperations.list": ("compute.globalOperations.list",),
    "globalOperations.wait": ("compute.globalOperations.get",),
    "instances.aggregatedList": ("compute.instances.list",),
    "instances.delete": ("compute.instances.delete",),
    "instances.get": ("compute.instances.get",),
    "instances.getGuestAttributes": ("compute.instances.getGuestAttributes",),
    "instances.getSerialPortOutput": ("compute.instances.getSerialPortOutput",),
    "instances.list": ("compute.instances.list",),
    "instances.setMetadata": ("compute.instances.setMetadata",),
    "instances.setLabels": ("compute.instances.setLabels",),
    "instances.setTags": ("compute.instances.setTags",),
    "instances.setScheduling": ("compute.instances.setScheduling",),
    "instances.start": ("compute.instances.start",),
    "instances.stop": ("compute.instances.stop",),
    "instances.reset": ("compute.instances.reset",),
    "machineTypes.aggregatedList": ("compute.machineTypes.list",),
    "machineTypes.get": ("compute.machineTypes.get",),
    "machineTypes.list": ("compute.machineTypes.list",),
    "networks.get": ("compute.networks.get",),
    "networks.list": ("compute.networks.list",),
    "projects.get": ("compute.projects.get",),
    "regions.get": ("compute.regions.get",),
    "regions.list": ("compute.regions.list",),
    "subnetworks.get": ("compute.subnetworks.get",),
    "zoneOperations.get": ("compute.zoneOperations.get",),
    "zoneOperations.list": ("compute.zoneOperations.list",),
    "zoneOperations.wait": ("compute.zoneOperations.get",),
    "zones.get": ("compute.zones.get",),
    "zones.list": ("compute.zones.list",),
    "iam.projects.roles.create": ("iam.roles.create",),
    "iam.projects.roles.delete": ("iam.roles.delete",),
    "iam.projects.roles.get": ("iam.roles.get",),
    "iam.projects.roles.undelete": ("iam.roles.undelete",),
    "iam.projects.serviceAccounts.create": ("iam.serviceAccounts.create",),
    "iam.projects.serviceAccounts.delete": ("iam.serviceAccounts.delete",),
    "iam.projects.serviceAccounts.get": ("iam.serviceAccounts.get",),
    "manager.projects.getIamPolicy": ("resourcemanager.projects.getIamPolicy",),
    "manager.projects.setIamPolicy": ("resourcemanager.projects.setIamPolicy",),
}
"""Method to permissions, as Compute Engine's reference tells them under IAM permissions; recalled on 2026-11-21."""


def needed(call: Call) -> tuple[str, ...]:
    """The permissions that this very request takes."""
    if call.name != "instances.insert":
        return NEEDED.get(call.name) or judging.NEEDED.get(call.name, ())
    asked = ["compute.instances.create", "compute.disks.create", "compute.subnetworks.use"]
    body = call.body
    extra = {
        "compute.subnetworks.useExternalIp": any(one.get("accessConfigs") for one in body.get("networkInterfaces", ())),
        "compute.instances.setMetadata": bool(body.get("metadata")),
        "compute.instances.setTags": bool(body.get("tags")),
        "compute.instances.setLabels": bool(body.get("labels")),
        "compute.disks.setLabels": any(one.get("initializeParams", {}).get("labels") for one in body.get("disks", ())),
        "compute.instances.setServiceAccount": bool(body.get("serviceAccounts")),
        "iam.serviceAccounts.actAs": bool(body.get("serviceAccounts")),
    }
    return (*asked, *(permission for permission, wanted in extra.items() if wanted))


class Accounts:
    """Requests without a token are the owner's: only loopback reaches the lab. Others must show a token it gave."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tokens: dict[str, str] = {}

    def handlers(self) -> dict[str, Handler]:
        return {
            "manager.projects.testIamPermissions": self.test,
            "billing.projects.getBillingInfo": self.billing,
        }

    def token(self, machine: Machine) -> str:
        """What the metadata server gives to a machine with a service account."""
        return self.token_of(machine.resource["serviceAccounts"][0]["email"])

    def token_of(self, email: str) -> str:
        """A token with which one is this service account."""
        made = f"ya29.lab-{secrets.token_hex(12)}"
        self._tokens[made] = email
        return made

    def known(self, call: Call, authorization: str) -> Call:
        """The call with who makes it. Raises Refused for a token nobody gave."""
        permissions = self._settings.permissions
        if not authorization:
            return replace(call, may=None if permissions is None else frozenset(permissions))
        email = self._tokens.get(authorization.removeprefix("Bearer ").strip())
        if email is None:
            raise expired()
        return replace(call, principal=email, may=frozenset(self._settings.accounts.get(email, ())))

    def check(self, call: Call) -> None:
        """Refuse what is not permitted. A permission may be bound to names: compute.instances.delete@mlrun-*, or ?condition."""
        for permission in needed(call):
            self.must(call, permission)

    def must(self, call: Call, permission: str) -> None:
        """Refuse who has not this one permission."""
        name, full = judging.names(permission, call)
        if call.may is not None and not _granted(permission, name, call.may, full):
            raise not_permitted(permission, "/".join(f"{key}s/{value}" for key, value in call.path.items()))

    def test(self, call: Call) -> dict[str, Any]:
        """Those of the permissions asked about that the caller has."""
        asked = call.body.get("permissions", [])
        return {"permissions": [one for one in asked if call.may is None or _granted(one, "", call.may)]}

    def billing(self, call: Call) -> dict[str, Any]:
        project, on = call.path["projectsId"], self._settings.billing_enabled
        return {"name": f"projects/{project}/billingInfo", "projectId": project, "billingEnabled": on}


def _granted(permission: str, name: str, may: Iterable[str], full: str = "") -> bool:
    for one in may:
        granted, conditional, condition = one.partition("?")
        if conditional:
            if granted == permission and judging.holds(condition, full):
                return True
            continue
        granted, _, bound = one.partition("@")
        if granted == permission and fnmatchcase(name, bound or "*"):
            return True
    return False


__all__ = ["NEEDED", "OWNER", "Accounts", "needed"]
