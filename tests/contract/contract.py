"""The laws of every backend, as one class of tests to inherit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dispatcher.backends.base import Backend, Terms
from dispatcher.backends.processes import CLIENT_VARIABLE, marked
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import MlrunError
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Host
from dispatcher.hosts.job import JobSpec

BESIDE = ("volume", "disk", "address", "rule", "firewall")
"""What comes with a machine and is listed beside it."""


class JobLaws:
    """What jobs on a backend's machines rely on. Give the fixtures `backend` and `offer`.

    `workplace` makes a folder for a job where the host is another computer.
    """

    def workplace(self, host: Host, folder: str) -> str:
        """A folder that exists on the host."""
        return folder

    @pytest.fixture
    def backend(self) -> Backend:
        raise NotImplementedError

    @pytest.fixture
    def offer(self) -> Offer:
        raise NotImplementedError

    @pytest.fixture
    def label(self, backend) -> Label:
        chosen = Label(new_run_id())
        yield chosen
        backend.terminate(chosen)

    def test_a_job_can_be_run_on_its_host(self, backend, offer, label, tmp_path):
        host = backend.connect(backend.provision(offer, label, Terms()))
        jobs.launch(host, spec(label, backend, "echo out; exit 3", self.workplace(host, str(tmp_path))))
        assert (3, b"out\n") == (ended(host, label).exit_code, next(host.read(f"{label}/log", 0)))
        host.close()

    def test_terminate_ends_a_job_that_will_not(self, backend, offer, label, tmp_path):
        host = backend.connect(backend.provision(offer, label, Terms()))
        command = "trap '' INT TERM HUP; (trap '' INT TERM HUP; sleep 60) & sleep 60"
        jobs.launch(host, spec(label, backend, command, self.workplace(host, str(tmp_path))))
        host.close()
        backend.terminate(label)
        assert ([], [], None) == (marked(label), mine(backend, label), backend.find(label))


class BackendContract(JobLaws):
    """All of the laws. Inherit it, and give `break_provision` beside the rest where provisioning can be made to fail."""

    @pytest.fixture
    def break_provision(self) -> Callable[[str], None] | None:
        """Make the next provision fail `before` or `after` its effect."""
        return None

    def test_offers_only_reads(self, backend):
        assert list(backend.offers(Requirements())) == list(backend.offers(Requirements()))
        assert [] == mine(backend)

    def test_offers_is_empty_where_nothing_fits(self, backend):
        need = Requirements(gpu_count=10**6, gpu_memory_gib=10**9, ram_gib=10**9, where="nowhere")
        assert [] == list(backend.offers(need))

    def test_its_offers_name_it(self, backend):
        assert {backend.name} >= {one.where.partition(":")[0] for one in backend.offers(Requirements())}

    def test_what_was_never_made_is_not_found(self, backend, label):
        assert backend.find(label) is None

    def test_what_was_made_is_found_by_its_label_alone(self, backend, offer, label):
        assert backend.provision(offer, label, Terms()) == backend.find(label)

    def test_one_label_makes_one_machine(self, backend, offer, label):
        first, second = backend.provision(offer, label, Terms()), backend.provision(offer, label, Terms())
        assert first == second
        assert 1 == len([one for one in mine(backend, label) if one.kind not in BESIDE])

    def test_two_attempts_are_two_machines(self, backend, offer, label):
        other = replace(label, attempt=2)
        backend.provision(offer, label, Terms())
        backend.provision(offer, other, Terms())
        backend.terminate(other)
        assert (None, True) == (backend.find(other), backend.find(label) is not None)

    def test_everything_made_carries_the_label_and_the_owner(self, backend, offer, label):
        backend.provision(offer, label, Terms())
        assert {(label, backend.owner, backend.name)} == {(one.label, one.owner, one.where) for one in mine(backend, label)}

    def test_terminating_the_unknown_succeeds(self, backend, label):
        backend.terminate(label)
        assert backend.find(label) is None

    def test_terminating_twice_succeeds_and_leaves_nothing(self, backend, offer, label):
        backend.provision(offer, label, Terms())
        backend.terminate(label)
        backend.terminate(label)
        assert (None, []) == (backend.find(label), mine(backend, label))

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_after_a_failed_provision_terminate_leaves_nothing(self, backend, offer, label, break_provision, moment):
        if break_provision is None:
            pytest.skip("this backend's provisioning has no failure that can be made")
        break_provision(moment)
        with pytest.raises(MlrunError):
            backend.provision(offer, label, Terms())
        backend.terminate(label)
        assert (None, []) == (backend.find(label), mine(backend, label))


def mine(backend: Backend, label: Label | None = None) -> list:
    return [one for one in backend.leftovers() if one.owner == backend.owner and label in (None, one.label)]


def spec(label: Label, backend: Backend, command: str, cwd: str) -> JobSpec:
    return JobSpec(
        label=str(label),
        command=command,
        cwd=cwd,
        env={CLIENT_VARIABLE: backend.owner},
        secrets={},
        setup=None,
        path_prefix="",
        deadline_seconds=None,
        stop_grace=1.0,
        keep_awake=False,
        sample_seconds=2.0,
    )


def ended(host, label: Label):
    from dispatcher.retries import Policy, SystemClock, wait_until

    def look():
        status = jobs.status(host, str(label))
        return status if status.phase in ("ended", "lost") else None

    return wait_until(look, Policy(0.02, 0.1, 10), SystemClock())
