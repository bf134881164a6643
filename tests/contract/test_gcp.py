"""The laws of backends, held by Google Cloud: on paper hosts for what needs no login, and on real ones."""

from __future__ import annotations

import pytest

from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.domain.plan import Offer
from dispatcher.jobfile.settings import Gcp
from tests.contract.clouds import OnPaper, OnRealHosts
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


class TestGcpOnPaper(OnPaper):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

    @pytest.fixture
    def backend(self, cloud) -> GcpBackend:
        return GcpBackend(Gcp(project=PROJECT))

    @pytest.fixture
    def break_provision(self, cloud):
        def plan(moment: str) -> None:
            where = "instances.insert" if moment == "before" else "zoneOperations.wait"
            cloud.faults.add(where, code="forbidden")

        return plan


class TestGcpOnRealHosts(OnRealHosts):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

    @pytest.fixture
    def backend(self, lab, lab_environment) -> GcpBackend:
        return GcpBackend(Gcp(project=PROJECT))
