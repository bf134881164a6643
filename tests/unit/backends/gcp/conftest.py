"""A project on paper with what nights need, and nights in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dispatcher.backends.gcp import nights_roles
from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.backends.gcp.nights_bucket import Bucket
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import new_run_id
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.job import JobSpec
from dispatcher.jobfile.settings import Gcp
from dispatcher.overnight.bundle import pack
from dispatcher.overnight.night import Night
from tests.lab.clock import PaperClock
from tests.lab.faults import Faults
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts
from tests.unit.backends.aws.conftest import SleepersClock

REGION = "us-central1"
HOUR = 3600.0
DAY = 24 * HOUR
OFFER = Offer("gcp", "e2-standard-2", "cpu", region=REGION, market="on-demand", vcpus=2, ram_gib=8, price_per_hour=0.067)


@pytest.fixture
def time() -> PaperClock:
    return PaperClock()


@pytest.fixture
def ledger(time) -> Ledger:
    return Ledger(time)


@pytest.fixture
def gce(time, ledger, monkeypatch) -> Iterator[Gce]:
    """A lab; what it says against its clients, and what it bills at the end, fails the test."""
    cloud = Gce(PaperHosts(time), ledger, Faults(), time)
    for name, value in (cloud.exports() | {"DISPATCHER_CALLER_IP": "198.51.100.7"}).items():
        monkeypatch.setenv(name, value)
    yield cloud
    wrong, left = list(cloud.violations), cloud.left()
    cloud.close()
    assert ([], []) == (wrong, left)


@pytest.fixture
def backend(gce, time, tmp_path) -> GcpBackend:
    return GcpBackend(Gcp(project=PROJECT), runs=tmp_path / "runs", clock=SleepersClock(time))


@pytest.fixture
def ready(backend) -> GcpBackend:
    """The project as `mlrun setup gcp --overnight` leaves it."""
    nights_roles.make(backend.account)
    Bucket(backend.account, REGION).make()
    return backend


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "train.py").write_text("print('hello')\n")
    tree = Tree(tmp_path / "work", (Entry("train.py", 15),))
    spec = JobSpec("mlrun-0000000000-1", "python train.py", "/var/lib/mlrun/runs/mlrun-0000000000-1.work")
    return pack(tmp_path / "bundle.tar.gz", tree, spec, ["out/"])


@pytest.fixture
def armed(ready, bundle, time, tmp_path):
    def make(after=HOUR, by=ready, others=(), **changes):
        night = Night(new_run_id(), "trains", "gcp", REGION, time.now() + after, "Europe/Rome", made=time.now(), **changes)
        ladder = [replace(OFFER, market=night.market), *others]
        return by.nights.arm(by.nights.prepare(night, ladder), bundle, ladder, tmp_path / "runs" / night.id)

    return make


def living(gce) -> list[str]:
    return [one["zone"] for one in gce.control("instances", {})]


def end(gce) -> None:
    """Machines end themselves, and take what started them away."""
    for machine in list(gce.power.known.values()):
        gce.power.delete(machine)
    gce.scheduler.clear()
