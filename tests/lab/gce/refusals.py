"""How Compute Engine says no: error bodies of requests and of operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HELP = {
    "help": {
        "links": [
            {"description": "Troubleshooting documentation", "url": "https://cloud.google.com/compute/docs/resource-error"}
        ]
    }
}


class Refused(Exception):
    """A request answered with an error: its HTTP status, Google's reason, and words."""

    def __init__(self, status: int, reason: str, message: str, *, domain: str = "global", details: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.domain, self.details = status, reason, message, domain, tuple(details)

    @property
    def body(self) -> dict[str, Any]:
        one = {"message": self.message, "domain": self.domain, "reason": self.reason}
        error = {"code": self.status, "message": self.message, "errors": [one]}
        return {"error": {**error, "details": list(self.details)} if self.details else error}

    @property
    def plain_body(self) -> dict[str, Any]:
        """As Google's newer interfaces say it: a status in capitals, and no list of reasons."""
        status = STATUSES.get(self.status, "INTERNAL")
        return {"error": {"code": self.status, "message": self.message, "status": status}}


STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def not_found(resource: str) -> Refused:
    return Refused(404, "notFound", f"The resource '{resource}' was not found")


def conflict(resource: str) -> Refused:
    return Refused(409, "alreadyExists", f"The resource '{resource}' already exists")


def invalid(field: str, value: Any, why: str) -> Refused:
    return Refused(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def not_permitted(permission: str, resource: str) -> Refused:
    return Refused(403, "forbidden", f"Required '{permission}' permission for '{resource}'")


def disabled(service: str, project: str) -> Refused:
    """An interface that nobody has switched on in this project."""
    title = "Compute Engine API" if service.startswith("compute") else "API"
    text = (
        f"{title} has not been used in project {project} before or it is disabled. Enable it by visiting "
        f"https://console.developers.google.com/apis/api/{service}/overview?project={project} then retry."
    )
    return Refused(
        403, "accessNotConfigured", text, domain="usageLimits", details=[_info("SERVICE_DISABLED", {"service": service})]
    )


def no_billing(project: str) -> Refused:
    text = f"This API method requires billing to be enabled. Please enable billing on project #{project}."
    return Refused(403, "forbidden", text, details=[_info("BILLING_DISABLED", {"consumer": f"projects/{project}"})])


def expired() -> Refused:
    wanted = "Expected OAuth 2 access token, login cookie or other valid authentication credential."
    return Refused(401, "authError", f"Request had invalid authentication credentials. {wanted}")


def over_quota_at_once(metric: str, limit: float, where: str) -> Refused:
    return Refused(403, "quotaExceeded", f"Quota '{metric}' exceeded.  Limit: {limit} {where}.", domain="usageLimits")


INJECTED = {
    "rateLimitExceeded": (403, "usageLimits", "Rate Limit Exceeded"),
    "quotaExceeded": (403, "usageLimits", "Quota exceeded"),
    "tooManyRequests": (429, "global", "Too many requests"),
    "backendError": (503, "global", "Service is currently unavailable. Please try again."),
    "internalError": (500, "global", "Internal error"),
    "badGateway": (502, "global", "Bad gateway"),
    "authError": (401, "global", "Request had invalid authentication credentials."),
    "forbidden": (403, "global", "The caller does not have permission"),
    "resourceNotReady": (400, "global", "The resource is not ready"),
}


def injected(code: str) -> Refused:
    """An error asked for by a test: by Google's reason, or by a plain HTTP status."""
    if code.isdigit():
        return Refused(int(code), "backendError", f"Injected error {code}")
    status, domain, words = INJECTED.get(code, (400, "global", f"Injected error {code}"))
    return Refused(status, code, words, domain=domain)


def stockout(
    project: str, zone: str, machine: str, *, attachment: str = "", others: Sequence[str] = (), details: bool = True
) -> dict[str, Any]:
    """The error of an operation in a zone that has no such machine left."""
    elsewhere = f"the {', '.join(others)} zone(s), which currently has capacity to accommodate your request"
    advice = f" Consider trying your request in {elsewhere}." if others else ""
    words = (
        f"A {machine} VM instance is currently unavailable in the {zone} zone.{advice} Alternatively, you can try again later."
    )
    meta = {"attachment": attachment, "vmType": machine, "zone": zone, "zonesAvailable": ",".join(others)}
    info = {"errorInfo": {"reason": "resource_availability", "domain": "compute.googleapis.com", "metadatas": meta}}
    end = "  '(resource type:compute)'." if details else "  Try a different zone, or try again later."
    place = f"The zone 'projects/{project}/zones/{zone}'"
    return {
        "code": "ZONE_RESOURCE_POOL_EXHAUSTED" + ("_WITH_DETAILS" if details else ""),
        "message": f"{place} does not have enough resources available to fulfill the request.{end}",
        "errorDetails": [HELP, {"localizedMessage": {"locale": "en-US", "message": words}}, info],
    }


def over_quota(metric: str, limit: float, region: str | None) -> dict[str, Any]:
    """The error of an operation that would use more than the project may."""
    place = f"in region {region}" if region else "globally"
    name = metric.replace("_", "-") + ("-per-project-region" if region else "-per-project")
    info = {"metricName": f"compute.googleapis.com/{metric.lower()}", "limitName": name, "limit": limit}
    return {
        "code": "QUOTA_EXCEEDED",
        "message": f"Quota '{metric}' exceeded.  Limit: {limit} {place}.",
        "errorDetails": [{"quotaInfo": {**info, "dimensions": {"region": region or "global"}}}],
    }


OPERATION_STATUS: Mapping[str, tuple[int, str]] = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": (503, "SERVICE UNAVAILABLE"),
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": (503, "SERVICE UNAVAILABLE"),
    "QUOTA_EXCEEDED": (403, "FORBIDDEN"),
    "RESOURCE_OPERATION_RATE_EXCEEDED": (429, "TOO MANY REQUESTS"),
    "RESOURCE_ALREADY_EXISTS": (409, "CONFLICT"),
    "RESOURCE_NOT_FOUND": (404, "NOT FOUND"),
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": (400, "BAD REQUEST"),
}


def _info(reason: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": dict(metadata),
    }
