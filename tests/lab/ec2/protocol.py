"""Requests and replies between bytes and Python, checked against botocore's own service models."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import OperationModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from moto.core.model import ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import SERIALIZERS, SerializationContext

SERVICES = {
    "ec2": "ec2",
    "sts": "sts",
    "servicequotas": "service-quotas",
    "ssm": "ssm",
    "pricing": "pricing",
    "ec2-instance-connect": "ec2-instance-connect",
    "cloudtrail": "cloudtrail",
}
"""What the lab answers itself, by the name in the signature; moto answers the others."""

USERS_OWN = {"InstanceType", "VolumeType"}
"""Enumerations whose values come from people: a wrong one is refused, but is no flaw of the client."""

REQUEST_ID = "11111111-2222-4333-8444-555555555555"


@dataclass(frozen=True, slots=True)
class Problem:
    """How a request or a reply breaks the model. `code` is what AWS would answer."""

    code: str
    message: str
    flaw: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply in bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


@cache
def model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def decode(operation: OperationModel, fields: Mapping[str, str], body: bytes) -> tuple[dict[str, Any], list[Problem]]:
    """The parameters of a request, and what is wrong with them. Fields are those of a form; a body is JSON."""
    protocol = operation.service_model.metadata["protocol"]
    request = {"body": body, "headers": {}, "method": "POST", "url_params": {}, "url_path": "/", "values": fields}
    try:
        parameters = PROTOCOL_PARSERS[protocol](operation).parse(request)
        sent = json.loads(body or b"{}") if protocol == "json" else parameters
    except (ValueError, TypeError) as error:
        return {}, [Problem("MalformedQueryString", f"{operation.name} cannot be read: {error}")]
    unknown = [] if protocol == "json" else _unknown(operation, parameters, fields)
    return parameters, [*unknown, *_invalid(operation, sent)]


def _unknown(operation: OperationModel, parameters: Any, fields: Mapping[str, str]) -> Iterator[Problem]:
    """Fields that botocore would not have sent for these parameters."""
    serializer = create_serializer(operation.service_model.metadata["protocol"], include_validation=False)
    known = serializer.serialize_to_request(parameters, operation)["body"] if operation.input_shape else {}
    for name in sorted(set(fields) - set(known) - {"Action", "Version"}):
        yield Problem("UnknownParameter", f"The parameter {name} is not recognized")


def _invalid(operation: OperationModel, parameters: Any) -> Iterator[Problem]:
    if operation.input_shape is None:
        return
    report = ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        code = "MissingParameter" if "Missing required" in report.generate_report() else "InvalidParameterValue"
        yield Problem(code, report.generate_report())
    for path, shape, value in _leaves(operation.input_shape, parameters):
        if shape.enum and value not in shape.enum:
            yield Problem("InvalidParameterValue", f"Invalid value '{value}' for {path}.", flaw=shape.name not in USERS_OWN)


def problems(operation: OperationModel, parameters: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with parameters that came as they are, not over a wire."""
    shape = operation.input_shape
    unknown = sorted(set(parameters) - set(shape.members if shape else {}))
    found = [Problem("UnknownParameter", f"The parameter {name} is not recognized") for name in unknown]
    return [*found, *_invalid(operation, parameters)]


def misshapen(operation: OperationModel, reply: Mapping[str, Any]) -> list[str]:
    """What is wrong with a reply: names that the model lacks, wrong types, values that cannot be."""
    shape = operation.output_shape
    if shape is None:
        return [f"{operation.name} has no reply"] if reply else []
    report = ParamValidator().validate(reply, shape)
    found = [f"{operation.name}: {report.generate_report()}"] if report.has_errors() else []
    for path, leaf, value in _leaves(shape, reply):
        if leaf.enum and value not in leaf.enum and leaf.name not in USERS_OWN:
            found.append(f"{operation.name}: {path} cannot be {value!r}")
    return found


def misread(operation: OperationModel, reply: Mapping[str, Any], answer: Answer) -> list[str]:
    """What botocore reads otherwise than it was meant."""
    sent = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    read = create_parser(operation.service_model.metadata["protocol"]).parse(sent, operation.output_shape)
    read.pop("ResponseMetadata", None)
    if _plain(read) == _plain(reply):
        return []
    return [f"{operation.name}: botocore reads {_plain(read)!r} where {_plain(reply)!r} was meant"]


def encode(operation: OperationModel, reply: Mapping[str, Any]) -> Answer:
    protocol = operation.service_model.metadata["protocol"]
    serializer = SERIALIZERS[protocol](operation, SerializationContext(request_id=REQUEST_ID))
    made = serializer.serialize(reply)
    body = made["body"]
    return Answer(made["status_code"], dict(made["headers"]), body if isinstance(body, bytes) else body.encode())


def encode_error(protocol: str, status: int, code: str, message: str) -> Answer:
    if protocol in {"json", "rest-json"}:
        body = json.dumps({"__type": code, "message": message, "Message": message})
        return Answer(status, {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}, body.encode())
    said = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol == "ec2":
        body = f"<Response><Errors><Error>{said}</Error></Errors><RequestID>{REQUEST_ID}</RequestID></Response>"
    elif protocol == "rest-xml":
        body = f"<Error>{said}<RequestId>{REQUEST_ID}</RequestId></Error>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    return Answer(status, {"Content-Type": "text/xml"}, b'<?xml version="1.0" encoding="UTF-8"?>\n' + body.encode())


def _leaves(shape: Shape, value: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        for name, member in value.items():
            if name in shape.members:
                yield from _leaves(shape.members[name], member, f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list" and isinstance(value, list):
        for number, member in enumerate(value):
            yield from _leaves(shape.member, member, f"{path}.{number}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield path, shape, value


def _plain(value: Any) -> Any:
    """As both sides can be compared: no empty members, times to the second."""
    if isinstance(value, Mapping):
        members = {key: _plain(member) for key, member in value.items()}
        return {key: member for key, member in members.items() if member not in (None, [], {}, "")}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, dt.datetime):
        return round(value.timestamp()) // 2
    return value
