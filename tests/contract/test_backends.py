"""Every backend, held to the laws."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from dispatcher.backends.base import Backend, Terms
from dispatcher.backends.local import LocalBackend
from dispatcher.backends.registry import load, names
from dispatcher.domain.hardware import Machine
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.errors import CloudRefused, HostError, NoCapacity, Quota, UsageError
from tests.contract.contract import BackendContract
from tests.fakes import FakeCloud

MACHINE = Machine("here", "Linux", "x86_64", "a cpu", 2, 4, 3.5, 16.0, 9.8, disk_free_gb=100.0)


class TestLocal(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path) -> Backend:
        return LocalBackend(tmp_path / "runs", probe=lambda: MACHINE)

    @pytest.fixture
    def offer(self, backend) -> Offer:
        return next(iter(backend.offers(Requirements())))

    @pytest.fixture
    def break_provision(self, backend, monkeypatch):
        def break_it(moment: str) -> None:
            def failing(self, target):
                if moment == "after":
                    os.rename(self, target)  # noqa: PTH104  (Path.replace is what is broken here)
                monkeypatch.undo()
                raise OSError(28, "No space left on device")

            monkeypatch.setattr("pathlib.Path.replace", failing)

        return break_it

    def test_its_offer_is_free_and_says_what_is_free_now(self, offer):
        assert ("owned", 0.0, 9.8, 16.0, "cpu") == (
            offer.market, offer.price_per_hour, offer.ram_available_gib, offer.ram_gib, offer.device,
        )  # fmt: skip

    def test_processes_of_another_home_belong_to_another_owner(self, backend, tmp_path):
        assert backend.owner != LocalBackend(tmp_path / "elsewhere").owner
        assert backend.owner == LocalBackend(tmp_path / "runs").owner

    def test_the_log_outlives_the_teardown(self, backend, offer, label):
        log = backend.runs / label.run / str(label) / "log"
        backend.provision(offer, label, Terms())
        log.parent.mkdir()
        log.write_text("kept")
        backend.terminate(label)
        assert "kept" == log.read_text()

    def test_a_folder_that_cannot_be_made_is_an_error_with_a_fix(self, tmp_path, offer, label):
        (tmp_path / "file").write_text("")
        with pytest.raises(HostError) as caught:
            LocalBackend(tmp_path / "file").provision(offer, label, Terms())
        assert "DISPATCHER_HOME" in caught.value.fix


class TestFake(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path) -> Backend:
        return FakeCloud(tmp_path / "cloud")

    @pytest.fixture
    def offer(self, backend) -> Offer:
        return next(iter(backend.offers(Requirements())))

    @pytest.fixture
    def break_provision(self, backend):
        return lambda moment: backend.faults.update(provision=[moment])

    @pytest.mark.parametrize(("fault", "kind"), [("capacity", NoCapacity), ("quota", Quota), ("refused", CloudRefused)])
    def test_it_refuses_as_clouds_do(self, backend, offer, label, fault, kind):
        backend.faults["provision"] = [fault]
        with pytest.raises(kind):
            backend.provision(offer, label, Terms())
        assert [] == backend.alive()

    def test_an_incomplete_listing_raises_and_is_never_taken_for_gone(self, backend, offer, label):
        backend.provision(offer, label, Terms())
        backend.faults["find"] = ["refused"]
        with pytest.raises(CloudRefused):
            backend.find(label)

    def test_it_bills_from_birth_to_end(self, tmp_path, label):
        from tests.fakes import FakeClock

        cloud = FakeCloud(tmp_path / "billing", clock=FakeClock())
        cloud.provision(replace(next(iter(cloud.offers(Requirements())))), label, Terms())
        cloud.clock.pass_time(90)
        cloud.terminate(label)
        cloud.clock.pass_time(1000)
        assert ({str(label): 90.0}, []) == (cloud.billed(), cloud.alive())


def test_our_own_backends_come_through_the_same_door_as_others():
    assert "local" in names()
    assert isinstance(load("local"), LocalBackend)


def test_an_unknown_place_is_said_with_those_there_are():
    with pytest.raises(UsageError) as caught:
        load("moon")
    assert "local" in caught.value.fix


def test_a_backend_that_cannot_be_loaded_is_an_error_that_says_why(monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "no.such.module:Backend", "dispatcher.backends")
    monkeypatch.setattr("dispatcher.backends.registry.entry_points", lambda group: [broken])
    with pytest.raises(HostError, match=r"broken.*no\.such\.module.*No module named 'no'"):
        load("broken/region")
