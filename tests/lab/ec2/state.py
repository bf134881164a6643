"""Everything the lab's AWS account holds."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.clock import Clock
from tests.lab.ec2 import tables
from tests.lab.ec2.errors import AwsError
from tests.lab.seams import Bill, Hosts, Metadata, Reply

ACCOUNT = "123456789012"
LIVE = ("pending", "running", "stopping", "stopped")
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass
class Settings:
    """How this AWS behaves; `control("set", {"lag": 5})`. Seconds, unless said.

    lag: what was made is not found so long; pending: launch to running; address: running to a public address; ending: the
    shortest shutting-down; console: boot to its console being readable without Latest; remembered: how long terminated
    instances are listed; notice: of a preemption; skew: how far AWS's clock is ahead; retry: until a schedule that failed fires
    again. stillborn: the StateReason with which
    launches end instead of running. capacity: [{"zone": "us-east-1?", "type": "g4dn.*", "market": "*", "most": 0}] alive at
    once. quota: {code or "code@region": vCPUs}. price: {"g4dn.xlarge" or "spot:g4dn.xlarge", with @region or not: USD}.
    absent: image parameters not published. host: what HostSpec is given beside, by pattern of the instance type.
    """

    lag: float = 0.0
    pending: float = 0.3
    address: float = 0.0
    ending: float = 0.0
    console: float = 0.0
    remembered: float = 3600.0
    notice: float = 120.0
    stillborn: str = ""
    skew: float = 0.0
    default_network: bool = True
    page: int = 1000
    retry: float = 60.0
    capacity: list[dict[str, Any]] = field(default_factory=list)
    quota: dict[str, float] = field(default_factory=dict)
    price: dict[str, float] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    host: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Rule:
    """One ingress or egress rule of a group."""

    id: str
    protocol: str
    first: int
    last: int
    cidr: str
    egress: bool = False
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    def same(self, other: Rule) -> bool:
        mine = (self.protocol, self.first, self.last, self.cidr, self.egress)
        return mine == (other.protocol, other.first, other.last, other.cidr, other.egress)


@dataclass
class Group:
    """A security group."""

    id: str
    name: str
    vpc: str
    description: str
    tags: dict[str, str] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Volume:
    """An EBS volume."""

    id: str
    zone: str
    gib: int
    kind: str
    made: float
    encrypted: bool = False
    with_instance: bool = True
    instance: str | None = None
    device: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    iops: int | None = None
    throughput: int | None = None


@dataclass
class Instance:
    """An instance, and what became of it."""

    id: str
    region: str
    zone: str
    kind: str
    image: str
    subnet: str
    vpc: str
    groups: list[str]
    launched: float
    visible: float
    private: str
    interface: str
    market: str = "on-demand"
    token: str = ""
    state: str = "pending"
    address: str = ""
    shown: bool = False
    key: str | None = None
    user_data: bytes = b""
    on_shutdown: str = "stop"
    profile: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    interface_tags: dict[str, str] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    spot_request: str | None = None
    reason: tuple[str, str] = ("", "")
    transition: str = ""
    protected: bool = False
    public: bool = True
    usd_per_hour: float = 0.0
    running_since: float = 0.0
    ended: float | None = None
    notice: str = ""
    rebalance: str = ""
    visitors: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)
    printed: bytes = b""

    def seen(self, now: float, remembered: float) -> bool:
        """Whether the API shows it."""
        return self.visible <= now and (self.ended is None or now < self.ended + remembered)


@dataclass
class Region:
    """One region's resources, by id."""

    name: str
    instances: dict[str, Instance] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    vpcs: dict[str, dict[str, Any]] = field(default_factory=dict)
    subnets: dict[str, dict[str, Any]] = field(default_factory=dict)
    spot_requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    fleets: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def zones(self) -> tuple[str, ...]:
        return tables.zones(self.name)

    def group(self, wanted: str) -> Group:
        if not wanted.startswith("sg-"):
            raise AwsError("InvalidGroupId.Malformed", f'Invalid id: "{wanted}" (expecting "sg-...")')
        if wanted not in self.groups:
            raise AwsError("InvalidGroup.NotFound", f"The security group '{wanted}' does not exist")
        return self.groups[wanted]


class World:
    """The account, and the hands with which handlers reach hosts, time and bill."""

    def __init__(self, hosts: Hosts, bill: Bill, clock: Clock) -> None:
        self.hosts, self.bill, self.clock = hosts, bill, clock
        self.lock = threading.RLock()
        self.role_keys: Callable[[str, str], dict[str, str]] = lambda profile, instance: {}
        self.url = ""
        self.api: Metadata = lambda method, path, headers, body: Reply(404)
        self.role_of: Callable[[str], str | None] = lambda profile: None
        self.forget()

        self.ids = itertools.count(1)

    def forget(self) -> None:
        """A new account. Ids go on counting, so that nothing old is met again."""
        self.settings = Settings()
        self.regions: dict[str, Region] = {}
        self.parameters: dict[tuple[str, str], str] = {}

    def now(self) -> float:
        return self.clock.now()

    def region(self, name: str) -> Region:
        if name not in tables.REGIONS:
            raise AwsError("AuthFailure")
        if name not in self.regions:
            self.regions[name] = Region(name)
            if self.settings.default_network:
                add_network(self, self.regions[name])
        return self.regions[name]

    def new_id(self, prefix: str) -> str:
        return f"{prefix}-{hashlib.sha256(f'{prefix}{next(self.ids)}'.encode()).hexdigest()[:17]}"

    def instances(self) -> Iterable[Instance]:
        with self.lock:
            return [one for region in self.regions.values() for one in region.instances.values()]

    def instance(self, wanted: str) -> Instance:
        """Wherever it is, however it is."""
        for one in self.instances():
            if one.id == wanted:
                return one
        raise ValueError(f"there is no instance {wanted}")

    def price(self, kind: str, region: str, market: str) -> float:
        name = f"spot:{kind}" if market == "spot" else kind
        for key in (f"{name}@{region}", name):
            if key in self.settings.price:
                return float(self.settings.price[key])
        share = tables.SPOT_SHARE if market == "spot" else 1.0
        return (
            round(self.price(kind, region, "on-demand") * share, 4) if market == "spot" else tables.usd_per_hour(kind, region)
        )

    def quota(self, code: str, region: str) -> float:
        for key in (f"{code}@{region}", code):
            if key in self.settings.quota:
                return float(self.settings.quota[key])
        return float(tables.QUOTAS[code][3])


@dataclass
class Principal:
    """Who calls. `policies` is None for one who may do everything."""

    name: str
    id: str
    arn: str
    secret: str = ""
    session: str | None = None
    policies: list[Mapping[str, Any]] | None = None
    expires: float | None = None


@dataclass
class Context:
    """One request, as its handler sees it. What is put into `after` runs unlocked, before the answer is sent."""

    world: World
    region: Region
    principal: Principal
    parameters: Mapping[str, Any]
    after: list[Callable[[], object]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return self.world.settings

    def now(self) -> float:
        return self.world.now()


def add_network(world: World, region: Region) -> None:
    """A default VPC with a public subnet per zone, as every account has until somebody deletes it."""
    vpc = world.new_id("vpc")
    region.vpcs[vpc] = {"VpcId": vpc, "CidrBlock": "172.31.0.0/16", "IsDefault": True, "State": "available", "OwnerId": ACCOUNT}
    for number, zone in enumerate(region.zones):
        subnet = world.new_id("subnet")
        region.subnets[subnet] = {
            "SubnetId": subnet,
            "VpcId": vpc,
            "AvailabilityZone": zone,
            "CidrBlock": f"172.31.{16 * number}.0/20",
            "DefaultForAz": True,
            "MapPublicIpOnLaunch": True,
            "State": "available",
            "OwnerId": ACCOUNT,
            "AvailableIpAddressCount": 4091,
        }
    group = world.new_id("sg")
    region.groups[group] = Group(group, "default", vpc, "default VPC security group")


def when(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_dict(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Checked as EC2 checks them."""
    made: dict[str, str] = {}
    for tag in tags:
        key, value = tag.get("Key", ""), tag.get("Value", "")
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:"):
            raise AwsError("InvalidParameterValue", f"Tag {key!r} or its value is not valid.")
        if key in made:
            raise AwsError("InvalidParameterValue", f"Duplicate tag key '{key}' specified.")
        made[key] = value
    if len(made) > 50:
        raise AwsError("TagLimitExceeded", "More than 50 tags.")
    return made
