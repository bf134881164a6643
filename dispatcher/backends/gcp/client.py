"""The one door to Google Cloud: credentials, clients, operations, errors."""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.errors import HostUnreachable, LoginNeeded, UsageError
from dispatcher.retries import Clock, Policy, SystemClock, wait_until

ENDPOINT, HOST_ENDPOINT = "DISPATCHER_GCP_ENDPOINT", "DISPATCHER_GCP_HOST_ENDPOINT"
"""A stand-in's address, and the one under which machines reach it."""
COMPUTE = "https://compute.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_INFO = "https://oauth2.googleapis.com/tokeninfo"  # noqa: S105 as an address, no secret
SECONDS, PATIENCE = 60.0, 20.0
"""For one answer, and for all the answers that are tried for."""
OPERATION = Policy(first=0.5, longest=5.0, patience=600.0, growth=1.5)
"""Inserts take 5 to 60 seconds, deletions up to 2 minutes."""
_NOT_OF_OWNERS = re.compile(r"[^a-z0-9_-]+")


class Account:
    """The user's project: clients made once per service, for any thread. Nothing is asked before a call."""

    def __init__(self, project: str | None = None, environ: Mapping[str, str] = os.environ, clock: Clock | None = None) -> None:
        self._asked_project, self._environ, self._clock = project, environ, clock or SystemClock()
        self._lock = threading.RLock()
        self._clients: dict[str, Any] = {}
        self._credentials: tuple[Any, str | None] | None = None
        self._owner = ""
        self.patience = PATIENCE

    @property
    def endpoint(self) -> str:
        """The stand-in's address; "" for Google's own."""
        found = self._environ.get(ENDPOINT, "").rstrip("/")
        if found and not _loopback(urlsplit(found).hostname or ""):
            text = f"{ENDPOINT} is {found}, which is not on this computer: credentials are not sent there"
            raise UsageError(text, fix=f"unset {ENDPOINT}")
        return found

    @property
    def lab(self) -> bool:
        """Whether a stand-in is asked, without any credentials."""
        return bool(self.endpoint)

    @property
    def host_endpoint(self) -> str:
        """Where machines ask."""
        return self._environ.get(HOST_ENDPOINT, COMPUTE).rstrip("/") if self.lab else COMPUTE

    @property
    def project(self) -> str:
        """The project that pays."""
        found = self._asked_project or self._environ.get("GOOGLE_CLOUD_PROJECT") or self._signed_in()[1]
        if not found:
            fix = "gcloud auth application-default set-quota-project PROJECT, or gcp.project in config.yaml"
            raise LoginNeeded("No Google Cloud project is named, neither in the settings nor by the credentials", fix=fix)
        return str(found)

    @property
    def owner(self) -> str:
        """Who asks, as a label can hold it."""
        if not self._owner:
            self._owner = _NOT_OF_OWNERS.sub("-", self._principal().lower())[:63].strip("-")
        return self._owner

    def has_credentials(self) -> bool:
        """Whether there are credentials at all; whether they still work is learned by asking."""
        try:
            return self._signed_in() is not None
        except LoginNeeded:
            return False

    def call(self, service: str, action: str, doing: str, *, place: str = "", **request: Any) -> Any:
        """Ask. Raises an error of our tree."""
        try:
            return self.ask(service, action, doing, place=place, **request)
        except GcpFailure as failure:
            raise failure.told() from failure

    def ask(self, service: str, action: str, doing: str, *, place: str = "", once: bool = False, **request: Any) -> Any:
        """Ask, `once` without any retry; the project is added. Raises GcpFailure; LoginNeeded where there is nobody to ask."""
        client = self.client(service)
        retry = None if once else self._patiently(doing)
        try:
            return getattr(client, action)({"project": self.project} | request, timeout=SECONDS, retry=retry)
        except Exception as error:
            raise _failure(error, doing, place) from error

    def pages(self, service: str, action: str, doing: str, **request: Any) -> Iterator[Any]:
        """Every page of a list, as it is told. Raises an error of our tree."""
        try:
            yield from self.ask(service, action, doing, **request).pages
        except Exception as error:
            raise _failure(error, doing, "").told() from error

    def finished(self, name: str, zone: str | None, doing: str) -> GcpFailure | None:
        """Wait for an operation, by its name alone: what it failed of, or None. Raises where that cannot be learned."""
        service = "ZoneOperations" if zone else "GlobalOperations"
        request: dict[str, Any] = {"operation": name} | ({"zone": zone} if zone else {})

        def look() -> Any:
            try:
                found = self.ask(service, "wait", doing, place=zone or "", **request)
            except GcpFailure as failure:
                if failure.kind is Kind.AGAIN:
                    return None
                raise failure.told() from failure
            return found if found.status == type(found).Status.DONE else None

        done = wait_until(look, OPERATION, self._clock)
        if done is None:
            text = f"Google Cloud does not say what became of {doing}: the operation {name} is not done"
            raise HostUnreachable(text, fix="mlrun sweep --check")
        return operation_failure(done, doing, zone or "")

    def carried_out(self, service: str, action: str, doing: str, *, zone: str | None = None, **request: Any) -> None:
        """Ask for a change, and see it done. Raises GcpFailure."""
        where: dict[str, Any] = {"zone": zone} if zone else {}
        begun = self.ask(service, action, doing, place=zone or "", **where, **request)
        if failure := self.finished(str(begun.name), zone, doing):
            raise failure

    def rest(self, url: str, doing: str, body: dict[str, Any] | None = None, verb: str = "", **query: str) -> dict[str, Any]:
        """Ask another of Google's interfaces than Compute Engine's; the stand-in has it at its own address."""
        answer = self.answer(verb or ("GET" if body is None else "POST"), url, doing, query, json=body)
        return dict(answer.json() if answer.content else {})

    def listed(self, url: str, doing: str, plural: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every thing of a list of theirs, over its pages. Raises GcpFailure."""
        token: dict[str, str] = {}
        while True:
            page = self.answer("GET", url, doing, {**query, **token}).json()
            yield from page.get(plural, ())
            if not (following := str(page.get("nextPageToken", ""))):
                return
            token = {"pageToken": following}

    def answer(self, verb: str, url: str, doing: str, query: Mapping[str, str], **sent: Any) -> Any:
        """The same, with the answer as it came. Raises GcpFailure."""
        target = self.endpoint + urlsplit(url).path if self.lab else url
        try:
            answer = self._session().request(verb, target, params=query, timeout=SECONDS, **sent)
        except Exception as error:
            raise _failure(error, doing, "") from error
        if answer.status_code >= 400:
            raise _refusal(answer, doing)
        return answer

    def client(self, service: str) -> Any:
        """Google's client for a service of Compute Engine; made where there was none."""
        from google.cloud import compute_v1

        with self._lock:
            if service not in self._clients:
                options = {"api_endpoint": self.endpoint} if self.lab else {}
                made = getattr(compute_v1, f"{service}Client")(credentials=self._signed_in()[0], client_options=options)
                self._clients[service] = made
            return self._clients[service]

    def _signed_in(self) -> tuple[Any, str | None]:
        with self._lock:
            if self._credentials is None:
                self._credentials = _anonymous() if self.lab else _default()
            return self._credentials

    def _patiently(self, doing: str) -> Any:
        """Google's own repetition of what can be asked again; by itself it would go on for ten minutes."""
        from google.api_core.retry import Retry

        def again(error: Exception) -> bool:
            return isinstance(error, Exception) and _known(error) and _failure(error, doing, "").kind is Kind.AGAIN

        return Retry(predicate=again, initial=0.25, maximum=4.0, multiplier=2.0, timeout=self.patience)

    def _session(self) -> Any:
        from google.auth.transport.requests import AuthorizedSession

        return AuthorizedSession(self._signed_in()[0])  # type: ignore[no-untyped-call]

    def _principal(self) -> str:
        """The account behind the credentials."""
        found = self._signed_in()[0]
        if self.lab:
            return "lab"
        for name in ("service_account_email", "account"):
            if (said := getattr(found, name, "")) and said != "default":
                return str(said)
        from google.auth.transport.requests import Request

        found.refresh(Request())
        told = self._session().get(TOKEN_INFO, params={"access_token": found.token}, timeout=SECONDS).json()
        return str(told.get("email") or told.get("sub") or told.get("azp") or "unknown")


@contextmanager
def reading(doing: str) -> Iterator[None]:
    """While an answer comes piece by piece: a connection that is lost is a GcpFailure."""
    import requests.exceptions as lost
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (lost.RequestException, HTTPError, OSError) as error:
        raise GcpFailure("ConnectionFailed", _words(str(error)), doing) from error


def _refusal(answer: Any, doing: str) -> GcpFailure:
    """An answer that is an error, in our words."""
    try:
        told = answer.json().get("error", {})
    except (ValueError, AttributeError):
        told = {}
    reason = next((one.get("reason", "") for one in told.get("errors", ())), "") or str(told.get("status", ""))
    return GcpFailure(reason or str(answer.status_code), str(told.get("message", "")), doing, status=answer.status_code)


def operation_failure(operation: Any, doing: str, place: str) -> GcpFailure | None:
    """What an operation failed of; None where it did not. The error tells in which zones there would be room."""
    errors = list(operation.error.errors) if operation.error else []
    if not errors:
        return None
    first = errors[0]
    others = tuple(
        zone.strip()
        for detail in first.error_details
        for zone in dict(detail.error_info.metadatas).get("zonesAvailable", "").split(",")
        if zone.strip()
    )
    status = int(operation.http_error_status_code or 0)
    failure = GcpFailure(str(first.code), str(first.message), doing, status=status, place=place)
    failure.others = others
    return failure


def _anonymous() -> tuple[Any, str | None]:
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials(), None  # type: ignore[no-untyped-call]


def _default() -> tuple[Any, str | None]:
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        found, project = google.auth.default(scopes=[SCOPE])
    except GoogleAuthError as error:
        raise _failure(error, "the credentials", "").told() from error
    return found, project


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _known(error: Exception) -> bool:
    """Whether it is one of the errors that calls end with, and no bug of ours."""
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    return isinstance(error, (GoogleAPICallError, GoogleAuthError, OSError))


def _failure(error: Exception, doing: str, place: str) -> GcpFailure:
    """What Google's libraries raised, in our words."""
    import requests.exceptions as lost
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError

    if isinstance(error, GcpFailure):
        return error
    if isinstance(error, RetryError) and isinstance(error.cause, Exception):
        return _failure(error.cause, doing, place)
    if isinstance(error, GoogleAPICallError):
        status = int(error.code or 0)
        plain = next((str(one.get("reason", "")) for one in error.errors if isinstance(one, dict)), "")
        code = str(error.reason or plain or status)
        return GcpFailure(code, _words(error.message), doing, status=status, place=place)
    if isinstance(error, DefaultCredentialsError):
        return GcpFailure("NoCredentials", _words(str(error)), doing, place=place, sent=False)
    if isinstance(error, RefreshError) and "JWT" in str(error):
        return GcpFailure("ClockOff", _words(str(error)), doing, place=place, sent=False)
    if isinstance(error, RefreshError):
        return GcpFailure("ExpiredLogin", _words(str(error)), doing, place=place, sent=False)
    if isinstance(error, (TransportError, lost.ConnectTimeout)) or "NewConnectionError" in str(error):
        return GcpFailure("NotConnected", _words(str(error)), doing, place=place, sent=False)
    if isinstance(error, GoogleAuthError):
        return GcpFailure("NoCredentials", _words(str(error)), doing, place=place, sent=False)
    if isinstance(error, (lost.RequestException, OSError)):
        return GcpFailure("ConnectionFailed", _words(str(error)), doing, place=place)
    raise error


def _words(text: str) -> str:
    """The message without the request that Google's library puts before it."""
    return re.sub(r"^(GET|POST|PUT|PATCH|DELETE) https?://\S+: ", "", text).strip()[:400]
