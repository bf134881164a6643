"""The laws of backends, held by Google Cloud: on paper hosts for what needs no login, and on real ones."""

from __future__ import annotations

import pytest

from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label, new_run_id
from dispatcher.hosts.base import Host
from dispatcher.jobfile.settings import Gcp
from tests.contract.contract import BackendContract
from tests.lab.clock import SystemClock
from tests.lab.faults import Faults
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

OFFER = Offer("gcp", "e2-standard-2", "cpu", region="us-central1", market="on-demand", vcpus=2, ram_gib=8, price_per_hour=0.067)


@pytest.fixture
def cloud(monkeypatch):
    """The stand-in on paper hosts. What it was told or told wrongly, and what is left, fails the test."""
    clock = SystemClock()
    ledger = Ledger(clock)
    made = Gce(PaperHosts(clock), ledger, Faults(), clock)
    for name, value in (made.exports() | {"DISPATCHER_CALLER_IP": "198.51.100.7"}).items():
        monkeypatch.setenv(name, value)
    yield made
    wrong, left = list(made.violations), made.left() + [f"costs: {line.kind} {line.name}" for line in ledger.open()]
    made.close()
    clock.close()
    assert ([], []) == (wrong, left)


class GcpLaws(BackendContract):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

    @pytest.fixture
    def break_provision(self, cloud):
        def plan(moment: str) -> None:
            where = "instances.insert" if moment == "before" else "zoneOperations.wait"
            cloud.faults.add(where, code="forbidden")

        return plan

    @pytest.fixture
    def backend(self, cloud) -> GcpBackend:
        return GcpBackend(Gcp(project=PROJECT))


class TestGcpOnPaper(GcpLaws):
    """What needs no login."""

    test_a_job_can_be_run_on_its_host = None
    test_terminate_ends_a_job_that_will_not = None

    def test_gcp_offers_come_from_the_catalog_with_their_prices(self, backend):
        found = list(backend.offers(Requirements(gpu_count=1, where="gcp/us-central1")))
        assert {("gcp", "us-central1")} == {(one.where, one.region) for one in found}
        assert all(one.usable and one.price_per_hour for one in found)
        assert [] == list(backend.offers(Requirements(where="aws")))


class TestGcpOnRealHosts(GcpLaws):
    """The same laws, and jobs."""

    @pytest.fixture
    def cloud(self, lab, lab_environment):
        return lab.gce

    @pytest.fixture
    def label(self, backend) -> Label:
        chosen = Label(new_run_id())
        yield chosen
        backend.terminate(chosen)

    def workplace(self, host: Host, folder: str) -> str:
        made = f"{host.root}/work"
        assert 0 == host.run(["mkdir", "-p", made]).code
        return made
