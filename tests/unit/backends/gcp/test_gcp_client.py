"""What Google's libraries raise becomes a failure with a code; what is not theirs stays a bug."""

from __future__ import annotations

import pytest
import requests.exceptions as lost
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import compute_v1

from dispatcher.backends.gcp.client import Account, _failure, operation_failure
from dispatcher.errors import LoginNeeded, UsageError


def refused(kind, reason="", info=""):
    details = (
        [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": info, "domain": "googleapis.com"}] if info else []
    )
    payload = {"error": {"message": "no", "errors": [{"reason": reason}], "details": details}}
    return api.format_http_response_error(type("Said", (), {"status_code": kind})(), "GET", "http://x/", payload)


@pytest.mark.parametrize(
    ("error", "code", "sent"),
    [
        (refused(403, "quotaExceeded"), "quotaExceeded", True),
        (refused(403, "accessNotConfigured", "SERVICE_DISABLED"), "SERVICE_DISABLED", True),
        (refused(503), "503", True),
        (lost.ReadTimeout("late"), "ConnectionFailed", True),
        (lost.ConnectionError("reset"), "ConnectionFailed", True),
        (lost.ConnectTimeout("nobody"), "NotConnected", False),
        (auth.DefaultCredentialsError("none"), "NoCredentials", False),
        (auth.RefreshError("invalid_grant: Token has been expired or revoked."), "ExpiredLogin", False),
        (auth.RefreshError("invalid_grant: Invalid JWT: Token must be a short-lived token"), "ClockOff", False),
        (auth.TransportError("no network"), "NotConnected", False),
        (api.RetryError("gave up", refused(429, "tooManyRequests")), "tooManyRequests", True),
    ],
)
def test_gcp_each_error_of_the_libraries_is_told_by_its_code(error, code, sent):
    found = _failure(error, "x", "")
    assert (code, sent) == (found.code, found.sent)


def test_gcp_the_message_comes_without_the_request():
    assert "no" == _failure(refused(403, "forbidden"), "x", "").said


def test_gcp_a_bug_of_ours_is_not_taken_for_an_answer():
    with pytest.raises(KeyError):
        _failure(KeyError("x"), "x", "")


def test_gcp_an_operations_error_names_the_zones_that_have_room():
    info = {"error_info": {"metadatas": {"zonesAvailable": "us-central1-a, us-central1-f"}}}
    one = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "message": "full", "error_details": [{}, info]}
    failed = compute_v1.Operation({"error": {"errors": [one]}, "http_error_status_code": 503})
    found = operation_failure(failed, "a machine", "us-central1-b")
    assert (("us-central1-a", "us-central1-f"), 503) == (found.others, found.status)
    assert operation_failure(compute_v1.Operation(name="o"), "a machine", "") is None


def test_gcp_a_stand_in_is_on_this_computer_and_sees_no_credentials():
    with pytest.raises(UsageError, match="not on this computer"):
        Account("p", {"DISPATCHER_GCP_ENDPOINT": "http://203.0.113.7:80"}).client("Instances")
    here = Account("p", {"DISPATCHER_GCP_ENDPOINT": "http://127.0.0.1:9"})
    assert (True, "lab", True) == (here.lab, here.owner, here.has_credentials())


def test_gcp_the_project_is_the_settings_else_the_environments():
    named = Account(None, {"DISPATCHER_GCP_ENDPOINT": "http://127.0.0.1:9", "GOOGLE_CLOUD_PROJECT": "env"})
    assert ("env", "set") == (named.project, Account("set", {"GOOGLE_CLOUD_PROJECT": "env"}).project)
    with pytest.raises(LoginNeeded, match="project"):
        _ = Account(None, {"DISPATCHER_GCP_ENDPOINT": "http://127.0.0.1:9"}).project
