"""Service accounts, custom roles and the project's policy, as far as machines need them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.lab.gce import judging
from tests.lab.gce.refusals import Refused, not_found
from tests.lab.gce.resource import Call, Handler
from tests.lab.gce.settings import Settings

_PREFIX = re.compile(r'resource\.name\.extract\("instances/\{name\}"\)\.startsWith\("([a-z0-9-]+)"\)')
USER = "roles/iam.serviceAccountUser"


class Identities:
    """`settings.accounts` is what comes of them: e-mail addresses and what each may do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.roles: dict[str, dict[str, Any]] = {}
        self.bindings: list[dict[str, Any]] = []
        self.users: dict[str, list[dict[str, Any]]] = {}

    def handlers(self) -> dict[str, Handler]:
        return {
            "iam.projects.serviceAccounts.get": self.get,
            "iam.projects.serviceAccounts.create": self.create,
            "iam.projects.serviceAccounts.delete": self.delete,
            "iam.projects.serviceAccounts.getIamPolicy": self.policy_of,
            "iam.projects.serviceAccounts.setIamPolicy": self.set_policy_of,
            "iam.projects.roles.get": self.role,
            "iam.projects.roles.create": self.create_role,
            "iam.projects.roles.delete": self.delete_role,
            "iam.projects.roles.undelete": self.undelete_role,
            "manager.projects.getIamPolicy": lambda _call: self._policy(),
            "manager.projects.setIamPolicy": self.set_policy,
        }

    def clear(self) -> None:
        self.roles.clear()
        self.bindings.clear()
        self.users.clear()

    def get(self, call: Call) -> dict[str, Any]:
        email = call.path["serviceAccountsId"]
        if email not in self._settings.accounts:
            raise Refused(404, "notFound", f"Unknown service account: {email}")
        return _account(call.path["projectsId"], email)

    def create(self, call: Call) -> dict[str, Any]:
        project = call.path["projectsId"]
        email = f"{call.body['accountId']}@{project}.iam.gserviceaccount.com"
        if email in self._settings.accounts:
            raise Refused(409, "alreadyExists", f"Service account {email} already exists within project {project}.")
        self._settings.accounts = {**self._settings.accounts, email: []}
        return _account(project, email)

    def delete(self, call: Call) -> dict[str, Any]:
        self.get(call)
        gone = call.path["serviceAccountsId"]
        self._settings.accounts = {email: may for email, may in self._settings.accounts.items() if email != gone}
        self.users.pop(gone, None)
        return {}

    def role(self, call: Call) -> dict[str, Any]:
        name = call.path["rolesId"]
        if name not in self.roles:
            raise not_found(f"projects/{call.path['projectsId']}/roles/{name}")
        return self.roles[name]

    def create_role(self, call: Call) -> dict[str, Any]:
        name, project = call.body["roleId"], call.path["projectsId"]
        if name in self.roles:
            raise Refused(409, "alreadyExists", f"A role named {name} in projects/{project} already exists.")
        self.roles[name] = {**call.body["role"], "name": f"projects/{project}/roles/{name}"}
        return self.roles[name]

    def delete_role(self, call: Call) -> dict[str, Any]:
        """It is kept for a week, and its name with it."""
        return self._marked(call, deleted=True)

    def undelete_role(self, call: Call) -> dict[str, Any]:
        return self._marked(call, deleted=False)

    def set_policy(self, call: Call) -> dict[str, Any]:
        policy = call.body["policy"]
        conditional = any("condition" in one for one in policy.get("bindings", ()))
        if conditional and policy.get("version") != 3:
            raise Refused(400, "badRequest", "Policies with conditions must be of version 3.")
        expressions = [one["condition"]["expression"] for one in policy.get("bindings", ()) if "condition" in one]
        if wrong := [one for one in expressions if not judging.understood(one)]:
            raise Refused(400, "badRequest", f"The lab cannot judge by the condition {wrong[0]}")
        self.bindings = list(policy.get("bindings", ()))
        self._grant()
        return self._policy()

    def policy_of(self, call: Call) -> dict[str, Any]:
        """Who may use a service account."""
        self.get(call)
        return {"version": 1, "etag": "QlE=", "bindings": [*self.users.get(call.path["serviceAccountsId"], ())]}

    def set_policy_of(self, call: Call) -> dict[str, Any]:
        self.get(call)
        self.users[call.path["serviceAccountsId"]] = list(call.body["policy"].get("bindings", ()))
        self._grant()
        return self.policy_of(call)

    def _grant(self) -> None:
        for email in self._settings.accounts:
            self._settings.accounts[email] = self._granted(email)

    def _marked(self, call: Call, *, deleted: bool) -> dict[str, Any]:
        role = {key: value for key, value in self.role(call).items() if key != "deleted"}
        self.roles[call.path["rolesId"]] = {**role, "deleted": True} if deleted else role
        return self.roles[call.path["rolesId"]]

    def _policy(self) -> dict[str, Any]:
        return {"version": 3, "etag": "QlE=", "bindings": [*self.bindings]}

    def _granted(self, email: str) -> list[str]:
        found: list[str] = []
        for one in self.bindings:
            role = self.roles.get(one["role"].rpartition("/")[2], {})
            if f"serviceAccount:{email}" in one["members"] and not role.get("deleted"):
                found += [f"{may}{_bound(one)}" for may in role.get("includedPermissions", ())]
        for used, bindings in self.users.items():
            if any(one["role"] == USER and f"serviceAccount:{email}" in one["members"] for one in bindings):
                found.append(f"{judging.ACT_AS}@{used}")
        return found


def _bound(binding: Mapping[str, Any]) -> str:
    """The names that a condition allows, as the lab's accounts write them."""
    expression = binding.get("condition", {}).get("expression", "")
    found = _PREFIX.fullmatch(expression)
    return f"@{found[1]}*" if found else f"?{expression}" if expression else ""


def _account(project: str, email: str) -> dict[str, Any]:
    name = f"projects/{project}/serviceAccounts/{email}"
    return {"name": name, "email": email, "projectId": project, "uniqueId": "1" * 21}
