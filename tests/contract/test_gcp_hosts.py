"""Machines of Google Cloud as real hosts: who they are is known before the first byte, and they end themselves."""

from __future__ import annotations

import pytest

from dispatcher.backends.base import Terms
from dispatcher.backends.gcp.account import email
from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import HostKeyMismatch, HostUnreachable
from dispatcher.jobfile.settings import Gcp
from dispatcher.retries import Policy, SystemClock, wait_until
from tests.contract.test_gcp import OFFER
from tests.lab.gce.places import PROJECT

SOON = Policy(0.05, 0.3, 20.0)


@pytest.fixture
def cloud(lab, lab_environment):
    return lab.gce


@pytest.fixture
def backend(cloud) -> GcpBackend:
    return GcpBackend(Gcp(project=PROJECT))


@pytest.fixture
def label(backend) -> Label:
    chosen = Label(new_run_id())
    yield chosen
    backend.terminate(chosen)


def connected(backend, label):
    machine = backend.provision(OFFER, label, Terms())
    return machine, backend.connect(machine)


def said(host, *argv: str) -> str:
    done = host.run(argv)
    return (done.stdout + done.stderr).decode()


def test_gcp_the_machine_is_prepared_and_its_user_is_no_root(backend, label):
    _, host = connected(backend, label)
    assert ("mlrun", "/var/lib/mlrun/runs") == (said(host, "id", "-un").strip(), host.root)
    assert "max_seconds=3600" in said(host, "cat", "/var/lib/mlrun/limits")
    assert "active" == said(host, "systemctl", "is-active", "mlrun-deadman.timer").strip()
    assert 0 != host.run(["sudo", "-n", "true"]).code
    assert 0 != host.run(["touch", "/var/lib/mlrun/limits"]).code
    host.close()


def test_gcp_host_keys_are_read_once_and_what_is_published_later_is_not_believed(cloud, backend, label):
    machine, host = connected(backend, label)
    host.close()
    forged = {"instance": str(label), "key": "hostkeys/ssh-ed25519", "value": "AAAAC3NzaC1lZDI1NTE5AAAAIForged"}
    cloud.control("guest", forged)
    again = backend.connect(machine)
    assert 0 == again.run(["true"]).code
    again.close()


def test_gcp_a_machine_that_shows_another_key_than_google_told_is_refused(cloud, backend, label):
    cloud.control("set", {"host_fault": "other-host-key"})
    machine = backend.provision(OFFER, label, Terms())
    with pytest.raises(HostKeyMismatch):
        backend.connect(machine)


def test_gcp_with_its_account_a_machine_deletes_itself_and_without_it_stays(lab, cloud, backend, label):
    other = Label(label.run, 2)
    _, alone = connected(backend, other)
    cloud.control("set", {"accounts": {email(PROJECT): ["compute.instances.delete@mlrun-*"]}})
    _, host = connected(GcpBackend(Gcp(project=PROJECT)), label)
    for one in (host, alone):
        one.close()
    hosts = {one["name"]: one["host"] for one in cloud.control("instances", {})}
    for name in (label, other):
        lab.hosts.run(hosts[str(name)], "/usr/local/sbin/mlrun-end", "a test")
    assert wait_until(lambda: True if backend.find(label) is None else None, SOON, SystemClock())
    assert "RUNNING" == backend.find(other).details["status"]
    assert [email(PROJECT)] == [one.principal for one in cloud.front.calls if one.name == "instances.delete"]
    backend.terminate(other)


def test_gcp_another_computer_of_the_owner_comes_in_with_its_own_key(backend, label, tmp_path):
    machine, host = connected(backend, label)
    elsewhere = GcpBackend(Gcp(project=PROJECT), runs=tmp_path / "runs")
    there = elsewhere.connect(elsewhere.find(label))
    assert 0 == host.run(["touch", f"{host.root}/seen"]).code
    assert f"{host.root}/seen" == said(there, "ls", f"{host.root}/seen").strip()
    assert backend._keyring(label).public_key() != elsewhere._keyring(label).public_key()
    for one in (host, there):
        one.close()
    again = elsewhere.connect(machine)
    again.close()


def test_gcp_a_computer_that_knows_no_host_key_of_a_machine_does_not_come_in(backend, label, tmp_path):
    machine = backend.provision(OFFER, label, Terms())
    with pytest.raises(HostUnreachable, match="another computer"):
        GcpBackend(Gcp(project=PROJECT), runs=tmp_path / "runs").connect(machine)
