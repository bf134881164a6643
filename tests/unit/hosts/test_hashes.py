"""Hashes are remembered while files stay as they were, and never longer. Keys are made once."""

from __future__ import annotations

import hashlib
import os
import threading
import time

import pytest

from dispatcher.errors import HostError
from dispatcher.hosts.ahead import ahead
from dispatcher.hosts.hashes import Hashes
from dispatcher.hosts.keys import fresh_key, new_key, public_of


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    (root / "f").write_bytes(b"one")
    _age(root / "f")
    return root


def _age(file) -> None:
    """A file written a while ago: the kernel sets the time of change by itself, so the moment is let pass."""
    os.utime(file, (1e9, 1e9))
    time.sleep(0.06)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_remembered_hash_needs_no_reading(work, monkeypatch):
    first = Hashes(work)
    assert (sha(b"one"), False) == (first.of("f"), first.known)
    first.save()
    monkeypatch.setattr("dispatcher.hosts.hashes.hashlib.file_digest", None)
    again = Hashes(work)
    assert (sha(b"one"), True) == (again.of("f"), again.known)


def test_a_changed_file_is_read_again(work):
    first = Hashes(work)
    first.of("f")
    first.save()
    (work / "f").write_bytes(b"two")
    os.utime(work / "f", (1e9, 1e9))
    assert sha(b"two") == Hashes(work).of("f")


def test_a_file_written_a_moment_ago_is_not_remembered(work):
    (work / "f").write_bytes(b"new")
    first = Hashes(work)
    first.of("f")
    first.save()
    assert not Hashes(work).known


def test_a_damaged_memory_is_none(work):
    first = Hashes(work)
    first.of("f")
    first.save()
    for file in (work.parent / "home" / "cache" / "hashes").iterdir():
        file.write_text("{")
    assert sha(b"one") == Hashes(work).of("f")


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "id"
    first = fresh_key(path)
    assert (first, 0o600) == (fresh_key(path), path.stat().st_mode & 0o777)
    assert first.startswith("ssh-ed25519 AAAA")
    assert first == public_of(path) == public_of(path.read_text())


def test_many_that_make_one_key_have_the_same(tmp_path):
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(fresh_key(tmp_path / "id"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (8, {public_of(tmp_path / "id")}) == (len(found), set(found))


def test_a_key_that_cannot_be_read_is_an_error_with_a_fix(tmp_path):
    (tmp_path / "id").write_text("no key")
    with pytest.raises(HostError, match="cannot be made or read"):
        fresh_key(tmp_path / "id")
    assert new_key()[0] != new_key()[0]


def test_what_is_made_ahead_comes_in_order_with_its_error_and_no_thread_is_left():
    def source():
        yield from range(20)
        raise ValueError("at the end")

    before, seen = threading.active_count(), []
    with pytest.raises(ValueError, match="at the end"):
        seen.extend(ahead(source(), 2))
    early = ahead(iter(range(10**9)), 2)
    assert (0, 1) == (next(early), next(early))
    early.close()
    assert before == threading.active_count()
