"""Secret Manager: names, and their newest values."""

from __future__ import annotations

import base64
from typing import Any

from tests.lab.gce.places import NUMBER
from tests.lab.gce.refusals import Refused
from tests.lab.gce.resource import Call, Handler


class Secrets:
    """`known` is set by tests: name to value."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def handlers(self) -> dict[str, Handler]:
        return {"secrets.projects.secrets.get": self.get, "secrets.projects.secrets.versions.access": self.access}

    def set(self, name: str, value: str | None) -> None:
        """None takes it away."""
        self.known.pop(name, None)
        if value is not None:
            self.known[name] = value

    def get(self, call: Call) -> dict[str, Any]:
        return {"name": f"projects/{NUMBER}/secrets/{self._name(call)}", "replication": {"automatic": {}}}

    def access(self, call: Call) -> dict[str, Any]:
        name = self._name(call)
        version = f"projects/{NUMBER}/secrets/{name}/versions/1"
        return {"name": version, "payload": {"data": base64.b64encode(self.known[name].encode()).decode()}}

    def _name(self, call: Call) -> str:
        name = call.path["secretsId"]
        if name not in self.known:
            raise Refused(404, "notFound", f"Secret [projects/{NUMBER}/secrets/{name}] not found.")
        return name
