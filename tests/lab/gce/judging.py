"""What a permission is asked for: permissions of the newer interfaces, names of resources, conditions on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.lab.gce.places import NUMBER
from tests.lab.gce.resource import Call, tail

JOBS, SECRETS = "scheduler.projects.locations.jobs", "secrets.projects.secrets"
ACT_AS = "iam.serviceAccounts.actAs"
NEEDED: dict[str, tuple[str, ...]] = {
    f"{JOBS}.create": ("cloudscheduler.jobs.create", ACT_AS),
    f"{JOBS}.delete": ("cloudscheduler.jobs.delete",),
    f"{JOBS}.get": ("cloudscheduler.jobs.get",),
    f"{JOBS}.list": ("cloudscheduler.jobs.list",),
    f"{SECRETS}.get": ("secretmanager.secrets.get",),
    f"{SECRETS}.versions.access": ("secretmanager.versions.access",),
    "iam.projects.serviceAccounts.getIamPolicy": ("iam.serviceAccounts.getIamPolicy",),
    "iam.projects.serviceAccounts.setIamPolicy": ("iam.serviceAccounts.setIamPolicy",),
    "storage.buckets.delete": ("storage.buckets.delete",),
    "storage.buckets.get": ("storage.buckets.get",),
    "storage.buckets.insert": ("storage.buckets.create",),
    "storage.buckets.list": ("storage.buckets.list",),
    "storage.objects.delete": ("storage.objects.delete",),
    "storage.objects.get": ("storage.objects.get",),
    "storage.objects.insert": ("storage.objects.create",),
    "storage.objects.list": ("storage.objects.list",),
}
"""Method to permissions, as the references of Scheduler, Secret Manager, IAM and Storage tell; recalled 2026-11-21."""
TERM = re.compile(r'resource\.name(?:\.extract\("([^"{}]*)\{\w+\}([^"{}]*)"\))?\.startsWith\("([^"]+)"\)')


def names(permission: str, call: Call) -> tuple[str, str]:
    """The resource that a permission is needed for: its short name, and the one that conditions see.

    Of Cloud Scheduler's jobs they see none: it is not among the services whose names conditions know (IAM's reference, 2026).
    """
    path = call.path
    if permission == ACT_AS:
        email = acted_as(call.body)
        return email, f"projects/-/serviceAccounts/{email}"
    if call.name.startswith("storage."):
        name = path.get("object") or call.query.get("name", "")
        bucket = path.get("bucket") or call.body.get("name", "")
        return name, f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
    if call.name.startswith("scheduler."):
        return path.get("jobsId") or tail(call.body.get("name", "")), ""
    if call.name.startswith("secrets."):
        version = f"/versions/{path['versionsId']}" if "versionsId" in path else ""
        return path.get("secretsId", ""), f"projects/{NUMBER}/secrets/{path.get('secretsId', '')}{version}"
    name = str(path.get("instance") or path.get("firewall") or path.get("disk") or call.body.get("name", ""))
    return name, f"projects/{call.project}/zones/{path.get('zone', '-')}/instances/{name}"


def acted_as(body: Mapping[str, Any]) -> str:
    """The service account that a request hands on."""
    target = body.get("httpTarget", {})
    token = target.get("oauthToken") or target.get("oidcToken") or {}
    given: list[Mapping[str, str]] = body.get("serviceAccounts", [])
    return str(token.get("serviceAccountEmail") or (given[0].get("email", "") if given else ""))


def understood(expression: str) -> bool:
    """Whether the lab can judge by it."""
    return all(TERM.fullmatch(term.strip()) for term in expression.split("&&"))


def holds(expression: str, name: str) -> bool:
    """Whether a condition, a row of startsWith joined by &&, allows this resource."""
    return all((found := TERM.fullmatch(term.strip())) and _begins(found, name) for term in expression.split("&&"))


def _begins(term: re.Match[str], name: str) -> bool:
    before, after, start = term.groups()
    if before is not None:
        _, found, name = name.partition(before)
        name = name.partition(after)[0] if found and after else name
    return name.startswith(start)
