"""From a request to its answer: faults, credentials, permissions, handlers, checks."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from botocore.model import OperationModel

from tests.lab.ec2 import iam, protocol
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.people import People, role_of
from tests.lab.ec2.permissions import needs
from tests.lab.ec2.protocol import Answer
from tests.lab.ec2.registry import HANDLERS, OWN_DRY_RUN
from tests.lab.ec2.state import Context, Principal, World
from tests.lab.faults import Fault, Faults, find

SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
LONG = 50_000
SIGNATURE_SECONDS = 300
DENIED = {"ec2": "UnauthorizedOperation", "sts": "AccessDenied", "s3": "AccessDenied", "iam": "AccessDenied"}


class Dropped(Exception):
    """The connection is to be shut without an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def scope(self) -> tuple[str, str, str]:
        """Access key, region and service that it is signed for."""
        found = SCOPE.search(self.headers.get("authorization", ""))
        if found:
            return found[1], found[2], found[3]
        return "", "us-east-1", "ec2" if "Action" in self.fields() else "s3"

    def fields(self) -> dict[str, str]:
        form = "x-www-form-urlencoded" in self.headers.get("content-type", "")
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True)) if form else {}


@dataclass
class Call:
    """One request on its way."""

    service: str
    operation: OperationModel
    region: str
    key: str
    parameters: dict[str, Any] = field(default_factory=dict)
    needs: list[iam.Need] = field(default_factory=list)
    by: str = ""
    signed: str = ""

    @property
    def name(self) -> str:
        return str(self.operation.name)


class Answering:
    """Answers what the lab knows itself. Every call is kept, with the permissions that it needed."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world, self.faults = world, faults
        self.people = People(world)
        world.role_keys, world.role_of = self.people.role_keys, role_of
        self.calls: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._answers: dict[tuple[str, str], Answer] = {}

    def forget(self) -> None:
        self.people.forget()
        self.calls.clear()
        self.violations.clear()

    def knows(self, request: Request) -> bool:
        return request.scope()[2] in protocol.SERVICES

    def answer(self, request: Request) -> Answer:
        """Raises Dropped where a fault shuts the connection."""
        key, region, service = request.scope()
        fields = request.fields()
        model = protocol.model(protocol.SERVICES[service])
        name = fields.get("Action") or request.headers.get("x-amz-target", "").rpartition(".")[2]
        if name not in model.operation_names:
            self.violations.append(f"{service}: there is no action {name!r}")
            return self._refuse(model.metadata["protocol"], AwsError("InvalidAction", f"The action {name} is not valid"))
        call = Call(service, model.operation_model(name), region, key, signed=request.headers.get("x-amz-date", ""))
        call.parameters, problems = protocol.decode(call.operation, fields, request.body)
        fault = self.faults.take(name, {"region": region, **call.parameters})
        try:
            return self._answer(call, problems, fault)
        except AwsError as error:
            self.keep(call, error.code)
            return self._refuse(model.metadata["protocol"], error)
        except Dropped:
            raise
        except Exception:  # noqa: BLE001 — a failure of the lab is the test's to see, not the client's
            self.violations.append(f"the lab failed in {name}: {traceback.format_exc(limit=-4)}")
            return self._refuse(model.metadata["protocol"], AwsError("InternalError"))

    def _refuse(self, spoken: str, error: AwsError) -> Answer:
        return protocol.encode_error(spoken, error.status, error.code, str(error))

    def _answer(self, call: Call, problems: list[protocol.Problem], fault: Fault | None) -> Answer:
        if fault and fault.when == "drop_before":
            self.keep(call, "lost")
            raise Dropped
        if fault and fault.when == "before":
            raise planned(fault, call.parameters)
        self.violations += [f"{call.name}: {one.message}" for one in problems if one.flaw]
        person = self.people.find(call.key, call.service)
        call.by = person.name
        self._in_time(call)
        return self._carried_out(call, person, problems, fault)

    def act(self, person: Principal, service: str, name: str, region: str, parameters: dict[str, Any]) -> None:
        """A call that no client sent: a schedule's, in its role's name. Raises AwsError, or Dropped for a lost answer."""
        operation = protocol.model(protocol.SERVICES[service]).operation_model(name)
        call = Call(service, operation, region, "", parameters=parameters, by=person.name)
        problems = protocol.problems(operation, parameters)
        fault = self.faults.take(name, {"region": region, **parameters})
        try:
            if fault and fault.when.startswith("drop_before"):
                raise Dropped
            if fault and fault.when == "before":
                raise planned(fault, parameters)
            self.violations += [f"{name}: {one.message}" for one in problems if one.flaw]
            self._carried_out(call, person, problems, fault)
        except AwsError as error:
            self.keep(call, error.code)
            raise

    def _carried_out(self, call: Call, person: Principal, problems: list[protocol.Problem], fault: Fault | None) -> Answer:
        if problems:
            raise AwsError(problems[0].code, problems[0].message)
        if fault and fault.when == "late":
            self.world.clock.later(fault.seconds, lambda: self._handle_late(call, person))
            self.keep(call, "lost")
            raise Dropped
        answer = self._handle(call, person)
        if fault and fault.when == "drop_after":
            self.keep(call, "lost")
            raise Dropped
        if fault:
            raise planned(fault, call.parameters)
        self.keep(call, "ok")
        return answer

    def _in_time(self, call: Call) -> None:
        """A signature is good for five minutes, by the lab's clock where it goes wrong."""
        skew = self.world.settings.skew
        if skew and call.signed and abs(_moment(call.signed) - time.time() - skew) > SIGNATURE_SECONDS:
            raise AwsError("RequestExpired" if call.service == "ec2" else "SignatureDoesNotMatch")

    def _handle(self, call: Call, person: Principal) -> Answer:
        handler = HANDLERS.get((call.service, call.name))
        if handler is None:
            raise AwsError("NotImplemented", f"The lab does not answer {call.service} {call.name}", status=501)
        with self.world.lock:
            context = Context(self.world, self.world.region(call.region), person, call.parameters)
            call.needs = needs(call.service, call.name, context)
            self.permit(call, person)
            if call.parameters.get("DryRun") and call.name not in OWN_DRY_RUN:
                raise AwsError("DryRunOperation")
            reply = handler(context)
            answer = self._checked(call, reply)
        for act in context.after:
            act()
        return answer

    def _handle_late(self, call: Call, person: Principal) -> None:
        with suppress(AwsError):
            self._handle(call, person)

    def _checked(self, call: Call, reply: dict[str, Any]) -> Answer:
        """A long reply that was checked and put into words once is not again."""
        key = (call.name, repr(reply))
        if key in self._answers:
            return self._answers[key]
        found = protocol.misshapen(call.operation, reply)
        answer = protocol.encode(call.operation, {} if found else reply)
        found = found or protocol.misread(call.operation, reply, answer)
        self.violations += [f"reply to {one}" for one in found]
        if not found and len(answer.body) > LONG:
            self._answers[key] = answer
        return answer

    def permit(self, call: Call, person: Principal) -> None:
        if person.policies is None or (call.service, call.name) == ("sts", "GetCallerIdentity"):
            return
        for need in call.needs:
            if not iam.judge(person.policies, need).allowed:
                code = DENIED.get(call.service, "AccessDeniedException")
                cipher = base64.b64encode(json.dumps(_denial(need, person)).encode()).decode()
                raise AwsError(code, arn=person.arn, action=need.action, resource=need.resource, cipher=cipher)

    def keep(self, call: Call, outcome: str) -> None:
        shown = json.loads(json.dumps(call.parameters, default=str))
        wanted = [{"action": need.action, "resource": need.resource, "keys": dict(need.keys)} for need in call.needs]
        row = {"time": self.world.now(), "service": call.service, "action": call.name, "region": call.region, "by": call.by}
        self.calls.append(row | {"parameters": shown, "outcome": outcome, "needs": wanted})
        self.world.bill.called("aws", call.name, {"region": call.region, **shown}, outcome)


def _moment(signed: str) -> float:
    return dt.datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC).timestamp()


def planned(fault: Fault, parameters: Mapping[str, Any]) -> AwsError:
    """The refusal that a test has asked for, in AWS's words."""
    words = {"type": parameters.get("InstanceType", ""), "zone": find(parameters, "Placement.AvailabilityZone"), "limit": 0}
    return AwsError(fault.code, fault.message, status=fault.status, **words)


def _denial(need: iam.Need, person: Principal) -> dict[str, Any]:
    """What DecodeAuthorizationMessage tells of it."""
    items = [{"key": key, "values": {"items": [{"value": value} for value in values]}} for key, values in need.keys.items()]
    context = {"principal": {"id": person.id, "name": person.name, "arn": person.arn}, "action": need.action}
    return {"allowed": False, "context": {**context, "resource": need.resource, "conditions": {"items": items}}}
