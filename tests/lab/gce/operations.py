"""Operations: accepted at once, done or failed later."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.clock import Clock
from tests.lab.gce.filters import chosen
from tests.lab.gce.refusals import OPERATION_STATUS, not_found
from tests.lab.gce.resource import Call, Links, page, stamp

WAIT_SECONDS = 5.0
"""Real seconds that a wait takes at most, as the cloud's takes two minutes."""
Work = Callable[[], dict[str, Any] | None]
"""What an operation does when its time has come; an error body where it fails."""


class Operations:
    """Zonal and global operations by name, and which request made which."""

    def __init__(self, links: Links, clock: Clock) -> None:
        self._links, self._clock = links, clock
        self._known: dict[str, dict[str, Any]] = {}
        self._requests: dict[str, str] = {}
        self._changed = threading.Condition()

    def handlers(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        here = {"get": self.get, "list": self.list, "wait": self.wait}
        return {f"{scope}.{verb}": act for scope in ("zoneOperations", "globalOperations") for verb, act in here.items()}

    def repeated(self, call: Call) -> dict[str, Any] | None:
        """The operation that this request has made already."""
        name = self._requests.get(call.query.get("requestId", ""))
        return self._shown(self._known[name]) if name else None

    def begin(self, call: Call, kind: str, target: str, seconds: float, work: Work, *, target_id: str = "") -> dict[str, Any]:
        """Accept; the work is done when its seconds have passed."""
        scope = f"zones/{call.path['zone']}" if "zone" in call.path else "global"
        name = f"operation-{uuid.uuid4().hex[:24]}"
        one: dict[str, Any] = {
            "kind": "compute#operation",
            "id": str(uuid.uuid4().int >> 65),
            "name": name,
            "operationType": kind,
            "status": "RUNNING",
            "progress": 0,
            "insertTime": stamp(self._clock.now()),
            "startTime": stamp(self._clock.now()),
            "user": call.principal,
            "targetLink": target,
            "selfLink": self._links.to(call.project, f"{scope}/operations/{name}"),
            "project": call.project,
        }
        if target_id:
            one["targetId"] = target_id
        if "zone" in call.path:
            one["zone"] = self._links.to(call.project, scope)
        if request := call.query.get("requestId"):
            one["clientOperationId"] = request
        with self._changed:
            self._known[name] = one
            if request:
                self._requests[request] = name
        self._clock.later(seconds, lambda: self._finish(one, work))
        return self._shown(one)

    def get(self, call: Call) -> dict[str, Any]:
        one = self._known.get(call.path["operation"])
        if one is None or one["project"] != call.project:
            raise not_found(f"projects/{call.project}/operations/{call.path['operation']}")
        return self._shown(one)

    def wait(self, call: Call) -> dict[str, Any]:
        self.get(call)
        one = self._known[call.path["operation"]]
        with self._changed:
            self._changed.wait_for(lambda: one["status"] == "DONE", WAIT_SECONDS)
        return self._shown(one)

    def list(self, call: Call) -> dict[str, Any]:
        place = f"/zones/{call.path['zone']}/" if "zone" in call.path else "/global/"
        here = [self._shown(one) for one in self._known.values() if place in one["selfLink"] and one["project"] == call.project]
        return page("operationList", chosen(here, call.query), call)

    def forget(self) -> None:
        with self._changed:
            self._known.clear()
            self._requests.clear()

    def _finish(self, one: dict[str, Any], work: Work) -> None:
        error: Mapping[str, Any] | None = {"code": "INTERNAL_ERROR", "message": "the lab itself has failed"}
        try:
            error = work()
        finally:
            self._done(one, error)

    def _done(self, one: dict[str, Any], error: Mapping[str, Any] | None) -> None:
        with self._changed:
            if error:
                status, words = OPERATION_STATUS.get(error["code"], (400, "BAD REQUEST"))
                one.update(error={"errors": [error]}, httpErrorStatusCode=status, httpErrorMessage=words)
            one.update(status="DONE", progress=100, endTime=stamp(self._clock.now()))
            self._changed.notify_all()

    @staticmethod
    def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in one.items() if key != "project"}
