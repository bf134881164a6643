"""A host that answers what it likes: an error in our words, nothing outside the folder, no waiting for ever."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import random
import struct
from pathlib import Path

import pytest

from dispatcher.errors import HostError
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.collect import collect
from dispatcher.hosts.follow import follow
from dispatcher.hosts.ssh import SshHost, Target
from dispatcher.retries import SystemClock
from tests.sshd import available, sshd

pytestmark = pytest.mark.skipif(not available(), reason="needs sshd")
WANTED = Entry("out/model.pt", 10, sha256=hashlib.sha256(b"0123456789").hexdigest())


def frame(kind: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    return kind + struct.pack(">I", len(data) if length is None else length) + data


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its python3 says what stands in a file, whatever it is asked."""
    folder = tmp_path_factory.mktemp("hostile")
    with sshd(folder, SetEnv=f"HOME={folder}/home PATH={folder}/bin:{os.environ['PATH']}") as running:
        (folder / "bin").mkdir()
        (folder / "bin" / "python3").write_text('#!/bin/sh\ncat "$0.says"\nexit 0\n')
        (folder / "bin" / "python3").chmod(0o755)
        yield running


@pytest.fixture
def says(server):
    return (server.folder / "bin" / "python3.says").write_bytes


@pytest.fixture
def host(server, tmp_path, monkeypatch):
    monkeypatch.setenv("DISPATCHER_HOME", str(tmp_path / "mlrun"))
    monkeypatch.setattr("dispatcher.hosts.ssh.PAUSES", ())
    target = Target("evil", "127.0.0.1", getpass.getuser(), server.port, server.key, (server.host_key,))
    opened = SshHost.open(target, str(tmp_path / "runs"))
    yield opened
    opened.close()


def files_below(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


FETCHED = {
    "nothing": b"",
    "half a head": b"d\0",
    "garbage": random.Random(1).randbytes(4096),
    "more than announced": frame(b"d", b"0123456789AB") + frame(b"n"),
    "less than announced": frame(b"d", b"01234") + frame(b"n"),
    "other bytes": frame(b"d", b"9876543210") + frame(b"n"),
    "an endless frame": frame(b"d", b"0123", length=(1 << 32) - 1),
    "an end within": frame(b"d", b"01234", length=10),
    "an error as large as memory": frame(b"x", b"no", length=(1 << 32) - 1),
    "an error in control characters": frame(b"x", b"\x1b]0;owned\x07\xff"),
}


@pytest.mark.parametrize("answer", FETCHED)
def test_what_is_fetched_is_what_was_announced_or_nothing(host, says, tmp_path, answer):
    says(FETCHED[answer])
    with pytest.raises(HostError) as caught:
        host.pull([WANTED], "job.work", tmp_path / "home")
    assert "\x1b" not in caught.value.message
    assert [] == [one for one in files_below(tmp_path / "home") if ".part" not in one]


@pytest.mark.parametrize("seed", range(20))
def test_no_answer_writes_outside_the_folder(host, says, tmp_path, seed):
    source = random.Random(seed)
    paths = ["ok", "../up", "/etc/passwd", "a/../../b", "a\0b", "~/x", "con", "x" * 300, "link/in", "\x1b[2J", "C:\\x", "a//b"]
    rows = [
        {
            "path": source.choice(paths),
            "size": source.choice([0, 10, -1, 1 << 62, "1", None]),
            "sha256": WANTED.sha256,
            "mode": 0o7777,
        }
        for _ in range(source.randint(1, 6))
    ]
    says("\n".join(map(json.dumps, rows)).encode() + source.choice([b"", b"\n{", b"\nnull", b"\n[[[["]))
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (home / "link").symlink_to(tmp_path / "outside")
    before = files_below(tmp_path / "outside"), files_below(tmp_path / "deep")
    with pytest.raises(HostError):
        collect(host, "job.work", ["*"], home, in_place=False)
    assert before == (files_below(tmp_path / "outside"), files_below(tmp_path / "deep"))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello",
        b"[]",
        b'{"error": "no space", "code": 28}\n',
        b'{"blank": true}\n',
        b"\xff\xfe\n",
        b"null\n",
        b'{}\n{"need": [[7, 0, ""]]}',
    ],
)
def test_a_receiver_that_answers_otherwise_is_an_error(host, says, tmp_path, answer):
    says(answer)
    (tmp_path / "f").write_text("x")
    with pytest.raises(HostError):
        host.push(Tree(tmp_path, (Entry("f", 1),)), "job.work")


@pytest.mark.parametrize(
    "answer",
    [b"", b"garbage that is no frame", frame(b"e", b"no json"), frame(b"e", b"{}"), frame(b"d", b"ab", length=1 << 30), b"e\0"],
)
def test_a_log_that_is_none_is_an_error(host, says, answer):
    says(answer)
    with pytest.raises(HostError):
        list(follow(host, "mlrun-abcdefghjk-1", 0, clock=SystemClock()))
