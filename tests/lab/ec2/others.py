"""Services that moto answers: S3, IAM and the rest, with the lab's faults, permissions and records."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from botocore.parsers import ResponseParserError, create_parser
from botocore.validate import ParamValidator
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request as MotoRequest
from moto.core.routing import ServiceOperationRouter
from werkzeug.exceptions import NotFound
from werkzeug.test import Client, run_wsgi_app

from tests.lab.ec2 import iam, protocol
from tests.lab.ec2.answering import Answering, Call, Dropped, planned
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.protocol import Answer
from tests.lab.ec2.scheduler import Schedules
from tests.lab.ec2.state import ACCOUNT

SCOPE = re.compile(r"(?:Credential=|^)([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")
S3_ACTIONS = {
    "HeadObject": ["GetObject"],
    "HeadBucket": ["ListBucket"],
    "ListObjects": ["ListBucket"],
    "ListObjectsV2": ["ListBucket"],
    "ListBuckets": ["ListAllMyBuckets"],
    "CopyObject": ["PutObject"],
    "CreateMultipartUpload": ["PutObject"],
    "UploadPart": ["PutObject"],
    "CompleteMultipartUpload": ["PutObject"],
    "ListParts": ["ListMultipartUploadParts"],
    "ListMultipartUploads": ["ListBucketMultipartUploads"],
    "DeleteObjects": ["DeleteObject"],
    "GetBucketLifecycleConfiguration": ["GetLifecycleConfiguration"],
    "PutBucketLifecycleConfiguration": ["PutLifecycleConfiguration"],
    "DeleteBucketLifecycle": ["PutLifecycleConfiguration"],
    "GetPublicAccessBlock": ["GetBucketPublicAccessBlock"],
    "PutPublicAccessBlock": ["PutBucketPublicAccessBlock"],
    "PutBucketEncryption": ["PutEncryptionConfiguration"],
    "GetBucketEncryption": ["GetEncryptionConfiguration"],
}
NAMED = {"RoleName": "role", "InstanceProfileName": "instance-profile", "UserName": "user", "PolicyName": "policy"}
Start = Callable[[str, list[tuple[str, str]]], object]


class Others:
    """moto's application, started when it is first asked."""

    def __init__(self, answering: Answering) -> None:
        self.lab = answering
        self.schedules = Schedules(answering)
        self._moto: Any = None

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Raises Dropped where a fault shuts the connection."""
        request = MotoRequest(environ)
        key, region, service = _scope(request)
        request.get_data()
        try:
            model = protocol.model(service)
            operation, found = ServiceOperationRouter(model).match(request)
        except (NotFound, ValueError, KeyError) as error:
            self.lab.violations.append(f"{service}: nothing answers {request.method} {request.path}: {error}")
            return _send(protocol.encode_error("query", 404, "InvalidAction", "unknown"), start)
        call = Call(service, operation, region, key)
        try:
            answer = self._answer(call, request, found, environ)
        except AwsError as error:
            self.lab.keep(call, error.code)
            answer = protocol.encode_error(model.metadata["protocol"], error.status, error.code, str(error))
        return _send(answer, start, empty=request.method == "HEAD")

    def forget(self) -> None:
        self.schedules.forget()
        if self._moto is not None:
            Client(self._moto).post("/moto-api/reset")

    def _answer(self, call: Call, request: MotoRequest, found: dict[str, Any], environ: dict[str, Any]) -> Answer:
        call.parameters = _parameters(call, request, found)
        fault = self.lab.faults.take(call.name, {"region": call.region, **call.parameters})
        if fault and fault.when == "drop_before":
            self.lab.keep(call, "lost")
            raise Dropped
        if fault and fault.when == "before":
            raise planned(fault, call.parameters)
        self._permit(call, request)
        if call.service == "scheduler":
            self.schedules.check(call)
        answer = self._ask(environ, request.get_data())
        outcome = "ok" if answer.status < 400 else _code(answer)
        self._check(call, answer)
        if call.service == "scheduler" and outcome == "ok":
            self.schedules.changed(call)
        if fault:
            self.lab.keep(call, "lost" if fault.when == "drop_after" else fault.code)
            if fault.when == "drop_after":
                raise Dropped
            raise planned(fault, call.parameters)
        self.lab.keep(call, outcome)
        return answer

    def _permit(self, call: Call, request: MotoRequest) -> None:
        person = self.lab.people.find(call.key, call.service)
        call.by = person.name
        if _expiry(request) < self.lab.world.now():
            raise AwsError("AccessDenied", "Request has expired")
        keys = {"aws:userid": [person.id], "aws:principalarn": [person.arn]}
        keys |= {"aws:username": [person.name]} if ":user/" in person.arn else {}
        call.needs = list(_needs(call, keys))
        self.lab.permit(call, person)

    def _ask(self, environ: dict[str, Any], body: bytes) -> Answer:
        if self._moto is None:
            from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

            self._moto = DomainDispatcherApplication(create_backend_app)
        from io import BytesIO

        fresh = {name: value for name, value in environ.items() if not name.startswith("werkzeug.request")}
        parts, status, headers = run_wsgi_app(self._moto, {**fresh, "wsgi.input": BytesIO(body)}, buffered=True)
        return Answer(int(status.split()[0]), dict(headers), b"".join(parts))

    def _check(self, call: Call, answer: Answer) -> None:
        if answer.status >= 300 or call.operation.has_streaming_output:
            return
        sent = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        try:
            create_parser(call.operation.service_model.metadata["protocol"]).parse(sent, call.operation.output_shape)
        except ResponseParserError as error:
            self.lab.violations.append(f"reply to {call.name}: {error}")


def _scope(request: MotoRequest) -> tuple[str, str, str]:
    if "AWSAccessKeyId" in request.args:
        return request.args["AWSAccessKeyId"], "us-east-1", "s3"
    signed = request.headers.get("Authorization") or parse_qs(request.query_string.decode()).get("X-Amz-Credential", [""])[0]
    found = SCOPE.search(signed)
    return (found[1], found[2], found[3]) if found else ("", "us-east-1", "s3")


def _expiry(request: MotoRequest) -> float:
    """Of a signed address; of any other request, never."""
    if "X-Amz-Expires" in request.args:
        signed = dt.datetime.strptime(request.args["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        return signed.timestamp() + int(request.args["X-Amz-Expires"])
    return float(request.args.get("Expires", "inf"))


def _parameters(call: Call, request: MotoRequest, found: dict[str, Any]) -> dict[str, Any]:
    spoken = call.operation.service_model.metadata["protocol"]
    asked = {
        "body": request.get_data(),
        "headers": request.headers,
        "method": request.method,
        "url_params": found,
        "url_path": request.path,
        "values": request.args if spoken.startswith("rest") else request.values,
    }
    try:
        parameters = PROTOCOL_PARSERS[spoken](call.operation).parse(asked)
    except (RequestParserError, ValueError) as error:
        raise AwsError("MalformedXML", str(error)) from None
    if call.operation.input_shape is not None:
        report = ParamValidator().validate(parameters, call.operation.input_shape)
        if report.has_errors():
            raise AwsError("InvalidRequest", report.generate_report())
    return {key: value if not isinstance(value, bytes) else f"{len(value)} bytes" for key, value in parameters.items()}


def _needs(call: Call, keys: Mapping[str, list[str]]) -> Iterable[iam.Need]:
    asked = call.parameters
    if call.service == "s3":
        place = "arn:aws:s3:::" + asked["Bucket"] if "Bucket" in asked else "*"
        place += "/" + asked["Key"] if "Key" in asked else "/*" if call.name == "DeleteObjects" else ""
        prefix = {"s3:prefix": [asked["Prefix"]]} if asked.get("Prefix") else {}
        for action in S3_ACTIONS.get(call.name, [call.name]):
            yield iam.Need(f"s3:{action}", place, {**keys, **prefix})
        return
    if call.service == "scheduler":
        yield from _of_schedules(call, keys)
        return
    if call.service == "lambda":
        name = f"arn:aws:lambda:{call.region}:{ACCOUNT}:function:{asked.get('FunctionName', '*')}"
        yield iam.Need(f"lambda:{call.name}", name, keys)
        if "Role" in asked:
            yield iam.Need("iam:PassRole", asked["Role"], {**keys, "iam:passedtoservice": ["lambda.amazonaws.com"]})
        return
    name = next((f"{kind}/{asked[field]}" for field, kind in NAMED.items() if field in asked), "")
    tags = {f"aws:requesttag/{tag['Key']}".lower(): [tag["Value"]] for tag in asked.get("Tags", []) if isinstance(tag, dict)}
    where = f"arn:aws:iam::{ACCOUNT}:{name}" if call.service == "iam" and name else "*"
    yield iam.Need(f"{call.service}:{call.name}", where, {**keys, **tags})


def _of_schedules(call: Call, keys: Mapping[str, list[str]]) -> Iterable[iam.Need]:
    asked = call.parameters
    name = asked.get("Name", "*")
    group = asked.get("GroupName", "*" if name == "*" else "default")
    yield iam.Need(f"scheduler:{call.name}", f"arn:aws:scheduler:{call.region}:{ACCOUNT}:schedule/{group}/{name}", keys)
    if "Target" in asked:
        passed = {**keys, "iam:passedtoservice": ["scheduler.amazonaws.com"]}
        yield iam.Need("iam:PassRole", asked["Target"]["RoleArn"], passed)


def _code(answer: Answer) -> str:
    found = re.search(rb'<Code>([^<]+)</Code>|"__type":\s*"(?:[^"#]*#)?([^"]+)"', answer.body)
    return (found[1] or found[2]).decode() if found else str(answer.status)


def _send(answer: Answer, start: Start, *, empty: bool = False) -> list[bytes]:
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    length = answer.headers.get("Content-Length", "0") if empty else str(len(answer.body))
    start(f"{answer.status} lab", [*headers.items(), ("Content-Length", length)])
    return [] if empty else [answer.body]
