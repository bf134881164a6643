"""Two service accounts that nights need: the machine's own, and the trigger's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from dispatcher.backends.gcp.account import IAM
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.nights_bucket import PREFIX
from dispatcher.backends.gcp.standing import ACCOUNTS, CONDITION, POLICY, ROLES
from dispatcher.errors import CloudRefused
from dispatcher.retries import Clock, Policy, SystemClock, wait_until

MACHINE, SCHEDULER = "mlrun-night", "mlrun-scheduler"
SECRETS = "mlrun-"
"""How secrets begin that machines may read."""
NEW = "does not exist"
KNOWN = Policy(first=1.0, longest=8.0, patience=60.0)
USER = "roles/iam.serviceAccountUser"
DOING = "what nights need"
OBJECTS = f'resource.name.startsWith("projects/_/buckets/{PREFIX}") && resource.name.extract("/objects/{{name}}").startsWith'
LAUNCHES = (
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.instances.create",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setServiceAccount",
    "compute.instances.setTags",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
)


@dataclass(frozen=True, slots=True)
class Grant:
    """A custom role, whom it is bound to, and the names it is bound to."""

    role: str
    permissions: tuple[str, ...]
    account: str
    condition: str = ""


GRANTS = (
    Grant("mlrun_night_ends", ("compute.instances.delete",), MACHINE, CONDITION),
    Grant("mlrun_night_reads", ("storage.objects.get",), MACHINE, f'{OBJECTS}("bundles/")'),
    Grant("mlrun_night_writes", ("storage.objects.create",), MACHINE, f'{OBJECTS}("out/")'),
    Grant(
        "mlrun_night_secrets",
        ("secretmanager.versions.access",),
        MACHINE,
        f'resource.name.extract("secrets/{{name}}/versions").startsWith("{SECRETS}")',
    ),
    Grant("mlrun_night_trigger", ("cloudscheduler.jobs.delete",), MACHINE),
    Grant("mlrun_scheduler", LAUNCHES, SCHEDULER),
)
"""Conditions know no names of Cloud Scheduler's jobs (IAM's reference of resource attributes, read 2026-11)."""


def email(account: Account, name: str) -> str:
    """A service account's address."""
    return f"{name}@{account.project}.iam.gserviceaccount.com"


def lacking(account: Account) -> list[str]:
    """The service accounts that are not there."""
    return [name for name in (MACHINE, SCHEDULER) if not _there(account, name)]


def make(account: Account, clock: Clock | None = None) -> list[str]:
    """Have both, each with what it must be allowed; those that were made now."""
    clock = clock or SystemClock()
    made = lacking(account)
    for name in made:
        asked = {
            "accountId": name,
            "serviceAccount": {"displayName": "mlrun: runs that start while no computer of yours is on"},
        }
        _ask(account, ACCOUNTS.format(project=account.project), asked)
    for grant in GRANTS:
        _have(account, grant)
    others, policy = _others(account)
    bound = [*others, *(_binding(account, one) for one in GRANTS)]
    _once_known(lambda: _set(account, policy, bound), clock)
    _once_known(lambda: _may_pass(account), clock)
    return made


def remove(account: Account) -> list[str]:
    """Take both back, with their roles; those that were there."""
    found = [name for name in (MACHINE, SCHEDULER) if _there(account, name)]
    others, policy = _others(account)
    if len(others) < len(policy.get("bindings", ())):
        _set(account, policy, others)
    for name in found:
        _ask(account, _url(account, name), verb="DELETE")
    for grant in GRANTS:
        if (known := _role(account, grant)) and not known.get("deleted"):
            _ask(account, _of(account, grant), verb="DELETE")
    return found


def unbound(account: Account) -> Iterator[str]:
    """Roles that are not bound as they must be; none where nobody lets us look."""
    try:
        bound = {one["role"]: one for one in _policy(account).get("bindings", ())}
    except GcpFailure as failure:
        if failure.status != 403:
            raise failure.told() from failure
        return
    for grant in GRANTS:
        if bound.get(_full(account, grant)) != _binding(account, grant):
            yield grant.role


def _have(account: Account, grant: Grant) -> None:
    wanted = {"title": grant.role.replace("_", " "), "stage": "GA", "includedPermissions": list(grant.permissions)}
    known = _role(account, grant)
    if known is None:
        _ask(account, ROLES.format(project=account.project), {"roleId": grant.role, "role": wanted})
    elif known.get("deleted"):
        _ask(account, f"{_of(account, grant)}:undelete", {})


def _binding(account: Account, grant: Grant) -> dict[str, Any]:
    found: dict[str, Any] = {"role": _full(account, grant), "members": [_member(account, grant.account)]}
    if grant.condition:
        found["condition"] = {"title": grant.role.replace("_", " "), "expression": grant.condition}
    return found


def _others(account: Account) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Bindings that are not ours, and the whole policy."""
    try:
        policy = _policy(account)
    except GcpFailure as failure:
        raise failure.told() from failure
    ours = {_full(account, one) for one in GRANTS}
    return [one for one in policy.get("bindings", ()) if one.get("role") not in ours], policy


def _policy(account: Account) -> dict[str, Any]:
    asked = {"options": {"requestedPolicyVersion": 3}}
    return account.rest(POLICY.format(project=account.project, verb="get"), DOING, asked)


def _once_known(act: Callable[[], object], clock: Clock) -> None:
    """What was just made is not known everywhere at once: for a minute Google says that it does not exist."""

    def try_it() -> bool | None:
        try:
            act()
        except CloudRefused as why:
            if NEW not in why.message:
                raise
            return None
        return True

    if wait_until(try_it, KNOWN, clock) is None:
        act()


def _set(account: Account, policy: dict[str, Any], bindings: list[dict[str, Any]]) -> None:
    """The policy's etag goes with it, so that a change by somebody else in between is not undone."""
    changed = {**policy, "bindings": bindings, "version": 3}
    _ask(account, POLICY.format(project=account.project, verb="set"), {"policy": changed})


def _may_pass(account: Account) -> None:
    """The triggers' account may pass on the machine's; who else may stays as it is."""
    policy = _ask(account, f"{_url(account, MACHINE)}:getIamPolicy", {})
    wanted = {"role": USER, "members": [_member(account, SCHEDULER)]}
    if wanted not in (bound := policy.get("bindings", [])):
        changed = {"policy": {**policy, "bindings": [*bound, wanted]}}
        _ask(account, f"{_url(account, MACHINE)}:setIamPolicy", changed)


def _role(account: Account, grant: Grant) -> dict[str, Any] | None:
    return _found(account, _of(account, grant))


def _there(account: Account, name: str) -> bool:
    return _found(account, _url(account, name)) is not None


def _found(account: Account, url: str) -> dict[str, Any] | None:
    try:
        return account.rest(url, DOING)
    except GcpFailure as failure:
        if failure.kind is Kind.ABSENT:
            return None
        raise failure.told() from failure


def _url(account: Account, name: str) -> str:
    return IAM.format(project=account.project, email=email(account, name))


def _of(account: Account, grant: Grant) -> str:
    return f"{ROLES.format(project=account.project)}/{grant.role}"


def _full(account: Account, grant: Grant) -> str:
    return f"projects/{account.project}/roles/{grant.role}"


def _member(account: Account, name: str) -> str:
    return f"serviceAccount:{email(account, name)}"


def _ask(account: Account, url: str, body: dict[str, Any] | None = None, verb: str = "") -> dict[str, Any]:
    try:
        return account.rest(url, DOING, body, verb)
    except GcpFailure as failure:
        raise failure.told() from failure
