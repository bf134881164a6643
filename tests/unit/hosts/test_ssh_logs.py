"""Jobs and logs over a real sshd; links that break, stall and come back."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from dispatcher.errors import HostError, HostUnreachable
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobSpec, JobStatus
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import SystemClock
from tests.sshd import Wire
from tests.unit.hosts.kit import AWKWARD, LABEL, host, needs_sshd, server, target, through, wire

__all__ = ["host", "server", "target", "wire"]
pytestmark = needs_sshd


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
        assert (5, b"".join(b"line %05d\r\n" % n for n in range(1, 401))) == (cuts, log), status
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

    def test_the_agent_is_sent_once(self, host, tmp_path, monkeypatch):
        started = []
        start = host.start
        monkeypatch.setattr(host, "start", lambda argv: started.append(argv) or start(argv))
        jobs.push_agent(host)
        jobs.push_agent(host)
        assert 1 == len(started)
        self.launch(host, tmp_path, "true")
        assert LABEL in jobs.labels(host)


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
