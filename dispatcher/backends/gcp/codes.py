"""What Google's error codes mean for us."""

from __future__ import annotations

import re
from enum import Enum

from dispatcher.backends.cloud.codes import Codes, Failure
from dispatcher.errors import CloudRefused, HostUnreachable, LoginNeeded, MlrunError, NoCapacity, Quota


class Kind(Enum):
    """What to do about a refusal."""

    AGAIN = "the same request again, with the same id"
    NEXT_ZONE = "another zone"
    NEXT_REGION = "another region or market"
    NOWHERE = "no region of this cloud: the account may have none of these"
    TAKEN = "the name is in use: ours or somebody else's"
    ABSENT = "there is no such thing"
    USER = "stop, and tell the user what to change"
    CREDENTIALS = "stop: nobody is logged in"


KINDS = Codes[Kind]({
    Kind.AGAIN: (
        "rateLimitExceeded", "userRateLimitExceeded", "tooManyRequests", "RATE_LIMIT_EXCEEDED", "backendError",
        "internalError", "internalServerError", "badGateway", "serviceUnavailable", "resourceNotReady",
        "RESOURCE_OPERATION_RATE_EXCEEDED", "RESOURCE_NOT_READY", "INTERNAL_ERROR",
        "RESOURCE_EXHAUSTED", "UNAVAILABLE", "NotConnected", "ConnectionFailed",
    ),
    Kind.NEXT_ZONE: (
        "ZONE_RESOURCE_POOL_EXHAUSTED*", "RESOURCE_POOL_EXHAUSTED*", "STOCKOUT", "UNSUPPORTED_OPERATION",
        "RESERVATION_CAPACITY*",
    ),
    Kind.NEXT_REGION: ("QUOTA_EXCEEDED", "quotaExceeded", "REGION_QUOTA_EXCEEDED"),
    Kind.TAKEN: ("alreadyExists", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS"),
    Kind.ABSENT: ("notFound", "RESOURCE_NOT_FOUND", "NOT_FOUND"),
    Kind.CREDENTIALS: ("authError", "UNAUTHENTICATED", "NoCredentials", "ExpiredLogin", "ClockOff", "ACCESS_TOKEN_EXPIRED"),
})  # fmt: skip
_GLOBAL = re.compile(r"'?GPUS_ALL_REGIONS'?")
_LIMIT = re.compile(r"Quota '(?P<metric>\w+)' exceeded\.\s+Limit: (?P<limit>[\d.]+)")

_OFF = re.compile(r"apis/api/(?P<name>[\w.-]+\.googleapis\.com)")
"""Where Google says that an interface is off, and where it is switched on; it says so by several codes."""
OS_LOGIN = "requireOsLogin"
"""The organisation's constraint that forbids machines with users of their own."""
NO_OS_LOGIN = "mlrun's machines have one user of their own, with a key of the run; OS Login is not built"
OTHER_PROJECT = "Name a project without that policy: gcp.project in config.yaml; or ask its administrator for an exception"
QUOTA_PAGE = "https://console.cloud.google.com/iam-admin/quotas"
FIXES = Codes[str]({
    "Set this computer's clock: timedatectl set-ntp true": ("ClockOff",),
    "gcloud services enable compute.googleapis.com": ("SERVICE_DISABLED", "accessNotConfigured"),
    "https://console.cloud.google.com/billing/linkedaccount   # link a billing account to the project": ("BILLING_DISABLED",),
    "mlrun doctor   # lists what this account may not do; the role it needs: mlrun setup gcp": (
        "forbidden", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED",
    ),
    "A policy of the organisation forbids it: ask its administrator, or name another project": ("conditionNotMet",),
    "mlrun doctor   # is gcp.project right?": ("notFound",),
})  # fmt: skip
_BY_KIND = {
    Kind.CREDENTIALS: "gcloud auth application-default login",
    Kind.AGAIN: "Try again in some minutes: https://status.cloud.google.com",
    Kind.NOWHERE: f"Ask for GPUS_ALL_REGIONS of at least 1: {QUOTA_PAGE}",
    Kind.NEXT_REGION: f"mlrun doctor; to ask for more: {QUOTA_PAGE}",
    Kind.TAKEN: "mlrun sweep --check",
}


def classify(code: str, said: str = "", status: int = 0) -> Kind:
    """What to do about this code; one that nobody knows is the server's trouble from 500 on, else the user's."""
    kind = KINDS.find(code)
    if kind is Kind.NEXT_REGION and _GLOBAL.search(said):
        return Kind.NOWHERE
    if kind is None and status == 401:
        return Kind.CREDENTIALS
    return kind or (Kind.AGAIN if status == 429 or status >= 500 else Kind.USER)


def quota_of(said: str) -> tuple[str, float] | None:
    """The quota that a refusal names, and its limit."""
    found = _LIMIT.search(said)
    return (found["metric"], float(found["limit"])) if found else None


class GcpFailure(Failure):
    """An answer of Google's that is no success, or no answer. `others`: zones in which there would be room."""

    others: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What to do about it."""
        return classify(self.code, self.said, self.status)

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have taken effect all the same."""
        throttled = self.status == 429 or self.code.lower().endswith("ratelimitexceeded")
        return self.sent and self.kind is Kind.AGAIN and not throttled

    def told(self) -> MlrunError:
        """The error for people, in our tree."""
        said = self.said.rstrip(".")
        text = f"Google Cloud{self.where} refused {self.doing}: {said} ({self.code})"
        fix = self._switched_on() or FIXES.find(self.code) or _BY_KIND.get(self.kind, "")
        if OS_LOGIN in self.said:
            return CloudRefused(f"{text}: the organisation demands OS Login. {NO_OS_LOGIN}", fix=OTHER_PROJECT)
        match self.kind:
            case Kind.NEXT_ZONE:
                return NoCapacity(text, fix=fix)
            case Kind.NEXT_REGION | Kind.NOWHERE:
                return Quota(text, fix=fix)
            case Kind.CREDENTIALS:
                return LoginNeeded(f"Google Cloud does not know who asks for {self.doing}: {said} ({self.code})", fix=fix)
            case Kind.AGAIN if self.code in ("ConnectionFailed", "NotConnected"):
                return HostUnreachable(f"Google Cloud{self.where} does not answer {self.doing}: {said}", fix=fix)
            case _:
                return CloudRefused(text, fix=fix)

    def _switched_on(self) -> str:
        """The command, where an interface is off: the refusal tells which."""
        found = _OFF.search(self.said)
        return f"gcloud services enable {found['name']}" if found else ""
