"""The laws of backends, held by AWS: on paper hosts for what needs no login, and on real ones."""

from __future__ import annotations

import pytest

from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.hosts.base import Host
from dispatcher.jobfile.settings import Aws
from dispatcher.retries import SystemClock
from tests.contract.contract import BackendContract
from tests.lab import clock as lab_clock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

OFFER = Offer(
    "aws", "t3.large", "cpu", region="us-east-1", zone="us-east-1a", market="on-demand", ram_gib=8, price_per_hour=0.09
)
REGIONS = ("us-east-1", "eu-west-1")


class QuickClock(SystemClock):
    """The system's clock; nobody sleeps long on it."""

    def sleep(self, seconds, cancel=None):
        return super().sleep(min(seconds, 0.02), cancel)


class AwsLaws(BackendContract):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

    @pytest.fixture
    def break_provision(self, cloud):
        def plan(moment: str) -> None:
            if moment == "before":
                cloud.faults.add("*RunInstances", code="InsufficientInstanceCapacity")
            else:
                cloud.faults.add("*AuthorizeSecurityGroupIngress", code="UnauthorizedOperation")

        return plan


class TestAwsOnPaper(AwsLaws):
    """What needs no login."""

    test_a_job_can_be_run_on_its_host = None
    test_terminate_ends_a_job_that_will_not = None

    @pytest.fixture
    def cloud(self, monkeypatch):
        clock = lab_clock.SystemClock()
        ledger = Ledger(clock)
        made = Ec2(PaperHosts(clock), ledger, Faults(), clock)
        made.control("set", {"pending": 0.0})
        for name, value in (made.exports() | {"DISPATCHER_CALLER_IP": "198.51.100.7"}).items():
            monkeypatch.setenv(name, value)
        yield made
        wrong, left = list(made.violations), [f"costs: {line.kind} {line.name}" for line in ledger.open()]
        made.close()
        clock.close()
        assert ([], []) == (wrong, left)

    @pytest.fixture
    def backend(self, cloud) -> AwsBackend:
        return AwsBackend(Aws(regions=REGIONS), clock=QuickClock())

    def test_aws_offers_come_from_the_catalog_with_their_prices(self, backend):
        found = list(backend.offers(Requirements(gpu_count=1, where="aws/us-east-1")))
        assert {("aws", "us-east-1")} == {(one.where, one.region) for one in found}
        assert all(one.usable and one.price_per_hour for one in found)
        assert [] == list(backend.offers(Requirements(where="gcp")))

    def test_aws_offers_are_not_usable_where_nobody_is_signed_in(self, monkeypatch):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        found = list(AwsBackend(Aws(regions=REGIONS)).offers(Requirements(gpu_count=1)))
        assert {(False, "needs an account")} == {(one.usable, one.why_unusable) for one in found}


class TestAwsOnRealHosts(AwsLaws):
    """The same laws, and jobs."""

    @pytest.fixture
    def cloud(self, lab, lab_environment):
        return lab.ec2

    @pytest.fixture
    def backend(self, cloud) -> AwsBackend:
        return AwsBackend(Aws(regions=REGIONS))

    def workplace(self, host: Host, folder: str) -> str:
        made = f"{host.root}/work"
        assert 0 == host.run(["mkdir", "-p", made]).code
        return made
