"""The laws as clouds hold them: on paper hosts what needs no login, on real ones the rest."""

from __future__ import annotations

from dispatcher.domain.plan import Requirements
from dispatcher.hosts.base import Host
from tests.contract.contract import BackendContract, JobLaws


class OnPaper(BackendContract):
    """What needs no login. Give `offer` a region."""

    test_a_job_can_be_run_on_its_host = None
    test_terminate_ends_a_job_that_will_not = None

    def test_offers_come_from_the_catalog_with_their_prices(self, backend, offer):
        found = list(backend.offers(Requirements(gpu_count=1, where=f"{backend.name}/{offer.region}")))
        assert {(backend.name, offer.region)} == {(one.where, one.region) for one in found}
        assert all(one.usable and one.price_per_hour for one in found)
        assert [] == list(backend.offers(Requirements(where="elsewhere")))


class OnRealHosts(JobLaws):
    """Jobs on machines that boot."""

    def workplace(self, host: Host, folder: str) -> str:
        made = f"{host.root}/work"
        assert 0 == host.run(["mkdir", "-p", made]).code
        return made
