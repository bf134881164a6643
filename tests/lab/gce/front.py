"""From a request's bytes to an answer: routing, checking, faults, the ledger."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.lab.faults import Fault, Faults
from tests.lab.gce.accounts import Accounts
from tests.lab.gce.discovery import Interface, Route
from tests.lab.gce.refusals import Refused, disabled, injected, no_billing
from tests.lab.gce.resource import Call, Handler, check_request_id
from tests.lab.gce.settings import Settings
from tests.lab.seams import Bill

INTERFACES = {"": "compute.v1", "billing.": "cloudbilling.v1", "iam.": "iam.v1", "manager.": "cloudresourcemanager.v1"}
INTERFACES |= {"scheduler.": "cloudscheduler.v1", "secrets.": "secretmanager.v1", "storage.": "storage.v1"}
NEWER = ("billing.", "iam.", "manager.", "scheduler.", "secrets.")
UPLOAD = "/upload/storage/"
UNCHECKED = frozenset({"zoneOperations.wait", "globalOperations.wait"})
"""They wait without the lock."""


@dataclass(frozen=True)
class Answer:
    """`status` 0 is no answer at all: the connection is shut."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def kind(self) -> str:
        return "application/json; charset=UTF-8" if self.raw is None else "application/octet-stream"

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode() if self.raw is None else self.raw


@cache
def interface(document: str) -> Interface:
    """Read once: Compute Engine's description has five megabytes."""
    return Interface(document)


class Front:
    """Every request goes through here, from clients and from hosts."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        *,
        accounts: Accounts,
        settings: Settings,
        faults: Faults,
        bill: Bill,
        lock: threading.RLock,
        repeated: Callable[[Call], dict[str, Any] | None],
    ) -> None:
        self._handlers, self._accounts, self._settings = handlers, accounts, settings
        self._faults, self._bill, self._lock, self._repeated = faults, bill, lock, repeated
        self.violations: list[str] = []
        self.calls: list[Call] = []

    def answer(self, verb: str, target: str, headers: Mapping[str, str], raw: bytes) -> Answer:
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix, route = _routed(verb, parts.path)
        if route is None:
            return Answer(404, {"error": {"code": 404, "message": f"There is no {verb} {parts.path}", "errors": []}})
        media = parts.path.startswith(UPLOAD)
        try:
            body = json.loads(raw) if raw.strip() and not media else {}
        except ValueError:
            return Answer(400, Refused(400, "parseError", "Parse Error").body)
        values = {name: unquote(value) for name, value in route.values.items()}
        call = Call(prefix + route.name, values, query, body, raw=raw if media else b"")
        return self._answered(call, route, interface(INTERFACES[prefix]), headers.get("authorization", ""))

    def _answered(self, call: Call, route: Route, kind: Interface, authorization: str) -> Answer:
        parameters = {**call.path, **call.query, "body": call.body}
        fault = self._faults.take(call.name, parameters)
        if fault and fault.when == "drop_before":
            return self._told(call, parameters, Answer(0), "lost")
        try:
            if fault and fault.when == "before" and not _of_operations(fault):
                raise _refusal(fault)
            body = self._done(call, route, kind, authorization, fault)
            if fault and fault.when == "after":
                raise _refusal(fault)
        except Refused as refused:
            body = refused.plain_body if call.name.startswith(NEWER) else refused.body
            return self._told(call, parameters, Answer(refused.status, body), refused.reason)
        if isinstance(body, bytes):
            return self._told(call, parameters, Answer(200, raw=body), "ok")
        wrong = kind.wrong_response(route, body)
        self.violations += [f"reply: {one}" for one in wrong]
        dropped = fault is not None and fault.when == "drop_after"
        return self._told(call, parameters, Answer(0) if dropped else Answer(200, body), "lost" if dropped else "ok")

    def _done(self, call: Call, route: Route, kind: Interface, authorization: str, fault: Fault | None) -> Any:
        call = self._accounts.known(call, authorization)
        self.calls.append(call)
        if wrong := kind.wrong_query(route, call.query) + kind.wrong_request(route, call.body):
            self.violations += [f"request: {one}" for one in wrong]
            raise Refused(400, "invalid", f"Invalid JSON payload received. {'; '.join(wrong[:5])}")
        if not self._settings.api_enabled and not call.name.startswith((*NEWER, "storage.")):
            raise disabled("compute.googleapis.com", call.project)
        if not self._settings.billing_enabled and call.name.endswith(".insert"):
            raise no_billing(call.project)
        self._accounts.check(call)
        check_request_id(call)
        handler = self._handlers.get(call.name)
        if handler is None:
            self.violations.append(f"request: {call.name} is not of the lab")
            raise Refused(501, "notImplemented", f"The lab does not know {call.name}")
        if call.name in UNCHECKED:
            return handler(call)
        with self._lock:
            if fault and _of_operations(fault):
                return self._failing(call, fault)
            return self._repeated(call) or handler(call)

    def _failing(self, call: Call, fault: Fault) -> dict[str, Any]:
        """Accepted, and failing later with this code."""
        handler = self._handlers["fail"]
        body = {"code": fault.code, "message": fault.message or f"Injected {fault.code}", "name": call.body.get("name", "")}
        return handler(Call(call.name, call.path, call.query, body, call.principal))

    def _told(self, call: Call, parameters: Mapping[str, Any], answer: Answer, outcome: str) -> Answer:
        self._bill.called("gcp", call.name, parameters, outcome)
        return answer


def _routed(verb: str, path: str) -> tuple[str, Route | None]:
    """Names of objects are told with their slashes quoted, and only once it is known what they are."""
    for start, prefix in (("/compute/", ""), ("/storage/", "storage."), (UPLOAD, "storage.")):
        if path.startswith(start):
            route = interface(INTERFACES[prefix]).route(verb, path.removeprefix("/upload"))
            return prefix, route
    for prefix, document in INTERFACES.items():
        if prefix not in ("", "storage.") and (route := interface(document).route(verb, unquote(path))):
            return prefix, route
    return "", None


def _of_operations(fault: Fault) -> bool:
    """Codes of operations are in capitals: ZONE_RESOURCE_POOL_EXHAUSTED, QUOTA_EXCEEDED."""
    return fault.when == "before" and "_" in fault.code and fault.code.isupper()


def _refusal(fault: Fault) -> Refused:
    made = injected(fault.code)
    return Refused(fault.status or made.status, made.reason, fault.message or made.message, domain=made.domain)
