"""The metadata server as a machine of Compute Engine sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.lab.gce.machine import Machine
from tests.lab.gce.places import NUMBER, PROJECT
from tests.lab.gce.resource import tail
from tests.lab.seams import Reply

ROOT = "/computeMetadata/v1/"
GUEST = "instance/guest-attributes/"
INTERFACES = ("/compute/v1/", "/storage/v1/", "/upload/storage/v1/", "/v1/projects/")
LONGEST_WAIT = 60.0
FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_UNDASHED = re.compile(r"-(\w)")
ForwardApi = Callable[[str, str, Mapping[str, str], bytes], Reply]


class MetadataServer:
    """Answers one machine. Requests for the interface itself are handed on: hosts have no other way to it."""

    def __init__(
        self, machine: Machine, project: Mapping[str, str], token: Callable[[Machine], str], forward: ForwardApi
    ) -> None:
        self._machine, self._project, self._token, self._forward = machine, project, token, forward

    def __call__(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        path, query = urlsplit(target).path, {key: values[-1] for key, values in parse_qs(urlsplit(target).query).items()}
        if path.startswith(INTERFACES):
            return self._forward(method, target, headers, body)
        if not path.startswith(ROOT):
            return Reply(200 if path == "/" else 404, b"computeMetadata/\n", FLAVOR)
        if headers.get("metadata-flavor", "").lower() != "google":
            return Reply(403, b"Missing required header Metadata-Flavor\n", FLAVOR)
        if "x-forwarded-for" in headers:
            return Reply(403, b"Requests with X-Forwarded-For are refused\n", FLAVOR)
        inner = path.removeprefix(ROOT)
        if inner.startswith(GUEST) and method != "GET":
            return self._write(method, inner.removeprefix(GUEST), body)
        return self._read(inner, query)

    def _read(self, path: str, query: Mapping[str, str]) -> Reply:
        machine = self._machine
        if query.get("wait_for_change") == "true":
            seconds = min(float(query.get("timeout_sec", LONGEST_WAIT)), LONGEST_WAIT)
            before, known = self._at(path), query.get("last_etag")
            with machine.changed:
                if known is None or known == _etag(before):
                    machine.changed.wait_for(lambda: self._at(path) != before, seconds)
        found = self._at(path)
        if found is None:
            return Reply(404, b"The requested URL was not found on this server.\n", FLAVOR)
        return _reply(found, path, query)

    def _at(self, path: str) -> Any:
        """What lies at a path: text, or a folder as a dict; None where nothing does."""
        if path.startswith("instance/service-accounts/") and path.endswith("/token"):
            return self._token_for(path.split("/")[2])
        found: Any = {"instance": self._instance(), "project": self._project_tree()}
        for step in [step for step in path.split("/") if step]:
            if not isinstance(found, Mapping) or step not in found:
                return None
            found = found[step]
        return found

    def _token_for(self, account: str) -> str | None:
        emails = [one["email"] for one in self._machine.resource.get("serviceAccounts", ())]
        if not emails or account not in ("default", *emails):
            return None
        return json.dumps({"access_token": self._token(self._machine), "expires_in": 3599, "token_type": "Bearer"})

    def _instance(self) -> dict[str, Any]:
        machine = self._machine
        scheduling = machine.scheduling
        accounts = {one["email"]: _account(one) for one in machine.resource.get("serviceAccounts", ())}
        default = {"default": next(iter(accounts.values()))} if accounts else {}
        return {
            "id": machine.resource["id"],
            "name": machine.name,
            "hostname": f"{machine.name}.{machine.zone}.c.{machine.project}.internal",
            "zone": f"projects/{NUMBER}/zones/{machine.zone}",
            "machine-type": f"projects/{NUMBER}/machineTypes/{machine.kind.name}",
            "cpu-platform": machine.resource["cpuPlatform"],
            "image": "",
            "tags": json.dumps(sorted(machine.tags)),
            "attributes": machine.attributes,
            "guest-attributes": self._guest_tree(),
            "disks": {
                str(n): {"device-name": one["deviceName"], "index": str(n), "mode": one["mode"], "type": "PERSISTENT-BALANCED"}
                for n, one in enumerate(machine.resource["disks"])
            },
            "network-interfaces": {
                "0": {
                    "ip": machine.resource["networkInterfaces"][0].get("networkIP", ""),
                    "mac": "42:01:0a:80:00:02",
                    "network": f"projects/{NUMBER}/networks/default",
                    "access-configs": {"0": {"external-ip": machine.address, "type": "ONE_TO_ONE_NAT"}},
                }
            },
            "scheduling": {
                "automatic-restart": str(scheduling.get("automaticRestart", True)).upper(),
                "on-host-maintenance": scheduling.get("onHostMaintenance", "MIGRATE"),
                "preemptible": str(machine.spot).upper(),
            },
            "maintenance-event": "NONE",
            "preempted": str(machine.preempted).upper(),
            "service-accounts": {**default, **accounts},
        }

    def _project_tree(self) -> dict[str, Any]:
        return {"project-id": PROJECT, "numeric-project-id": NUMBER, "attributes": dict(self._project)}

    def _guest_tree(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for (space, key), value in self._machine.guest.items():
            tree.setdefault(space, {})[key] = value
        return tree

    def _write(self, method: str, path: str, body: bytes) -> Reply:
        if not guest_attributes_on(self._machine, self._project):
            return Reply(403, b"Guest attributes endpoint access is disabled.\n", FLAVOR)
        space, _, key = path.strip("/").partition("/")
        if not key or "/" in key or method not in ("PUT", "DELETE"):
            return Reply(400, b"Guest attributes are written as namespace/key.\n", FLAVOR)
        if method == "PUT":
            self._machine.guest[space, key] = body.decode("utf-8", "replace")
        else:
            self._machine.guest.pop((space, key), None)
        self._machine.tell()
        return Reply(200, b"", FLAVOR)


def guest_attributes_on(machine: Machine, project: Mapping[str, str]) -> bool:
    said = machine.attributes.get("enable-guest-attributes", project.get("enable-guest-attributes", ""))
    return said.upper() in ("TRUE", "1", "YES", "Y")


def _account(one: Mapping[str, Any]) -> dict[str, str]:
    return {"email": one["email"], "aliases": "default\n", "scopes": "\n".join(one.get("scopes", ())) + "\n"}


def _reply(found: Any, path: str, query: Mapping[str, str]) -> Reply:
    headers = {**FLAVOR, "ETag": _etag(found)}
    if isinstance(found, str):
        if query.get("alt") == "json" and not path.endswith("/token"):
            return Reply(200, json.dumps(found).encode(), {**headers, "Content-Type": "application/json"})
        return Reply(200, found.encode(), {**headers, "Content-Type": "application/text"})
    if query.get("recursive") == "true":
        text = json.dumps(_camel(found, plain=path.rstrip("/").endswith("attributes")))
        return Reply(200, text.encode(), {**headers, "Content-Type": "application/json"})
    lines = "".join(f"{key}/\n" if isinstance(value, Mapping) else f"{key}\n" for key, value in found.items())
    return Reply(200, lines.encode(), {**headers, "Content-Type": "application/text"})


def _camel(found: Any, *, plain: bool = False) -> Any:
    """Whole trees are told with keys in camel case; keys that users chose stay."""
    if not isinstance(found, Mapping):
        return found
    if found and all(key.isdigit() for key in found):
        return [_camel(value) for value in found.values()]
    return {
        key if plain else _UNDASHED.sub(lambda hit: hit[1].upper(), key): _camel(
            value, plain=plain or tail(key).endswith("attributes")
        )
        for key, value in found.items()
    }


def _etag(found: Any) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
