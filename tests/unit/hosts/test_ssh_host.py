"""A host over a real sshd: programs, files, logs; links that break; strangers."""

from __future__ import annotations

import getpass
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from dispatcher.errors import HostError, HostKeyMismatch, HostUnreachable, SyncFailed
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobSpec, JobStatus
from dispatcher.hosts.keys import new_key
from dispatcher.hosts.ssh import SshHost, Target
from dispatcher.hosts.sync import manifest
from dispatcher.retries import SystemClock
from tests.sshd import Wire, available, sshd

pytestmark = pytest.mark.skipif(not available(), reason="needs sshd")
AWKWARD = bytes(range(256)) * 64 + b"\r50%\r100%\r\n\x1b]0;title\x07\xff\xfe\x00"
LABEL = "mlrun-abcdefghjk-1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def target(server):
    return Target("desk", "127.0.0.1", getpass.getuser(), server.port, server.key, (server.host_key,))


@pytest.fixture
def host(target, tmp_path):
    opened = SshHost.open(target, str(tmp_path / "runs"))
    yield opened
    opened.close()


@pytest.fixture
def wire(server):
    made = Wire(server.port)
    yield made
    made.close()


def through(wire: Wire, target: Target) -> Target:
    return Target(target.name, target.address, target.user, wire.port, target.key, target.host_keys)


def entry(path: Path, name: str) -> Entry:
    data = (path / name).read_bytes()
    return Entry(name, len(data), sha256=hashlib.sha256(data).hexdigest())


class TestPrograms:
    def test_a_program_has_its_input_its_output_and_its_code(self, host):
        done = host.run(["sh", "-c", "cat; echo oh >&2; exit 3"], stdin=AWKWARD)
        assert (3, AWKWARD, b"oh\n") == (done.code, done.stdout, done.stderr)

    @pytest.mark.parametrize("word", ["a b", "$HOME", "'", '"; touch owned', "`id`", "*", "\n", "", "ünï"])
    def test_no_shell_reads_an_argument(self, host, word):
        assert word.encode() == host.run(["printf", "%s", word]).stdout

    def test_output_is_handed_on_as_it_comes(self, host):
        said: list[tuple[float, bytes]] = []
        host.run(["sh", "-c", "echo a; sleep 0.3; echo b"], on_output=lambda one: said.append((time.monotonic(), one)))
        assert [b"a\n", b"b\n"] == [one for _, one in said]
        assert said[1][0] - said[0][0] > 0.2

    def test_a_program_that_reads_none_of_a_large_input_ends_as_it_does(self, host):
        assert 5 == host.run(["sh", "-c", "exit 5"], stdin=bytes(20_000_000)).code

    def test_much_complaint_is_heard_whole(self, host):
        done = host.run(["sh", "-c", "head -c 30000000 /dev/zero >&2"])
        assert (0, 30_000_000) == (done.code, len(done.stderr))

    def test_what_is_not_there_is_the_shells_127(self, host):
        assert 127 == host.run(["no-such-program"]).code

    def test_many_at_once_share_the_connection(self, host):
        found: list[bytes] = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(host.run(["sh", "-c", f"sleep 0.1; echo {n}"]).stdout))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(b"%d\n" % n for n in range(6)) == sorted(found)

    def test_the_home_folder_stands_for_its_sign(self, target, server):
        host = SshHost.open(target, "~/.local/runs")
        assert f"{server.home}/.local/runs" == host.root
        host.close()


class TestStrangers:
    def test_another_host_key_is_refused_before_anything_is_sent(self, target, server, tmp_path):
        before = (server.folder / "log").read_text()
        with pytest.raises(HostKeyMismatch, match="another host key"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key, (new_key()[1],)), str(tmp_path))
        time.sleep(0.1)
        assert "Accepted" not in (server.folder / "log").read_text()[len(before) :]

    def test_no_pinned_key_lets_nobody_in(self, target, tmp_path):
        with pytest.raises(HostKeyMismatch):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key), str(tmp_path))

    def test_a_pin_that_is_no_key_is_refused(self, target, tmp_path):
        with pytest.raises(HostKeyMismatch):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, target.key, ("ssh-ed25519 !!",)), str(tmp_path))

    def test_only_the_runs_key_is_offered(self, target, server, tmp_path, monkeypatch):
        """Neither an agent nor the keys in ~/.ssh are shown to a rented machine."""
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh" / "id_ed25519").write_bytes(server.key.read_bytes())
        other = tmp_path / "other"
        other.write_text(new_key()[0])
        with pytest.raises(HostUnreachable, match="does not let us in"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, target.port, other, target.host_keys), str(tmp_path))

    def test_where_nobody_listens_the_host_is_unreachable(self, target, tmp_path):
        with pytest.raises(HostUnreachable, match="does not answer"):
            SshHost.open(Target("desk", "127.0.0.1", target.user, 1, target.key, target.host_keys), str(tmp_path))


class TestOwnedHosts:
    @pytest.fixture
    def ssh_home(self, server, tmp_path, monkeypatch):
        """A user whose configuration names the host `desk`."""
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        folder = tmp_path / ".ssh"
        folder.mkdir()
        (folder / "more").write_text(
            f"Host desk\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        )
        (folder / "config").write_text(f"Include {folder}/more\nHost far\n HostName 127.0.0.1\n ProxyJump desk\n")
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        return folder

    def test_the_users_configuration_leads_there(self, ssh_home, tmp_path):
        host = SshHost.open(Target("desk", "desk", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_jump_host_leads_further(self, ssh_home, server, tmp_path):
        with (ssh_home / "config").open("a") as file:
            file.write(f"Host far\n Port {server.port}\n IdentityFile {server.key}\n User {getpass.getuser()}\n")
        host = SshHost.open(Target("far", "far", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_proxy_command_is_honoured(self, ssh_home, server, tmp_path):
        (ssh_home / "config").write_text(
            f"Host near\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
            f' ProxyCommand python3 -c \'import socket,sys,os,threading; s=socket.create_connection(("%h",%p));'
            ' threading.Thread(target=lambda: [os.write(1,d) for d in iter(lambda: s.recv(65536),b"")],daemon=True).start();'
            ' [s.sendall(d) for d in iter(lambda: os.read(0,65536),b"")]\'\n'
        )
        host = SshHost.open(Target("near", "near", config=True), str(tmp_path / "runs"))
        assert b"in\n" == host.run(["echo", "in"]).stdout
        host.close()

    def test_a_host_that_known_hosts_does_not_know_is_refused_with_the_way_out(self, ssh_home, tmp_path):
        (ssh_home / "known_hosts").write_text("")
        with pytest.raises(HostKeyMismatch) as caught:
            SshHost.open(Target("desk", "desk", config=True), str(tmp_path / "runs"))
        assert "ssh desk" in caught.value.fix


def tree_of(root: Path) -> dict[str, tuple[bytes, bool]]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_bytes(), os.access(path, os.X_OK)) for path in found}


class TestSending:
    @pytest.fixture
    def work(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
        root = tmp_path / "work"
        (root / "a" / "b").mkdir(parents=True)
        (root / "train.py").write_text("print('hi')")
        (root / "a" / "b" / "ünï code").write_bytes(AWKWARD)
        (root / "empty").write_bytes(b"")
        (root / "go.sh").write_text("#!/bin/sh")
        (root / "go.sh").chmod(0o700)
        (root / "large.bin").write_bytes(os.urandom(3_000_000))
        return root

    def push(self, host, work) -> dict:
        host.push(manifest(work).tree, "job.work")
        return tree_of(Path(host.root) / "job.work")

    def test_all_files_arrive_as_they_are(self, host, work):
        assert tree_of(work) == self.push(host, work)

    def test_modes_are_two_whatever_they_were(self, host, work):
        (work / "train.py").chmod(0o606)
        self.push(host, work)
        root = Path(host.root) / "job.work"
        assert (0o644, 0o755) == ((root / "train.py").stat().st_mode & 0o777, (root / "go.sh").stat().st_mode & 0o777)

    def test_changes_and_deletions_arrive_and_what_the_job_made_stays(self, host, work):
        self.push(host, work)
        (Path(host.root) / "job.work" / "model.pt").write_bytes(b"weights")
        (work / "train.py").write_text("print('ho')")
        (work / "a" / "b" / "ünï code").unlink()
        (work / "new").write_text("new")
        assert tree_of(work) | {"model.pt": (b"weights", False)} == self.push(host, work)
        assert not (Path(host.root) / "job.work" / "a").exists()

    def test_what_was_altered_there_is_sent_again(self, host, work):
        self.push(host, work)
        (Path(host.root) / "job.work" / "train.py").write_text("print('XX')")
        (Path(host.root) / "job.work" / "large.bin").unlink()
        assert tree_of(work) == self.push(host, work)

    def test_a_file_written_anew_with_its_old_size_and_time_is_noticed(self, host, work):
        self.push(host, work)
        before = (work / "train.py").stat()
        (work / "train.py").write_text("print('ho')")
        os.utime(work / "train.py", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert tree_of(work) == self.push(host, work)

    def test_nothing_is_sent_where_nothing_changed(self, target, server, work, tmp_path):
        wire = Wire(server.port)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        self.push(host, work)
        before = wire.carried
        self.push(host, work)
        assert wire.carried - before < 60_000
        host.close()
        wire.close()

    def test_a_file_in_the_place_of_a_folder_and_the_reverse(self, host, work):
        self.push(host, work)
        (work / "a" / "b" / "ünï code").unlink()
        (work / "a" / "b").rmdir()
        (work / "a" / "b").write_text("a file now")
        (work / "empty").unlink()
        (work / "empty").mkdir()
        (work / "empty" / "in").write_text("a folder now")
        assert tree_of(work) == self.push(host, work)

    def test_a_link_there_is_replaced_and_never_written_through(self, host, work, tmp_path):
        self.push(host, work)
        outside = tmp_path / "outside"
        outside.mkdir()
        there = Path(host.root) / "job.work"
        for name in ("a", "train.py"):
            if (there / name).is_dir():
                (there / name).rename(tmp_path / "moved")
            else:
                (there / name).unlink()
        (there / "a").symlink_to(outside)
        (there / "train.py").symlink_to(outside / "train.py")
        assert tree_of(work) == self.push(host, work)
        assert [] == list(outside.iterdir())

    def test_another_copy_of_the_same_folder_lends_what_did_not_change(self, target, server, work, tmp_path):
        wire = Wire(server.port)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        self.push(host, work)
        before = wire.carried
        host.push(manifest(work).tree, "other.work")
        assert tree_of(work) == tree_of(Path(host.root) / "other.work")
        assert wire.carried - before < 100_000
        host.close()
        wire.close()

    def test_an_interrupted_push_goes_on_where_it_stopped(self, target, server, work, tmp_path):
        (work / "large.bin").write_bytes(os.urandom(12_000_000))
        wire = Wire(server.port, rate=8e6)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        cutter = threading.Thread(target=_cut_after, args=(wire, 7_000_000))
        cutter.start()
        assert tree_of(work) == self.push(host, work)
        cutter.join()
        assert wire.carried < 19_000_000
        host.close()
        wire.close()

    def test_a_full_disk_there_is_said(self, host, work, tmp_path):
        (tmp_path / "runs").write_text("a file where a folder should be")
        with pytest.raises(SyncFailed, match="cannot be written on desk"):
            self.push(host, work)

    def test_a_file_that_shrinks_while_it_is_sent_is_said(self, host, work):
        tree = manifest(work).tree
        (work / "large.bin").write_bytes(b"short")
        with pytest.raises(SyncFailed, match=r"large\.bin changed"):
            host.push(tree, "job.work")


def _cut_after(wire: Wire, size: int) -> None:
    give_up = time.monotonic() + 20
    while wire.carried < size and time.monotonic() < give_up:
        time.sleep(0.005)
    wire.cut()


class TestFetching:
    @pytest.fixture
    def there(self, host):
        root = Path(host.root) / "job.work"
        (root / "out").mkdir(parents=True)
        (root / "out" / "model.pt").write_bytes(os.urandom(2_000_000))
        (root / "log ünï").write_bytes(AWKWARD)
        (root / "none").write_bytes(b"")
        return root

    def test_files_come_home_verified(self, host, there, tmp_path):
        names = ["out/model.pt", "log ünï", "none"]
        host.pull([entry(there, name) for name in names], "job.work", tmp_path / "home")
        assert tree_of(there) == tree_of(tmp_path / "home")

    def test_a_file_that_is_not_what_was_announced_takes_no_name(self, host, there, tmp_path):
        announced = entry(there, "out/model.pt")
        (there / "out" / "model.pt").write_bytes(os.urandom(2_000_000))
        with pytest.raises(SyncFailed, match="changed while"):
            host.pull([announced], "job.work", tmp_path / "home")
        assert not (tmp_path / "home" / "out").exists()

    @pytest.mark.parametrize("size", [1_999_999, 2_000_001])
    def test_a_file_of_another_size_takes_no_name(self, host, there, tmp_path, size):
        announced = entry(there, "out/model.pt")
        (there / "out" / "model.pt").write_bytes(bytes(size))
        with pytest.raises(SyncFailed):
            host.pull([announced], "job.work", tmp_path / "home")
        assert not (tmp_path / "home" / "out").exists()

    @pytest.mark.parametrize("path", ["../out", "/etc/x", "a/../../b", "a//b", "con", "a\x07b"])
    def test_a_name_that_leads_elsewhere_is_refused(self, host, there, tmp_path, path):
        with pytest.raises(SyncFailed, match="not fetched"):
            host.pull([Entry(path, 1, sha256="0" * 64)], "job.work", tmp_path / "home")

    def test_nothing_is_read_through_a_link_there(self, host, there, tmp_path):
        (tmp_path / "secret").write_text("s")
        (there / "link").symlink_to(tmp_path / "secret")
        with pytest.raises(SyncFailed):
            host.pull([Entry("link", 1, sha256=hashlib.sha256(b"s").hexdigest())], "job.work", tmp_path / "home")

    def test_nothing_is_written_through_a_link_here(self, host, there, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "out").symlink_to(outside)
        with pytest.raises(SyncFailed):
            host.pull([entry(there, "out/model.pt")], "job.work", tmp_path / "home")
        assert [] == list(outside.iterdir())

    def test_an_interrupted_fetch_goes_on_where_it_stopped(self, target, server, tmp_path):
        root = tmp_path / "runs" / "job.work"
        root.mkdir(parents=True)
        (root / "big").write_bytes(os.urandom(12_000_000))
        wire = Wire(server.port, rate=8e6)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        cutter = threading.Thread(target=_cut_after, args=(wire, 7_000_000))
        cutter.start()
        host.pull([entry(root, "big")], "job.work", tmp_path / "home")
        cutter.join()
        assert tree_of(root) == tree_of(tmp_path / "home")
        assert wire.carried < 19_000_000
        host.close()
        wire.close()


class TestLogs:
    def test_bytes_are_read_as_they_are_and_from_anywhere(self, host):
        path = Path(host.root) / LABEL / "log"
        path.parent.mkdir(parents=True)
        path.write_bytes(AWKWARD)
        for offset in (0, 1, len(AWKWARD) - 1):
            assert AWKWARD[offset:] == next(host.read(f"{LABEL}/log", offset))
        assert b"" == next(host.read(f"{LABEL}/log", len(AWKWARD)))
        assert b"" == next(host.read(f"{LABEL}/none", 0))

    def test_a_file_shorter_than_what_was_read_of_it_is_an_error(self, host):
        path = Path(host.root) / LABEL / "log"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"abc")
        with pytest.raises(HostError, match="shorter"):
            next(host.read(f"{LABEL}/log", 5))

    def test_a_line_is_there_soon_after_it_is_written(self, host):
        path = Path(host.root) / LABEL / "log"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        reader = host.read(f"{LABEL}/log", 0)
        assert b"" == next(reader)
        took = []
        for _ in range(5):
            begun = time.monotonic()
            with path.open("ab") as file:
                file.write(b"line\n")
            while not next(reader):
                continue
            took.append(time.monotonic() - begun)
        assert sorted(took)[2] < 0.08

    def test_nobody_is_left_reading_when_the_reader_leaves(self, host):
        reader = host.read(f"{LABEL}/log", 0)
        next(reader)
        reader.close()
        give_up = time.monotonic() + 5
        while host.run(["pgrep", "-f", f"{host.root}/{LABEL}/log"]).stdout.strip():
            assert time.monotonic() < give_up
            time.sleep(0.02)


class TestJobs:
    def launch(self, host, tmp_path, command: str) -> None:
        cwd = tmp_path / "cwd"
        cwd.mkdir(exist_ok=True)
        jobs.launch(host, JobSpec(LABEL, command, str(cwd), stop_grace=1.0, sample_seconds=0.2))

    def heard(self, host, offset: int = 0) -> tuple[bytes, JobStatus | None]:
        log, status = b"", None
        for piece in follow(host, LABEL, offset, clock=SystemClock()):
            if isinstance(piece, JobStatus):
                status = piece
            else:
                log += piece
        return log, status

    def test_a_job_runs_and_is_followed_to_its_end(self, host, tmp_path):
        self.launch(host, tmp_path, "echo out; echo err >&2; exit 7")
        log, status = self.heard(host)
        assert (b"out\nerr\n", 7, 8) == (log, status.exit_code, status.log_size)

    def test_a_follower_may_begin_at_any_offset(self, host, tmp_path):
        self.launch(host, tmp_path, "printf 0123456789")
        assert [b"0123456789"[n:] for n in (0, 4, 10)] == [self.heard(host, n)[0] for n in (0, 4, 10)]

    def test_a_cut_link_loses_and_doubles_nothing(self, target, server, tmp_path):
        wire = Wire(server.port)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        self.launch(host, tmp_path, "for i in $(seq 400); do printf 'line %05d\\r\\n' $i; sleep 0.002; done")
        log, status, cuts = b"", None, 0
        while status is None:
            try:
                for piece in follow(host, LABEL, len(log), clock=SystemClock()):
                    if isinstance(piece, JobStatus):
                        status = piece
                    else:
                        log += piece
                        if cuts < 5 and len(log) > 600 * (cuts + 1):
                            cuts += 1
                            wire.cut()
            except HostUnreachable:
                host.reconnect()
        assert (5, b"".join(b"line %05d\r\n" % n for n in range(1, 401))) == (cuts, log)
        host.close()
        wire.close()

    def test_a_watcher_that_was_killed_is_noticed(self, host, tmp_path, monkeypatch):
        monkeypatch.setattr("dispatcher.hosts.follow.ASK_AFTER", 0.2)
        self.launch(host, tmp_path, "echo out; sleep 30")
        host.run(["sh", "-c", f"pkill -9 -f '[a]gent.py start .*{LABEL}'; sleep 0.2"])
        from dispatcher.backends.processes import end
        from dispatcher.domain.run import Label

        end(Label.parse(LABEL), SystemClock())
        log, status = self.heard(host)
        assert (b"out\n", "lost") == (log, status.phase)

    def test_the_agent_is_sent_once(self, host, tmp_path):
        jobs.push_agent(host)
        jobs.push_agent(host)
        assert [LABEL] == (self.launch(host, tmp_path, "true") or jobs.labels(host))


class TestDeadLinks:
    def test_a_link_that_stalls_is_noticed_and_a_closed_one_is_not_used(self, target, wire, tmp_path, monkeypatch):
        monkeypatch.setattr("dispatcher.hosts.session.SILENCE_SECONDS", 1.5)
        monkeypatch.setattr("dispatcher.hosts.session.ASK_SECONDS", 0.3)
        monkeypatch.setattr("dispatcher.hosts.session.LOOK_SECONDS", 0.1)
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        assert b"a\n" == host.run(["sh", "-c", "sleep 2; echo a"]).stdout  # silent, but alive
        wire.stalled.set()
        begun = time.monotonic()
        with pytest.raises(HostUnreachable):
            host.run(["echo"])
        assert time.monotonic() - begun < 6
        wire.stalled.clear()
        assert b"b\n" == host.run(["echo", "b"]).stdout
        host.close()
        with pytest.raises(HostUnreachable, match="closed"):
            host.run(["echo"])

    def test_an_upload_into_a_stalled_link_ends(self, target, wire, tmp_path, monkeypatch):
        monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "dh"))
        monkeypatch.setattr("dispatcher.hosts.session.SILENCE_SECONDS", 1.5)
        monkeypatch.setattr("dispatcher.hosts.session.ASK_SECONDS", 0.3)
        monkeypatch.setattr("dispatcher.hosts.session.LOOK_SECONDS", 0.1)
        monkeypatch.setattr("dispatcher.hosts.ssh.PAUSES", ())
        host = SshHost.open(through(wire, target), str(tmp_path / "runs"))
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "big").write_bytes(os.urandom(40_000_000))
        stall = threading.Thread(target=lambda: (_wait(lambda: wire.carried > 4_000_000), wire.stalled.set()))
        stall.start()
        with pytest.raises(HostUnreachable):
            host.push(Tree(tmp_path / "work", (Entry("big", 40_000_000),)), "w")
        stall.join()
        host.close()


def _wait(true) -> None:
    give_up = time.monotonic() + 10
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.005)
