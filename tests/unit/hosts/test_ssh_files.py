"""Files to a host over a real sshd and home again: whole, changed, interrupted."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Entry
from dispatcher.hosts.ssh import SshHost
from dispatcher.hosts.sync import manifest
from tests.sshd import Wire
from tests.unit.hosts.kit import AWKWARD, cut_after, entry, host, needs_sshd, server, target, through, tree_of, wire

__all__ = ["host", "server", "target", "wire"]
pytestmark = needs_sshd


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
        cutter = threading.Thread(target=cut_after, args=(wire, 7_000_000))
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
        cutter = threading.Thread(target=cut_after, args=(wire, 7_000_000))
        cutter.start()
        host.pull([entry(root, "big")], "job.work", tmp_path / "home")
        cutter.join()
        assert tree_of(root) == tree_of(tmp_path / "home")
        assert wire.carried < 19_000_000
        host.close()
        wire.close()
