"""What AWS's error codes mean for us."""

from __future__ import annotations

from enum import Enum

from dispatcher.backends.cloud.codes import Codes, Failure
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


KINDS = Codes[Kind]({
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
})  # fmt: skip

FIXES = Codes[str]({
    "mlrun doctor   # lists what this account may not do; the policy it needs: mlrun setup aws": (
        "UnauthorizedOperation", "AccessDenied*",
    ),
    "aws sts get-caller-identity   # and whether this region is enabled for the account": ("AuthFailure",),
    "Enable the region or the service for this account, or name other regions: aws.regions in config.yaml": ("OptInRequired",),
    "mlrun doctor   # the public image was replaced; try again": ("InvalidAMIID.*",),
    "Correct aws.subnet in config.yaml (mlrun config show)": ("InvalidSubnetID.NotFound", "InvalidSubnet.*"),
    "aws ec2 create-default-vpc, or name aws.subnet in config.yaml": ("VPCIdNotSpecified",),
    "AWS is looking at this account, usually for minutes, at most four hours. Try again then": ("PendingVerification",),
    "AWS has blocked this account: see the mail from AWS, or open a support case": ("Blocked",),
    "mlrun doctor   # prints the command that asks for more": (
        "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded",
    ),
    "Often the key that encrypts volumes: aws ec2 get-ebs-default-kms-key-id": ("Client.InternalError",),
})  # fmt: skip
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
    return KINDS.find(code) or (Kind.AGAIN if status >= 500 else Kind.USER)


class AwsFailure(Failure):
    """An answer of AWS's that is no success, or no answer."""

    @property
    def kind(self) -> Kind:
        """What to do about it."""
        return classify(self.code, self.status)

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have taken effect all the same."""
        throttled = self.code.startswith(("Throttling", "RequestLimit", "EC2Throttled"))
        return self.sent and self.kind is Kind.AGAIN and not throttled

    def told(self) -> MlrunError:
        """The error for people, in our tree."""
        said = self.said.rstrip(".")
        text = f"AWS{self.where} refused {self.doing}: {said} ({self.code})"
        fix = FIXES.find(self.code) or _BY_KIND.get(self.kind, "")
        match self.kind:
            case Kind.NEXT_ZONE | Kind.DEAD:
                return NoCapacity(text, fix=fix)
            case Kind.NEXT_REGION:
                return Quota(text, fix=fix)
            case Kind.CREDENTIALS:
                return LoginNeeded(f"AWS does not know who asks for {self.doing}: {said} ({self.code})", fix=fix)
            case Kind.AGAIN if self.code in ("ConnectionFailed", "NotConnected"):
                return HostUnreachable(f"AWS{self.where} does not answer {self.doing}: {said}", fix=fix)
            case _:
                return CloudRefused(text, fix=fix)
