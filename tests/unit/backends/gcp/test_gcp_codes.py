"""Every error class of Google's that the design lists is met as it says."""

from __future__ import annotations

import pytest

from dispatcher.backends.gcp.codes import GcpFailure, Kind, classify, quota_of
from dispatcher.errors import CloudRefused, HostUnreachable, LoginNeeded, NoCapacity, Quota

OFF = (
    "Secret Manager API has not been used in project 1 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/secretmanager.googleapis.com/overview?project=1 then retry."
)
REGIONAL = "Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 0.0 in region us-central1."
OS_LOGIN = "Constraint constraints/compute.requireOsLogin violated for project p."
GLOBAL = "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."


@pytest.mark.parametrize(
    ("code", "said", "status", "kind"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "", 503, Kind.NEXT_ZONE),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "", 503, Kind.NEXT_ZONE),
        ("QUOTA_EXCEEDED", REGIONAL, 403, Kind.NEXT_REGION),
        ("quotaExceeded", REGIONAL, 403, Kind.NEXT_REGION),
        ("QUOTA_EXCEEDED", GLOBAL, 403, Kind.NOWHERE),
        ("quotaExceeded", GLOBAL, 403, Kind.NOWHERE),
        ("tooManyRequests", "", 429, Kind.AGAIN),
        ("429", "", 429, Kind.AGAIN),
        ("rateLimitExceeded", "", 403, Kind.AGAIN),
        ("internalError", "", 500, Kind.AGAIN),
        ("502", "", 502, Kind.AGAIN),
        ("backendError", "", 503, Kind.AGAIN),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", "", 429, Kind.AGAIN),
        ("alreadyExists", "", 409, Kind.TAKEN),
        ("RESOURCE_ALREADY_EXISTS", "", 409, Kind.TAKEN),
        ("notFound", "", 404, Kind.ABSENT),
        ("RESOURCE_NOT_FOUND", "", 404, Kind.ABSENT),
        ("NOT_FOUND", "", 404, Kind.ABSENT),
        ("ALREADY_EXISTS", "", 409, Kind.TAKEN),
        ("RESOURCE_EXHAUSTED", "", 429, Kind.AGAIN),
        ("PERMISSION_DENIED", "", 403, Kind.USER),
        ("authError", "", 401, Kind.CREDENTIALS),
        ("unheardOf", "", 401, Kind.CREDENTIALS),
        ("forbidden", "", 403, Kind.USER),
        ("accessNotConfigured", "", 403, Kind.USER),
        ("SERVICE_DISABLED", "", 403, Kind.USER),
        ("BILLING_DISABLED", "", 403, Kind.USER),
        ("invalid", "", 400, Kind.USER),
        ("unheardOf", "", 400, Kind.USER),
    ],
)
def test_gcp_every_code_of_the_design_has_its_class(code, said, status, kind):
    assert kind is classify(code, said, status)


@pytest.mark.parametrize(
    ("code", "said", "error", "fix"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", "", NoCapacity, ""),
        ("QUOTA_EXCEEDED", REGIONAL, Quota, "iam-admin/quotas"),
        ("QUOTA_EXCEEDED", GLOBAL, Quota, "GPUS_ALL_REGIONS"),
        ("authError", "", LoginNeeded, "gcloud auth application-default login"),
        ("ClockOff", "", LoginNeeded, "set-ntp"),
        ("SERVICE_DISABLED", "", CloudRefused, "gcloud services enable compute.googleapis.com"),
        ("PERMISSION_DENIED", OFF, CloudRefused, "gcloud services enable secretmanager.googleapis.com"),
        ("accessNotConfigured", OFF, CloudRefused, "gcloud services enable secretmanager.googleapis.com"),
        ("BILLING_DISABLED", "", CloudRefused, "billing"),
        ("forbidden", "", CloudRefused, "mlrun setup gcp"),
        ("conditionNotMet", OS_LOGIN, CloudRefused, "without that policy"),
        ("ConnectionFailed", "", HostUnreachable, "status.cloud.google.com"),
    ],
)
def test_gcp_every_class_is_an_error_of_ours_with_the_next_step(code, said, error, fix):
    told = GcpFailure(code, said, "a machine", place="us-central1-a").told()
    assert (error, True) == (type(told), fix in told.fix)


def test_gcp_only_what_may_have_taken_effect_is_in_doubt():
    doubtful = [GcpFailure(code, "", "x", status=status) for code, status in (("ConnectionFailed", 0), ("backendError", 503))]
    certain = [GcpFailure("rateLimitExceeded", "", "x"), GcpFailure("429", "", "x", status=429), GcpFailure("invalid", "", "x")]
    certain.append(GcpFailure("NotConnected", "", "x", sent=False))
    assert ([True, True], [False] * 4) == ([one.ambiguous for one in doubtful], [one.ambiguous for one in certain])


def test_gcp_the_quota_and_its_limit_are_read_from_the_refusal():
    assert (("NVIDIA_T4_GPUS", 0.0), None) == (quota_of(REGIONAL), quota_of("no such thing"))
