"""Every error class of AWS's that we know, code by code."""

from __future__ import annotations

import pytest

from dispatcher.backends.aws.codes import AwsFailure, Kind, classify
from dispatcher.errors import CloudRefused, HostUnreachable, LoginNeeded, NoCapacity, Quota

KNOWN = {
    Kind.AGAIN: (
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException", "Unavailable",
        "ServiceUnavailable", "InternalError", "InternalFailure", "ServerInternal", "ConnectionFailed", "NotConnected",
    ),
    Kind.SETTLING: ("InvalidGroup.NotFound", "InvalidInstanceID.NotFound"),
    Kind.NEXT_ZONE: (
        "InsufficientInstanceCapacity", "Unsupported", "UnfulfillableCapacity", "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow", "Server.InsufficientInstanceCapacity", "ReservationCapacityExceeded",
    ),
    Kind.NEXT_REGION: (
        "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "MaxFleetCountExceeded",
    ),
    Kind.WAIT: ("PendingVerification", "Blocked"),
    Kind.USER: (
        "UnauthorizedOperation", "AuthFailure", "OptInRequired", "InvalidAMIID.NotFound", "InvalidAMIID.Malformed",
        "InvalidParameterValue", "InvalidParameterCombination", "MissingParameter", "InvalidKeyPair.NotFound",
        "InvalidSubnetID.NotFound", "VPCIdNotSpecified", "SomethingNobodyKnows",
    ),
    Kind.CLOCK: ("RequestExpired", "SignatureDoesNotMatch"),
    Kind.CREDENTIALS: ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "NoCredentials"),
    Kind.MISMATCH: ("IdempotentParameterMismatch",),
    Kind.DEAD: ("IdempotentInstanceTerminated",),
}  # fmt: skip
ERRORS = {
    Kind.SETTLING: CloudRefused, Kind.NEXT_ZONE: NoCapacity, Kind.NEXT_REGION: Quota, Kind.WAIT: CloudRefused,
    Kind.USER: CloudRefused, Kind.CLOCK: CloudRefused, Kind.CREDENTIALS: LoginNeeded, Kind.MISMATCH: CloudRefused,
    Kind.DEAD: NoCapacity, Kind.AGAIN: CloudRefused,
}  # fmt: skip
ALL = [(code, kind) for kind, codes in KNOWN.items() for code in codes]
WITH_FIX = {
    "UnauthorizedOperation", "AuthFailure", "OptInRequired", "InvalidSubnetID.NotFound", "VPCIdNotSpecified",
    "PendingVerification", "Blocked", "VcpuLimitExceeded", "ExpiredToken", "RequestExpired", "IdempotentParameterMismatch",
    "NoCredentials", "RequestLimitExceeded", "InvalidAMIID.NotFound",
}  # fmt: skip


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_every_code_has_its_class(code, kind):
    assert kind is classify(code, 400)


@pytest.mark.parametrize(("code", "kind"), ALL)
def test_every_code_is_an_error_of_ours_that_names_it(code, kind):
    told = AwsFailure(code, "AWS says so.", "a machine", status=400, place="us-east-1").told()
    expected = HostUnreachable if code in ("ConnectionFailed", "NotConnected") else ERRORS[kind]
    assert (expected, True) == (type(told), "AWS says so" in told.message)
    assert "a machine" in told.message


@pytest.mark.parametrize("code", sorted(WITH_FIX))
def test_what_a_user_can_mend_has_a_fix(code):
    assert AwsFailure(code, "", "a machine").told().fix


def test_trouble_of_the_server_that_nobody_knows_is_worth_another_try():
    assert (Kind.AGAIN, Kind.USER) == (classify("Odd", 503), classify("Odd", 400))


def test_no_capacity_is_no_trouble_of_the_server_although_aws_answers_500():
    assert Kind.NEXT_ZONE is classify("InsufficientInstanceCapacity", 500)


@pytest.mark.parametrize(
    ("code", "sent", "ambiguous"),
    [
        ("ConnectionFailed", True, True),
        ("NotConnected", False, False),
        ("InternalError", True, True),
        ("Unavailable", True, True),
        ("RequestLimitExceeded", True, False),
        ("Throttling", True, False),
        ("InsufficientInstanceCapacity", True, False),
        ("UnauthorizedOperation", True, False),
    ],
)
def test_only_what_may_have_taken_effect_is_in_doubt(code, sent, ambiguous):
    assert ambiguous is AwsFailure(code, "", "a machine", sent=sent).ambiguous
