"""What tests of the lab's EC2 stand on: hosts on paper, a clock that they move, clients that do not retry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.lab.clock import PaperClock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
DEEP = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
ZONE = "us-east-1a"
HOUR = 3600.0
PASSES = "the assertions of a lab must be able to fail"


SESSION = boto3.Session()


@dataclass
class Lab:
    clock: PaperClock
    hosts: PaperHosts
    ledger: Ledger
    faults: Faults
    ec2: Ec2
    clients: dict[Any, Any] = field(default_factory=dict)

    def client(self, service: str = "ec2", region: str = "us-east-1", keys: dict[str, str] | None = None, **config: Any) -> Any:
        given = {**self.ec2.exports(), **(keys or {})}
        name = (service, region, given["AWS_ACCESS_KEY_ID"], *sorted(config.items()))
        if name not in self.clients:
            self.clients[name] = SESSION.client(
                service,
                region_name=region,
                endpoint_url=given["AWS_ENDPOINT_URL"],
                aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
                aws_session_token=given.get("AWS_SESSION_TOKEN"),
                config=Config(retries={"total_max_attempts": 1}, **config),
            )
        return self.clients[name]

    def image(self, name: str = UBUNTU, region: str = "us-east-1") -> str:
        return str(self.client("ssm", region).get_parameter(Name=name)["Parameter"]["Value"])

    def request(self, **changes: Any) -> dict[str, Any]:
        usual = {"ImageId": self.image(), "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "ClientToken": "token-1"}
        return {**usual, "Placement": {"AvailabilityZone": ZONE}, **changes}

    def launch(self, **changes: Any) -> str:
        return str(self.client().run_instances(**self.request(**changes))["Instances"][0]["InstanceId"])

    def state(self, name: str) -> str:
        return str(self.instance(name)["State"]["Name"])

    def instance(self, name: str) -> dict[str, Any]:
        return dict(self.client().describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0])

    def set(self, **values: Any) -> None:
        self.ec2.control("set", values)


@pytest.fixture(scope="module", name="started")
def running() -> Iterator[Lab]:
    clock = PaperClock()
    ledger, hosts, faults = Ledger(clock), PaperHosts(clock), Faults()
    ec2 = Ec2(hosts, ledger, faults, clock)
    kept = Lab(clock, hosts, ledger, faults, ec2)
    yield kept
    for client in kept.clients.values():
        client.close()
    ec2.close()


@pytest.fixture(name="lab")
def fresh(started: Lab) -> Iterator[Lab]:
    started.ec2.reset()
    started.ledger.reset()
    yield started
    assert [] == started.ec2.violations
    started.ec2.reset()
    assert ([], {}) == (started.ledger.open(), started.hosts.hosts)


def refusal(call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])


def metadata(lab: Lab, name: str, path: str, **headers: str) -> bytes:
    ask = lab.hosts.hosts[name].spec.metadata
    token = ask("PUT", "/latest/api/token", {"x-aws-ec2-metadata-token-ttl-seconds": "60"}, b"").body.decode()
    reply = ask("GET", path, {"x-aws-ec2-metadata-token": token}, b"")
    return reply.body if reply.status == 200 else str(reply.status).encode()
