"""AWS machines on the lab's real hosts: who gets in, who is believed, and how they end themselves."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud import reach
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import HostKeyMismatch, HostUnreachable, NoCapacity
from dispatcher.hosts import job as jobs
from dispatcher.hosts.job import JobSpec
from dispatcher.hosts.keys import new_key
from dispatcher.hosts.ssh import SshHost
from dispatcher.jobfile.settings import Aws
from dispatcher.retries import Policy, SystemClock

OFFER = Offer("aws", "t3.large", "cpu", region="us-east-1", zone="us-east-1a", market="on-demand", ram_gib=8)
REGIONS = ("us-east-1",)


@pytest.fixture
def backend(lab, lab_environment) -> AwsBackend:
    return AwsBackend(Aws(regions=REGIONS))


@pytest.fixture
def label(backend) -> Label:
    chosen = Label(new_run_id())
    yield chosen
    backend.terminate(chosen)


def made(backend, label, **terms):
    return backend.provision(OFFER, label, Terms(**terms))


def until(look, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def test_aws_machines_have_a_host_key_that_no_cloud_has_seen(backend, label, lab):
    machine = made(backend, label)
    born = machine.details["host_key"]
    backend.connect(machine).close()
    own = backend.find(label).details["host_key"]
    assert (True, False) == (own.startswith("ssh-ed25519 "), own == born)
    with pytest.raises(HostKeyMismatch):
        SshHost.open(reach.login("it", machine.address, backend._keyring(label))(born), "/tmp", clock=SystemClock())
    again = backend.connect(machine)
    assert 0 == again.run(["true"]).code
    again.close()


def test_aws_machines_with_another_host_key_are_refused_at_once(backend, label, lab):
    lab.ec2.control("set", {"host": {"t3.*": {"fault": "other-host-key"}}})
    machine = made(backend, label)
    with pytest.raises(HostKeyMismatch):
        backend.connect(machine)


def test_aws_machines_that_say_they_are_another_are_refused(backend, label):
    machine = made(backend, label)
    machine.details["id"] = "i-0123456789abcdef0"
    with pytest.raises(HostKeyMismatch, match="should be 'i-0123456789abcdef0'"):
        backend.connect(machine)


def test_another_computer_comes_in_to_an_aws_machine_by_its_tag(backend, label, tmp_path):
    first = backend.connect(made(backend, label))
    first.close()
    other = AwsBackend(Aws(regions=REGIONS), runs=tmp_path / "elsewhere")
    for _ in range(2):  # with the key that is lent, then with the one that stays
        host = other.connect(other.find(label))
        assert b"mlrun\n" == host.run(["id", "-un"]).stdout
        host.close()


def test_a_stranger_with_another_key_does_not_get_in_to_an_aws_machine(backend, label, tmp_path):
    machine = made(backend, label)
    backend.connect(machine).close()
    keyring = backend._keyring(label)
    stranger = tmp_path / "key"
    stranger.write_text(new_key()[0])
    stranger.chmod(0o600)
    target = replace(reach.login("it", machine.address, keyring)(keyring.candidates[0]), key=stranger)
    for user in ("mlrun", "root", "debian", "ubuntu"):
        with pytest.raises(HostUnreachable, match="does not let us in"):
            SshHost.open(replace(target, user=user), "/tmp", clock=SystemClock())


def test_the_job_on_an_aws_machine_is_nobody_special(backend, label):
    host = backend.connect(made(backend, label))
    tried = (
        "sudo -n id",
        "echo 999999 >/var/lib/mlrun/limits",
        "systemctl stop mlrun-deadman.timer",
        "shutdown -c",
        "cat /run/mlrun/born",
    )
    assert [True] * len(tried) == [host.run(["sh", "-c", one]).code != 0 for one in tried]
    host.close()


def test_an_aws_machine_is_born_with_three_timers_that_end_it(backend, label, lab):
    machine = made(backend, label, max_seconds=7200)
    backend.connect(machine).close()
    inside = lab.find(machine.details["id"])

    def armed() -> bool:
        timers = lab.hosts.run(inside, "systemctl", "is-active", "mlrun-deadman.timer", check=False)
        processes = lab.hosts.run(inside, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False)
        scheduled = lab.hosts.run(inside, "cat", "/run/systemd/shutdown/scheduled", check=False)
        return "active" in timers and "sleep 7800" in processes and "MODE=poweroff" in scheduled

    assert until(armed, 30)
    assert "max_seconds=7200" in lab.hosts.run(inside, "cat", "/var/lib/mlrun/limits")


def test_an_aws_machine_that_nobody_comes_to_ends_itself(backend, label, lab, monkeypatch):
    monkeypatch.setattr("dispatcher.backends.cloud.bootstrap.CONTACT_SECONDS", 3)
    made(backend, label, max_seconds=600)
    assert until(lambda: not lab.ledger.open(), 90)
    assert (None, "Client.InstanceInitiatedShutdown") == (backend.find(label), backend.fate(label))


def test_an_aws_machine_ends_itself_at_its_hard_limit_although_a_job_runs(backend, label, lab):
    host = backend.connect(made(backend, label, max_seconds=25))
    jobs.launch(host, _spec(label, host, "trap '' TERM INT HUP; while :; do sleep 1; done"))
    host.close()
    assert until(lambda: not lab.ledger.open(), 200)
    assert "Client.InstanceInitiatedShutdown" == backend.fate(label)


def test_an_aws_machine_keeps_what_a_job_left_for_its_grace_and_then_ends(backend, label, lab):
    host = backend.connect(made(backend, label, max_seconds=600, grace_seconds=10))
    jobs.launch(host, _spec(label, host, "true"))
    assert until(lambda: jobs.status(host, str(label)).over)
    host.close()
    assert until(lambda: not lab.ledger.open(), 90)


@pytest.mark.parametrize(("fault", "printed"), [("no-ssh", "It printed last: ."), ("never-boots", "not reached in 8 s")])
def test_an_aws_machine_that_does_not_answer_is_given_up_in_time_with_its_last_words(
    backend, label, lab, monkeypatch, fault, printed
):
    monkeypatch.setattr(reach, "BOOT", Policy(0.5, 1.0, 8.0))
    lab.ec2.control("set", {"host": {"t3.*": {"fault": fault}}})
    machine = made(backend, label)
    with pytest.raises(HostUnreachable, match=printed):
        backend.connect(machine)


def test_a_way_to_an_aws_machine_that_was_ended_meanwhile_is_not_waited_for(backend, label, lab):
    machine = made(backend, label)
    lab.ec2.control("end", {"id": machine.details["id"], "reason": "Server.SpotInstanceTermination"})
    begun = time.monotonic()
    with pytest.raises(NoCapacity, match="spot"):
        backend.connect(machine)
    assert time.monotonic() - begun < 60


def _spec(label, host, command) -> JobSpec:
    place = f"{host.root}/work"
    assert 0 == host.run(["mkdir", "-p", place]).code
    return JobSpec(label=str(label), command=command, cwd=place, stop_grace=1.0)
