"""The lab's EC2 on paper: its hosts are written down, its time is moved by whoever sleeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import cache

import pytest
from botocore.loaders import Loader, create_loader

from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label, new_run_id
from dispatcher.jobfile.settings import Aws
from tests.lab.clock import PaperClock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

REGIONS = ("us-east-1", "eu-west-1")


class SleepersClock:
    """The product's clock on the lab's time: who sleeps moves it."""

    def __init__(self, paper: PaperClock) -> None:
        self.paper = paper

    def now(self) -> float:
        return self.paper.now()

    def monotonic(self) -> float:
        return self.paper.now()

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self.paper.advance(max(0.0, seconds))
        return cancel is not None and cancel.is_set()


@pytest.fixture(autouse=True)
def one_loader(monkeypatch) -> None:
    """AWS's description of itself is read from disk once, and not for every test."""
    monkeypatch.setattr("botocore.session.create_loader", loader)


@cache
def loader(_paths: object = None) -> Loader:
    return create_loader()


@pytest.fixture
def time() -> PaperClock:
    return PaperClock()


@pytest.fixture
def ledger(time) -> Ledger:
    return Ledger(time)


@pytest.fixture
def hosts(time) -> PaperHosts:
    return PaperHosts(time)


@pytest.fixture
def ec2(time, ledger, hosts, monkeypatch) -> Iterator[Ec2]:
    """A lab; what it says against its clients fails the test."""
    cloud = Ec2(hosts, ledger, Faults(), time)
    for name, value in cloud.exports().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISPATCHER_CALLER_IP", "198.18.0.1")
    yield cloud
    violations = list(cloud.violations)
    cloud.close()
    assert [] == violations


@pytest.fixture
def settings() -> Aws:
    return Aws(regions=REGIONS)


@pytest.fixture
def clock(time) -> SleepersClock:
    return SleepersClock(time)


@pytest.fixture
def backend(ec2, settings, clock, tmp_path) -> AwsBackend:
    return AwsBackend(settings, runs=tmp_path / "runs", clock=clock)


@pytest.fixture
def offer() -> Offer:
    return Offer(
        where="aws", machine="t3.large", device="cpu", region="us-east-1", zone="us-east-1a", market="on-demand",
        vcpus=2, cores=1, ram_gib=8, price_per_hour=0.1,
    )  # fmt: skip


@pytest.fixture
def label() -> Label:
    return Label(new_run_id())


def keep_disks(ec2: Ec2) -> None:
    """Somebody has disks outlive their machines."""
    for region in ec2.world.regions.values():
        for volume in region.volumes.values():
            volume.with_instance = False
