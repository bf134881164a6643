"""Computers of one's own over SSH, held to the laws of backends."""

from __future__ import annotations

import getpass
import os
import subprocess
import time
from pathlib import Path

import pytest

from dispatcher.backends.base import Backend, Terms
from dispatcher.backends.registry import load
from dispatcher.backends.ssh import SshBackend
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import HostKeyMismatch, HostUnreachable, NoCapacity, UsageError
from dispatcher.hosts import job as jobs
from dispatcher.hosts.sync import manifest
from dispatcher.jobfile.settings import ListedHost
from tests.contract.contract import BackendContract, mine, spec
from tests.sshd import available, sshd

pytestmark = pytest.mark.skipif(not available(), reason="needs sshd")
SMI = """#!/usr/bin/env python3
import sys
words = " ".join(sys.argv)
if "--query-gpu=index,name" in words:
    print("0, Tesla T4, 15360, 14900, 3, 580.95, GPU-1")
elif "compute_cap" in words:
    print("0, 7.5")
elif "compute-apps" in words:
    print(open(sys.argv[0] + ".users").read(), end="")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, SetEnv=f"HOME={folder}/home PATH={folder}/bin:{os.environ['PATH']}") as running:
        yield running


@pytest.fixture
def configured(server, tmp_path, monkeypatch):
    """A user whose ~/.ssh/config knows the computer, and whose mlrun home is new."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "dispatcher"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "config").write_text(
        f"Host desk-lan off\n HostName 127.0.0.1\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        f"Host desk-lan\n Port {server.port}\nHost off\n Port 1\n"
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    return folder


@pytest.fixture
def gpu(server):
    """A computer with a GPU that a stand-in of nvidia-smi tells of; a function says who uses it."""
    tool = server.folder / "bin" / "nvidia-smi"
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(SMI)
    tool.chmod(0o755)
    users = tool.with_name("nvidia-smi.users")
    users.write_text("")
    yield users.write_text
    tool.unlink()


class TestSsh(BackendContract):
    @pytest.fixture
    def backend(self, configured) -> Backend:
        return SshBackend({"desk": ListedHost(ssh="desk-lan")})

    @pytest.fixture
    def offer(self, backend) -> Offer:
        return next(iter(backend.offers(Requirements())))

    @pytest.fixture
    def break_provision(self, backend):
        def break_it(moment: str) -> None:
            ask = backend._ask

            def failing(host, verb, *arguments):
                backend._ask = ask
                if moment == "after":
                    ask(host, verb, *arguments)
                raise HostUnreachable("the connection is lost")

            backend._ask = failing

        return break_it

    def test_its_offer_says_what_is_free_there(self, offer):
        here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        assert ("ssh:desk", "owned", 0.0, None) == (offer.where, offer.market, offer.price_per_hour, offer.machine)
        assert 0 < offer.ram_available_gib <= offer.ram_gib <= here * 1.01
        assert offer.vcpus > 0
        assert offer.disk_gb > 0

    def test_the_planner_can_compute_on_its_device(self, backend, offer):
        device = backend.device_of(offer)
        assert ("cpu", offer.ram_gib) == (device.kind, device.ram_gib)
        assert device.cpu.gflops > 0

    def test_its_gpu_is_seen(self, backend, gpu):
        offer = next(iter(backend.offers(Requirements())))
        assert ("Tesla T4", 1, 15.0) == (offer.device, offer.count, offer.device_memory_gib)
        assert 14.5 < offer.device_memory_free_gib < 14.6
        assert ("cuda", "T4") == (backend.device_of(offer).kind, backend.device_of(offer).name)

    def test_a_computer_that_does_not_answer_is_no_offer_and_not_asked_again_at_once(self, configured):
        backend = SshBackend({"off": ListedHost(ssh="off"), "desk": ListedHost(ssh="desk-lan")})
        assert ["ssh:desk"] == [one.where for one in backend.offers(Requirements())]

    def test_what_does_not_answer_is_never_taken_for_gone(self, configured, label):
        lost = SshBackend({"off": ListedHost(ssh="off")})
        for ask in (lambda: lost.find(label), lambda: lost.terminate(label), lambda: list(lost.leftovers())):
            with pytest.raises(HostUnreachable):
                ask()

    def test_a_computer_with_another_key_is_refused(self, configured, backend, offer, label):
        known = configured / "known_hosts"
        before = known.read_text()
        known.write_text(
            before.split()[0] + " ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJd4wqC5bvpTQF1fk2tPuXoRaN5gMCx+SCnbvD1K3Ti\n"
        )
        with pytest.raises(HostKeyMismatch):
            backend.provision(offer, label, Terms())
        known.write_text(before)

    def test_it_is_cleared_after(self, backend, offer, label, server):
        host = backend.connect(backend.provision(offer, label, Terms()))
        work = Path(host.root) / f"{label}.work"
        work.mkdir(parents=True)
        (work / "out").mkdir()
        (work / "out" / "f").write_text("x")
        (work / "out").chmod(0o500)
        jobs.launch(host, spec(label, backend, "true", str(work)))
        host.close()
        backend.terminate(label)
        assert [] == [one.name for one in Path(host.root).iterdir() if str(label) in one.name]

    def test_where_others_come_first_it_is_an_offer_only_without_them(self, configured, gpu, label):
        backend = SshBackend({"desk": ListedHost(ssh="desk-lan", share="idle")})
        free = next(iter(backend.offers(Requirements())))
        assert free.usable
        gpu("GPU-1, 99999\n")
        with pytest.raises(NoCapacity, match="used by others: 1 program on its GPU"):
            backend.provision(free, label, Terms())
        assert [] == mine(backend, label)
        used = next(iter(backend.offers(Requirements())))
        assert (False, "used by others: 1 program on its GPU") == (used.usable, used.why_unusable)

    def test_our_own_runs_do_not_count_as_others(self, configured, gpu, label):
        backend = SshBackend({"desk": ListedHost(ssh="desk-lan", share="idle")})
        argv = ["sleep", "30"]
        with subprocess.Popen(argv, env={**os.environ, "DISPATCHER_LABEL": str(Label(new_run_id()))}) as ours:
            gpu(f"GPU-1, {ours.pid}\n")
            time.sleep(0.05)
            assert next(iter(backend.offers(Requirements()))).usable
            ours.kill()

    def test_a_place_by_name_is_that_computer_alone(self, configured, label):
        backend = load("ssh:desk-lan")
        offers = list(backend.offers(Requirements(where="ssh:desk-lan")))
        assert ["ssh:desk-lan"] == [one.where for one in offers]
        machine = backend.provision(offers[0], label, Terms())
        assert machine == load("ssh:desk-lan").find(label)
        load("ssh:desk-lan").terminate(label)
        assert load("ssh:desk-lan").find(label) is None

    def test_no_computers_are_no_offers_and_no_leftovers(self, configured):
        none = SshBackend({})
        assert ([], []) == (list(none.offers(Requirements())), list(none.leftovers()))

    def test_a_place_without_a_name_is_said(self, configured, label):
        with pytest.raises(UsageError):
            SshBackend({}).provision(Offer(where="ssh", machine=None, device="cpu"), label, Terms())

    def test_runs_of_another_computer_of_ours_are_told_apart(self, configured, backend, offer, label, tmp_path):
        other = SshBackend({"desk": ListedHost(ssh="desk-lan")}, runs=tmp_path / "elsewhere")
        backend.provision(offer, label, Terms())
        seen = [one for one in other.leftovers() if one.label == label]
        assert ([backend.client], "desk") == ([one.tags["mlrun-client"] for one in seen], seen[0].region)
        assert other.client != backend.client
        assert Label.parse(str(label)) == seen[0].label

    def test_a_second_run_is_sent_only_what_changed(self, backend, offer, label, tmp_path, server):
        work = tmp_path / "work"
        work.mkdir()
        (work / "data").write_bytes(os.urandom(500_000))
        (work / "train.py").write_text("one")
        host = backend.connect(backend.provision(offer, label, Terms()))
        host.push(manifest(work).tree, f"{label}.work")
        host.run(["rm", "-rf", f"{host.root}/{label}.work"])
        (work / "train.py").write_text("two")
        sent = []
        start = host.start
        host.start = lambda argv: _counted(start(argv), sent)
        host.push(manifest(work).tree, "other.work")
        assert "two" == (Path(host.root) / "other.work" / "train.py").read_text()
        assert (work / "data").read_bytes() == (Path(host.root) / "other.work" / "data").read_bytes()
        assert 0 < sum(sent) < 5_000
        host.close()

    def test_copies_and_environments_that_no_run_used_for_long_are_removed(self, backend, offer, label, tmp_path):
        host = backend.connect(backend.provision(offer, label, Terms()))
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "f").write_text("x")
        host.push(manifest(tmp_path / "work").tree, "old.work")
        env = Path(host.root) / "envs" / "abc"
        env.mkdir(parents=True)
        (env / ".ready").write_text("")
        copies = [one for one in Path(host.root).iterdir() if one.name.startswith("copy-")]
        records = [one for one in (Path(host.root) / ".sync").iterdir() if one.name.startswith("copy-")]
        long_ago = time.time() - 90 * 86400
        for file in [env / ".ready", *records]:
            os.utime(file, (long_ago, long_ago))
        backend.provision(offer, label, Terms())
        assert ([], False) == ([one for one in copies if one.exists()], env.exists())
        host.close()


def _counted(session, sent: list[int]):
    send = session.send
    session.send = lambda data: sent.append(len(data)) or send(data)
    return session
