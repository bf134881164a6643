"""Every byte of a log arrives once, and then the end."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobStatus
from dispatcher.retries import SystemClock

AWKWARD = bytes(range(256)) * 64 + b"\r50%\r100%\r\n\x1b]0;title\x07\xff\xfe\x00"


@pytest.mark.parametrize("size", [0, 1, len(AWKWARD)])
def test_bytes_arrive_as_they_are(bench, size):
    (bench.work / "bytes").write_bytes(AWKWARD[:size])
    assert AWKWARD[:size] == bench.run("cat bytes")[0]


def test_a_flood_arrives_whole(bench):
    bench.launch("yes 0123456789abcdef | head -c 100000000")
    digest, size = hashlib.sha256(), 0
    for piece in follow(bench.host, bench.label, 0, clock=SystemClock()):
        if not isinstance(piece, JobStatus):
            digest.update(piece)
            size += len(piece)
    expected = hashlib.sha256((b"0123456789abcdef\n" * 5882353)[:100_000_000]).hexdigest()
    assert (100_000_000, expected) == (size, digest.hexdigest())


@pytest.mark.parametrize("offset", [0, 1, 4, 9, 10])
def test_a_follower_may_begin_at_any_offset(bench, offset):
    bench.run("printf 0123456789")
    assert b"0123456789"[offset:] == bench.finish(offset)[0]


def test_a_killed_follower_loses_and_doubles_nothing(bench, tmp_path):
    bench.launch("for i in $(seq 400); do printf 'line %05d\\r\\n' $i; sleep 0.002; done")
    code = (
        "import sys; from pathlib import Path; from dispatcher.hosts.follow import follow;"
        "from dispatcher.hosts.local import LocalHost;"
        "from dispatcher.retries import SystemClock; kept = open(sys.argv[3], 'ab', buffering=0)\n"
        "for piece in follow(LocalHost(Path(sys.argv[1])), sys.argv[2], kept.tell(), clock=SystemClock()):\n"
        "    kept.write(piece) if isinstance(piece, bytes) else None"
    )
    argv = [sys.executable, "-c", code, bench.host.root, bench.label, str(tmp_path / "kept")]
    for _ in range(2):
        with subprocess.Popen(argv) as follower:
            before = (tmp_path / "kept").stat().st_size if (tmp_path / "kept").exists() else 0
            bench.until(lambda before=before: (tmp_path / "kept").exists() and (tmp_path / "kept").stat().st_size > before)
            os.kill(follower.pid, signal.SIGKILL)
    subprocess.run(argv, check=True, timeout=30)
    assert b"".join(b"line %05d\r\n" % number for number in range(1, 401)) == (tmp_path / "kept").read_bytes()


def test_a_line_is_seen_soon_after_it_is_printed(bench):
    bench.launch(f"exec {sys.executable} -c 'import time; time.sleep(0.5); print(time.time()); time.sleep(0.2)'")
    for piece in follow(bench.host, bench.label, 0, clock=SystemClock()):
        if isinstance(piece, bytes):
            assert time.time() - float(piece) < 0.5
            return
    pytest.fail("nothing was seen")


def test_who_leaves_gets_no_status(bench):
    leaving = threading.Event()
    bench.launch("echo up; sleep 0.5")
    seen = []
    for piece in follow(bench.host, bench.label, 0, clock=SystemClock(), cancel=leaving):
        seen.append(piece)
        leaving.set()
    assert [b"up\n"] == seen
    bench.finish()


def test_following_what_never_was_tells_that_it_is_absent(bench):
    class Hurried(SystemClock):
        def monotonic(self) -> float:
            return super().monotonic() * 100

    assert [JobStatus("absent")] == list(follow(bench.host, bench.label, 0, clock=Hurried()))
