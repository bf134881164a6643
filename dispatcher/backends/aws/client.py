"""The one door to AWS: sessions, clients, and errors translated once."""

from __future__ import annotations

import ipaddress
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions as refused
from botocore.config import Config
from urllib3.exceptions import HTTPError

from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.errors import LoginNeeded, MlrunError, UsageError

HOME = "us-east-1"
"""The region that is asked about the account."""
OURS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
STAND_IN_KEY = re.compile(r"(?:AKIA|ASIA)LAB|(?!AKIA|ASIA)")
"""Keys that Amazon never gave: those of the lab, and those that are not made like Amazon's."""
NEVER_SENT = (refused.EndpointConnectionError, refused.ConnectTimeoutError, refused.ProxyConnectionError)
NO_LOGIN = (
    refused.NoCredentialsError, refused.PartialCredentialsError, refused.CredentialRetrievalError, refused.ProfileNotFound,
    refused.TokenRetrievalError, refused.SSOError, refused.NoAuthTokenError, refused.RefreshWithMFAUnsupportedError,
)  # fmt: skip
_PATIENT = Config(
    connect_timeout=10, read_timeout=60, max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 5}
)
_ONCE = Config(
    connect_timeout=10, read_timeout=60, max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 1}
)

_HASTY = Config(
    connect_timeout=4, read_timeout=15, max_pool_connections=32, retries={"mode": "standard", "total_max_attempts": 2}
)


class Account:
    """The user's account: clients made once per service and region, for any thread. Nothing is asked before a call."""

    def __init__(self, profile: str | None = None, *, hasty: bool = False) -> None:
        self._profile = profile
        self._patience = _HASTY if hasty else _PATIENT
        self._lock = threading.RLock()
        self._session: boto3.Session | None = None
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._identity: dict[str, str] | None = None
        self._regions: tuple[str, ...] | None = None
        self.lab = False

    def call(self, service: str, region: str, action: str, doing: str, **parameters: Any) -> dict[str, Any]:
        """Ask, with the SDK's own retries. Raises an error of our tree."""
        try:
            return self.ask(service, region, action, doing, **parameters)
        except AwsFailure as failure:
            raise self.told(failure) from failure

    def pages(self, service: str, region: str, action: str, doing: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Ask for every page of a list."""
        try:
            yield from self.ask_pages(service, region, action, doing, **parameters)
        except AwsFailure as failure:
            raise self.told(failure) from failure

    def ask(
        self, service: str, region: str, action: str, doing: str, *, once: bool = False, **parameters: Any
    ) -> dict[str, Any]:
        """Ask, `once` without any retry. Raises AwsFailure; an error of our tree where there is nobody to ask."""
        client = self.client(service, region, once=once)
        try:
            return dict(getattr(client, action)(**parameters))
        except (refused.ClientError, refused.BotoCoreError) as error:
            raise _failure(error, doing, region) from error

    def ask_pages(self, service: str, region: str, action: str, doing: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Ask for every page of a list. Raises AwsFailure."""
        client = self.client(service, region)
        try:
            yield from client.get_paginator(action).paginate(**parameters)
        except (refused.ClientError, refused.BotoCoreError) as error:
            raise _failure(error, doing, region) from error

    def client(self, service: str, region: str, *, once: bool = False) -> Any:
        """The SDK's client; made where there was none."""
        key = (service, region, once)
        with self._lock:
            if key not in self._clients:
                try:
                    made = self.session.client(service, region_name=region, config=_ONCE if once else self._patience)
                except refused.BotoCoreError as error:
                    raise _failure(error, f"a connection to {service}", region).told() from error
                self._check(made)
                self._clients[key] = made
            return self._clients[key]

    @property
    def session(self) -> boto3.Session:
        """The SDK's session."""
        with self._lock:
            if self._session is None:
                try:
                    self._session = boto3.Session(profile_name=self._profile)
                except refused.ProfileNotFound as error:
                    fix = "mlrun config show   # aws.profile; or unset AWS_PROFILE"
                    raise LoginNeeded(f"AWS's files have no profile of that name: {error}", fix=fix) from error
            return self._session

    def signed_in(self) -> bool:
        """Whether there are credentials at all; whether they still work is learned by asking."""
        try:
            return self.session.get_credentials() is not None
        except (refused.BotoCoreError, MlrunError):
            return False

    def identity(self) -> dict[str, str]:
        """Who asks: UserId, Account and Arn."""
        with self._lock:
            if self._identity is None:
                found = self.call("sts", HOME, "get_caller_identity", "who you are")
                self._identity = {name: str(found[name]) for name in ("UserId", "Account", "Arn")}
            return self._identity

    def regions(self) -> tuple[str, ...]:
        """Every region that is enabled for the account."""
        with self._lock:
            if self._regions is None:
                found = self.call("ec2", HOME, "describe_regions", "the list of regions")
                self._regions = tuple(sorted(one["RegionName"] for one in found["Regions"]))
            return self._regions

    def told(self, failure: AwsFailure) -> MlrunError:
        """The error for people; a denial in AWS's own cipher is read where the account may."""
        _, mark, cipher = failure.said.partition("Encoded authorization failure message: ")
        if mark:
            failure.said = self._deciphered(cipher) or failure.said.partition(" Encoded ")[0]
        return failure.told()

    def _deciphered(self, cipher: str) -> str:
        try:
            found = self.ask("sts", HOME, "decode_authorization_message", "a denial", EncodedMessage=cipher.split()[0])
            context = json.loads(found["DecodedMessage"])["context"]
        except (AwsFailure, KeyError, ValueError, IndexError):
            return ""
        return f"{context.get('action', 'this')} is not allowed on {context.get('resource', '*')}"

    def _check(self, client: Any) -> None:
        """Only Amazon, or a stand-in on this computer; and the stand-in never sees a real key."""
        host = urlsplit(client.meta.endpoint_url).hostname or ""
        if host.endswith(OURS):
            return
        if not _loopback(host):
            text = f"AWS's endpoint is set to {host}, which is neither Amazon's nor on this computer"
            raise UsageError(text, fix="unset AWS_ENDPOINT_URL")
        found = self.session.get_credentials()
        key = str(found.access_key) if found else ""
        if not STAND_IN_KEY.match(key):
            text = "AWS's endpoint is a stand-in on this computer, but the credentials look real; they are not sent there"
            raise UsageError(text, fix="unset AWS_ENDPOINT_URL, or use the stand-in's own credentials")
        self.lab = True


@contextmanager
def reading(doing: str, region: str) -> Iterator[None]:
    """While an answer comes piece by piece: a connection that is lost is an AwsFailure."""
    try:
        yield
    except (refused.BotoCoreError, refused.HTTPClientError, HTTPError, OSError) as error:
        raise AwsFailure("ConnectionFailed", str(error), doing, place=region) from error


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _failure(error: Exception, doing: str, region: str) -> AwsFailure:
    """What the SDK raised, in our words."""
    if isinstance(error, refused.ClientError):
        told, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        return AwsFailure(
            str(told.get("Code", "Unknown")), str(told.get("Message", "")), doing,
            status=int(meta.get("HTTPStatusCode", 0)), place=region,
        )  # fmt: skip
    if isinstance(error, NO_LOGIN):
        return AwsFailure("NoCredentials", str(error), doing, place=region, sent=False)
    if isinstance(error, NEVER_SENT):
        return AwsFailure("NotConnected", str(error), doing, place=region, sent=False)
    if (
        isinstance(error, (refused.HTTPClientError, refused.ConnectionError, refused.IncompleteReadError))
        or "Parser" in type(error).__name__
    ):
        return AwsFailure("ConnectionFailed", str(error), doing, place=region)
    return AwsFailure("InvalidParameterValue", str(error), doing, place=region, sent=False)
