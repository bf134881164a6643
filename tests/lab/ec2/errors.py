"""How AWS refuses: codes, their HTTP status and what it says."""

from __future__ import annotations

STATUS = {
    "RequestLimitExceeded": 503,
    "Throttling": 400,
    "ThrottlingException": 400,
    "EC2ThrottledException": 503,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "InternalError": 500,
    "InternalFailure": 500,
    "ServerInternal": 500,
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InsufficientReservedInstanceCapacity": 500,
    "InsufficientFreeAddressesInSubnet": 400,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "AccessDeniedException": 400,
    "AuthFailure": 401,
    "OptInRequired": 403,
    "DryRunOperation": 412,
    "InvalidClientTokenId": 403,
    "ExpiredToken": 403,
    "MissingAuthenticationToken": 403,
    "PendingVerification": 400,
}

SAID = {
    "RequestLimitExceeded": "Request limit exceeded.",
    "Throttling": "Rate exceeded",
    "InternalError": "An internal error has occurred",
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). "
        "Our system will be working on provisioning additional capacity."
    ),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request "
        "an adjustment to this limit."
    ),
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
    "ExpiredToken": "The security token included in the request is expired",
    "RequestExpired": "Request has expired.",
    "InvalidClientTokenId": "The security token included in the request is invalid.",
    "AuthFailure": "AWS was not able to validate the provided access credentials",
    "UnauthorizedOperation": (
        "You are not authorized to perform this operation. User: {arn} is not authorized to perform: {action} on resource: "
        "{resource} because no identity-based policy allows the {action} action. Encoded authorization failure message: "
        "{cipher}"
    ),
    "AccessDenied": "User: {arn} is not authorized to perform: {action} on resource: {resource}",
    "AccessDeniedException": "User: {arn} is not authorized to perform: {action} on resource: {resource}",
    "DryRunOperation": "Request would have succeeded, but DryRun flag is set.",
    "IdempotentParameterMismatch": "The request uses the same client token as a previous, but non-identical request.",
    "IdempotentInstanceTerminated": "The client token is associated with an instance that has been terminated.",
    "PendingVerification": (
        "Your request for accessing resources in this region is being validated, and you will not be able to launch additional "
        "resources in this region until the validation is complete."
    ),
    "OptInRequired": "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
    "Unsupported": (
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}). Please retry "
        "your request by not specifying an Availability Zone."
    ),
}


class AwsError(Exception):
    """A refusal. Words that its message lacks may be given as keywords."""

    def __init__(self, code: str, message: str = "", *, status: int = 0, **words: object) -> None:
        text = message or SAID.get(code, code)
        super().__init__(text.format_map(_Words(words)) if not message else text)
        self.code = code
        self.status = status or STATUS.get(code, 400)


class _Words(dict):  # type: ignore[type-arg]
    def __missing__(self, key: str) -> str:
        return f"({key})"
