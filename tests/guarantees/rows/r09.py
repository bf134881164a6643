"""R9: every listed error code of both clouds is met as its class says, by launches in the lab."""

from dataclasses import replace

from tests.guarantees.row import Row, Size
from tests.guarantees.sim.inside import LAUNCH, Inside, inside

TARGET = "error taxonomy: every listed code, both clouds: right class in 100 %; the launch loop never repeats a user error"
ELSEWHERE = {"aws": "eu-west-1", "gcp": "europe-west4"}
AGAIN, ZONE, REGION, STOP = "again", "next zone", "next region", "stop"
CODES = {
    "aws": {
        AGAIN: (
            "RequestLimitExceeded", "Throttling", "ThrottlingException", "EC2ThrottledException", "Unavailable",
            "ServiceUnavailable", "InternalError", "InternalFailure", "ServerInternal", "InvalidGroup.NotFound",
            "InvalidInstanceID.NotFound", "RequestExpired", "SignatureDoesNotMatch",
        ),
        ZONE: (
            "InsufficientInstanceCapacity", "Unsupported", "UnfulfillableCapacity", "InsufficientFreeAddressesInSubnet",
            "SpotMaxPriceTooLow", "Server.InsufficientInstanceCapacity", "ReservationCapacityExceeded",
            "IdempotentInstanceTerminated",
        ),
        REGION: ("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "MaxFleetCountExceeded"),
        STOP: (
            "PendingVerification", "Blocked", "UnauthorizedOperation", "AuthFailure", "OptInRequired", "InvalidAMIID.NotFound",
            "InvalidAMIID.Malformed", "InvalidParameterValue", "InvalidParameterCombination", "MissingParameter",
            "InvalidKeyPair.NotFound", "InvalidSubnetID.NotFound", "VPCIdNotSpecified", "ExpiredToken", "InvalidClientTokenId",
            "IdempotentParameterMismatch",
        ),
    },
    "gcp": {
        AGAIN: (
            "tooManyRequests", "rateLimitExceeded", "internalError", "badGateway", "backendError",
            "RESOURCE_OPERATION_RATE_EXCEEDED",
        ),
        ZONE: ("ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"),
        REGION: ("QUOTA_EXCEEDED", "quotaExceeded"),
        STOP: (
            "authError", "forbidden", "accessNotConfigured", "BILLING_DISABLED", "RESOURCE_NOT_FOUND", "notFound", "invalid",
            "GPUS_ALL_REGIONS", "alreadyExists",
        ),
    },
}  # fmt: skip
SAID = {"GPUS_ALL_REGIONS": ("QUOTA_EXCEEDED", "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.")}
STATUS = {"authError": 401, "accessNotConfigured": 403, "notFound": 404, "alreadyExists": 409}


def measure(size: Size = Size.WHOLE) -> Row:
    wrong, count = [], 0
    for cloud, classes in CODES.items():
        with inside(cloud) as here:
            for kind, codes in classes.items():
                for code in codes:
                    count += 1
                    if trouble := met(here, code, kind):
                        wrong.append(f"{cloud} {code} ({kind}): {trouble}")
    return Row("R9", TARGET, "; ".join([f"{count - len(wrong)} of {count} codes", *wrong[:4]]), not wrong)


def met(here: Inside, code: str, kind: str) -> str:
    """What went otherwise than the class of this code says; "" where nothing did."""
    here.reset()
    here.world.computers.seconds = 30.0
    cloud = here.world.cloud
    asked, words = SAID.get(code, (code, ""))
    here.world.faults.add(LAUNCH[cloud], code=asked, message=words, status=STATUS.get(code, 0), n=-1 if kind == STOP else 1)
    first = replace(here.offer, zone=None)
    run = here.run([first, replace(first, region=ELSEWHERE[cloud])])
    places = [(one.region, one.offer["zone"]) for one in run.attempts]
    calls = here.world.ledger.count(LAUNCH[cloud])
    here.world.faults.clear()
    if here.world.left() or run.state != "finished":
        return f"{run.state}, left {here.world.left()}"
    regions, zones = [place[0] for place in places], {place[1] for place in places}
    right = {
        AGAIN: (len(places), calls, run.exit_code) == (1, 2, 7),
        ZONE: (len(places), calls, run.exit_code, len(set(regions)), len(zones)) == (2, 2, 7, 1, 2),
        REGION: (calls, run.exit_code, regions) == (2, 7, [first.region, ELSEWHERE[cloud]]),
        STOP: calls == 1 and run.exit_code not in (0, 7),
    }[kind]
    return "" if right else f"{calls} requests, in {places}, exit code {run.exit_code}: {here.warnings()[:120]}"
