"""What a project needs once: the account with which machines delete themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatcher import paths
from dispatcher.backends.cloud.standing import Standing
from dispatcher.backends.gcp.account import IAM, NAME, email, ending_account
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.payload import CLOSED

ROLE = "mlrun_machine"
ROLES = "https://iam.googleapis.com/v1/projects/{project}/roles"
ACCOUNTS = "https://iam.googleapis.com/v1/projects/{project}/serviceAccounts"
POLICY = "https://cloudresourcemanager.googleapis.com/v1/projects/{project}:{verb}IamPolicy"
TITLE = "mlrun machines only"
CONDITION = 'resource.name.extract("instances/{name}").startsWith("mlrun-")'
DOING = "what machines need to delete themselves"


def role() -> str:
    """The role that a user of mlrun needs, as gcloud takes it."""
    return (paths.templates_dir() / "gcp" / "role.yaml").read_text(encoding="utf-8")


def missing(account: Account) -> bool:
    """Whether machines have no account to delete themselves with."""
    return ending_account(account) is None


def make(account: Account) -> list[Standing]:
    """Make the role, the account, and bind one to the other. What is there already stays."""
    project = account.project
    found = _role(account)
    if found is None:
        wanted = {"title": "mlrun machine", "stage": "GA", "includedPermissions": ["compute.instances.delete"]}
        _ask(account, ROLES.format(project=project), {"roleId": ROLE, "role": wanted})
    elif found.get("deleted"):
        _ask(account, f"{ROLES.format(project=project)}/{ROLE}:undelete", {})
    if missing(account):
        asked = {"accountId": NAME, "serviceAccount": {"displayName": "mlrun machines"}}
        _ask(account, ACCOUNTS.format(project=project), asked)
    policy = _policy(account)
    if not _bound(policy, account):
        condition = {"title": TITLE, "expression": CONDITION}
        binding = {"role": _full(account), "members": [_member(account)], "condition": condition}
        _set(account, policy, [*policy.get("bindings", []), binding])
    return list(standing(account))


def standing(account: Account) -> Iterator[Standing]:
    """What there is now."""
    if (found := _role(account)) and not found.get("deleted"):
        yield Standing("role", ROLE)
    if not missing(account):
        yield Standing("service account", email(account.project))
    for rule in _closings(account):
        yield Standing("rule", rule)


def remove(account: Account) -> None:
    """Take everything back: binding, account, role, and the rules that keep everybody out of our machines."""
    policy = _policy(account)
    if _bound(policy, account):
        _set(account, policy, [one for one in policy["bindings"] if not _ours(one, account)])
    if not missing(account):
        _ask(account, IAM.format(project=account.project, email=email(account.project)), verb="DELETE")
    if (found := _role(account)) and not found.get("deleted"):
        _ask(account, f"{ROLES.format(project=account.project)}/{ROLE}", verb="DELETE")
    for rule in _closings(account):
        try:
            account.carried_out("Firewalls", "delete_unary", "the removal of a rule", firewall=rule)
        except GcpFailure as failure:
            raise failure.told() from failure


def _closings(account: Account) -> list[str]:
    pages = account.pages("Firewalls", "list", "the rules of machines", filter=f"name:{CLOSED}*")
    return [str(rule.name) for page in pages for rule in page.items]


def _role(account: Account) -> dict[str, Any] | None:
    try:
        return account.rest(f"{ROLES.format(project=account.project)}/{ROLE}", DOING)
    except GcpFailure as failure:
        if failure.kind is Kind.ABSENT:
            return None
        raise failure.told() from failure


def _policy(account: Account) -> dict[str, Any]:
    return _ask(account, POLICY.format(project=account.project, verb="get"), {"options": {"requestedPolicyVersion": 3}})


def _set(account: Account, policy: dict[str, Any], bindings: list[dict[str, Any]]) -> None:
    """The policy's etag goes with it, so that a change by somebody else in between is not undone."""
    changed = {**policy, "bindings": bindings, "version": 3}
    _ask(account, POLICY.format(project=account.project, verb="set"), {"policy": changed})


def _bound(policy: dict[str, Any], account: Account) -> bool:
    return any(_ours(one, account) for one in policy.get("bindings", ()))


def _ours(binding: dict[str, Any], account: Account) -> bool:
    return binding.get("role") == _full(account) and binding.get("members") == [_member(account)]


def _full(account: Account) -> str:
    return f"projects/{account.project}/roles/{ROLE}"


def _member(account: Account) -> str:
    return f"serviceAccount:{email(account.project)}"


def _ask(account: Account, url: str, body: dict[str, Any] | None = None, verb: str = "") -> dict[str, Any]:
    try:
        return account.rest(url, DOING, body, verb)
    except GcpFailure as failure:
        raise failure.told() from failure
