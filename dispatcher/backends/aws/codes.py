"""What AWS's error codes mean for us."""

from __future__ import annotations

from enum import Enum

from dispatcher.errors import CloudRefused, HostUnreachable, LoginNeeded, MlrunError, NoCapacity, Quota


class Kind(Enum):
    """What to do about a refusal."""

    AGAIN = "the same request again, with the same token"
    SETTLING = "again for a while: what was just made is not seen everywhere yet"
    NEXT_ZONE = "another zone"
    NEXT_REGION = "another region or market"
    WAIT = "stop, and tell the user to wait"
    USER = "stop, and tell the user what to change"
    CLOCK = "sign once more"
    CREDENTIALS = "stop: nobody is logged in"
    MISMATCH = "stop: a token was used for something else"
    DEAD = "that launch took effect, and its machine is gone"


_CODES: dict[Kind, tuple[str, ...]] = {
    Kind.AGAIN: (
        "RequestLimitExceeded", "Throttling*", "EC2ThrottledException", "TooManyRequestsException", "Unavailable",
        "ServiceUnavailable", "InternalError", "InternalFailure", "InternalServerError", "ServerInternal", "RequestTimeout*",
        "ConnectionFailed", "NotConnected",
    ),
    Kind.SETTLING: ("InvalidGroup.NotFound", "InvalidInstanceID.NotFound", "InvalidSecurityGroupRuleId.NotFound"),
    Kind.NEXT_ZONE: (
        "InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity", "InsufficientCapacity", "Unsupported",
        "UnfulfillableCapacity", "InsufficientFreeAddressesInSubnet", "SpotMaxPriceTooLow", "ReservationCapacityExceeded",
        "InsufficientHostCapacity", "Server.InternalError", "Server.SpotInstanceTermination",
    ),
    Kind.NEXT_REGION: (
        "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "MaxFleetCountExceeded",
        "VolumeLimitExceeded", "Client.VolumeLimitExceeded", "AddressLimitExceeded",
    ),
    Kind.WAIT: ("PendingVerification", "Blocked"),
    Kind.CLOCK: ("RequestExpired", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    Kind.CREDENTIALS: (
        "ExpiredToken*", "InvalidClientTokenId", "UnrecognizedClientException", "MissingAuthenticationToken",
        "InvalidAccessKeyId", "NoCredentials",
    ),
    Kind.MISMATCH: ("IdempotentParameterMismatch",),
    Kind.DEAD: ("IdempotentInstanceTerminated",),
}  # fmt: skip
_EXACT = {code: kind for kind, codes in _CODES.items() for code in codes if not code.endswith("*")}
_PREFIXES = {code[:-1]: kind for kind, codes in _CODES.items() for code in codes if code.endswith("*")}

_FIXES: dict[str, str] = {
    "UnauthorizedOperation": "mlrun doctor   # lists what this account may not do; the policy it needs: mlrun setup aws",
    "AccessDenied*": "mlrun doctor   # lists what this account may not do; the policy it needs: mlrun setup aws",
    "AuthFailure": "aws sts get-caller-identity   # and whether this region is enabled for the account",
    "OptInRequired": "Enable the region or the service for this account, or name other regions: aws.regions in config.yaml",
    "InvalidAMIID.*": "mlrun doctor   # the public image was replaced; try again",
    "InvalidSubnetID.NotFound": "Correct aws.subnet in config.yaml (mlrun config show)",
    "InvalidSubnet.*": "Correct aws.subnet in config.yaml (mlrun config show)",
    "VPCIdNotSpecified": "aws ec2 create-default-vpc, or name aws.subnet in config.yaml",
    "PendingVerification": "AWS is looking at this account, usually for minutes, at most four hours. Try again then",
    "Blocked": "AWS has blocked this account: see the mail from AWS, or open a support case",
    "VcpuLimitExceeded": "mlrun doctor   # prints the command that asks for more",
    "MaxSpotInstanceCountExceeded": "mlrun doctor   # prints the command that asks for more",
    "InstanceLimitExceeded": "mlrun doctor   # prints the command that asks for more",
    "Client.InternalError": "Often the key that encrypts volumes: aws ec2 get-ebs-default-kms-key-id",
}
_BY_KIND = {
    Kind.CREDENTIALS: "aws sso login, or aws configure",
    Kind.CLOCK: "Set this computer's clock: timedatectl set-ntp true",
    Kind.AGAIN: "Try again in some minutes: https://health.aws.amazon.com",
    Kind.SETTLING: "Try again in some minutes",
    Kind.MISMATCH: "mlrun sweep --check, and please report this",
    Kind.DEAD: "mlrun JOB, again",
}


def classify(code: str, status: int = 0) -> Kind:
    """What to do about this code; a code nobody knows is the server's trouble from 500 on, else the user's."""
    if code in _EXACT:
        return _EXACT[code]
    for prefix, kind in _PREFIXES.items():
        if code.startswith(prefix):
            return kind
    return Kind.AGAIN if status >= 500 else Kind.USER


def fix_for(code: str) -> str:
    """The next thing to do about a code."""
    for known, fix in _FIXES.items():
        if code == known or (known.endswith("*") and code.startswith(known[:-1])):
            return fix
    return _BY_KIND.get(classify(code), "")


class AwsFailure(Exception):
    """An answer of AWS's that is no success, or no answer. `sent` is False where the request certainly had no effect."""

    def __init__(self, code: str, said: str, doing: str, *, status: int = 0, region: str = "", sent: bool = True) -> None:
        super().__init__(f"{code}: {said}")
        self.code, self.said, self.doing, self.status, self.region, self.sent = code, said, doing, status, region, sent
        self.kind = classify(code, status)

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have taken effect all the same."""
        return (
            self.sent and self.kind is Kind.AGAIN and not self.code.startswith(("Throttling", "RequestLimit", "EC2Throttled"))
        )

    def told(self) -> MlrunError:
        """The error for people, in our tree."""
        where = f" in {self.region}" if self.region else ""
        text = f"AWS{where} refused {self.doing}: {self.said.rstrip('.')} ({self.code})"
        fix = fix_for(self.code)
        match self.kind:
            case Kind.NEXT_ZONE | Kind.DEAD:
                return NoCapacity(text, fix=fix)
            case Kind.NEXT_REGION:
                return Quota(text, fix=fix)
            case Kind.CREDENTIALS:
                return LoginNeeded(
                    f"AWS does not know who asks for {self.doing}: {self.said.rstrip('.')} ({self.code})", fix=fix
                )
            case Kind.AGAIN if self.code in ("ConnectionFailed", "NotConnected"):
                return HostUnreachable(f"AWS{where} does not answer {self.doing}: {self.said.rstrip('.')}", fix=fix)
            case _:
                return CloudRefused(text, fix=fix)
