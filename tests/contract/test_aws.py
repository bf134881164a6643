"""The laws of backends, held by AWS: on paper hosts for what needs no login, and on real ones."""

from __future__ import annotations

import pytest

from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.jobfile.settings import Aws
from dispatcher.retries import SystemClock
from tests.contract.clouds import OnPaper, OnRealHosts
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


class TestAwsOnPaper(OnPaper):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

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

    @pytest.fixture
    def break_provision(self, cloud):
        def plan(moment: str) -> None:
            if moment == "before":
                cloud.faults.add("*RunInstances", code="InsufficientInstanceCapacity")
            else:
                cloud.faults.add("*AuthorizeSecurityGroupIngress", code="UnauthorizedOperation")

        return plan

    def test_aws_offers_are_not_usable_where_nobody_is_signed_in(self, monkeypatch):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        found = list(AwsBackend(Aws(regions=REGIONS)).offers(Requirements(gpu_count=1)))
        assert {(False, "needs an account")} == {(one.usable, one.why_unusable) for one in found}


class TestAwsOnRealHosts(OnRealHosts):
    @pytest.fixture
    def offer(self) -> Offer:
        return OFFER

    @pytest.fixture
    def backend(self, lab, lab_environment) -> AwsBackend:
        return AwsBackend(Aws(regions=REGIONS))
