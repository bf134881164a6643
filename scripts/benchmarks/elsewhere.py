"""Files and logs over SSH: ours beside tar, rsync and ssh on an open connection, near and far."""

from __future__ import annotations

import getpass
import os
import random
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from measure import PYTHON, Broken, Row, Sample, in_turns, seconds

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # the tests' sshd and wire

from dispatcher.hosts.ssh import SshHost, Target  # noqa: E402
from dispatcher.hosts.sync import manifest  # noqa: E402
from tests.sshd import Sshd, sshd  # noqa: E402

DELAY, RATE = 0.025, 12.5e6
"""50 ms there and back, 100 Mbit/s."""
TREES = {"300": 16_000, "10000": 2_000}
"""Files, and bytes of each."""
LOG_BYTES = 100_000_000
WIRE = (
    "import sys, time; sys.path.insert(0, sys.argv[1]); from tests.sshd import Wire\n"
    "print(Wire(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])).port, flush=True); sys.stdin.read()"
)


@dataclass
class Way:
    """A way to the server: ours, and OpenSSH's master over the same kind of wire."""

    name: str
    host: SshHost
    ssh: list[str]
    server: Sshd
    far: bool

    @property
    def short(self) -> str:
        return self.name.replace(" ", "")


def sync_rows(work: Path, turns: int) -> list[Row]:
    """First syncs and re-syncs."""
    rows = []
    work.mkdir(parents=True)
    for tree, size in TREES.items():
        _fill(work / tree, int(tree), size)
    with _ways(work) as ways:
        for way in ways:
            for tree in TREES:
                rows += _synced(way, work / tree, work, turns)
    return rows


def log_rows(work: Path, turns: int) -> list[Row]:
    """100 MB of log."""
    work.mkdir(parents=True)
    line = b"y" * 99 + b"\n"
    with _ways(work) as ways:
        rows = []
        for way in ways:
            log = Path(way.host.root) / "log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(line * (LOG_BYTES // len(line)))
            ours, theirs = in_turns(
                max(1, turns // 2) if way.far else turns,
                lambda way=way: _timed(lambda: _read(way.host, LOG_BYTES)),
                lambda way=way, log=log: _timed(lambda: _run([*way.ssh, "cat", str(log)])),
            )
            figure = f"100 MB of log, {way.name}"
            rows.append(
                Row(
                    figure,
                    seconds(ours.seconds),
                    seconds(theirs.seconds),
                    ours.seconds / theirs.seconds,
                    "ours ÷ ssh cat",
                    1.25,
                )
            )
        return rows


def connect_rows(work: Path, turns: int) -> list[Row]:
    """A connection and its first program; one more over it."""
    work.mkdir(parents=True)
    with _ways(work) as ways:
        rows = []
        for way in ways:
            cold = [argument for argument in way.ssh if argument != "-S" and not argument.endswith(".master")]
            ours, theirs = in_turns(
                turns,
                lambda way=way: _timed(lambda: _fresh(way)),
                lambda cold=cold: _timed(lambda: _run([*cold, "true"])),
            )
            figure = f"connect, one program, {way.name}"
            rows.append(
                Row(figure, seconds(ours.seconds), seconds(theirs.seconds), ours.seconds / theirs.seconds, "ours ÷ ssh")
            )
            ours, theirs = in_turns(
                turns,
                lambda way=way: _timed(lambda: way.host.run(["true"]), rest=0.1),
                lambda way=way: _timed(lambda: _run([*way.ssh, "true"])),
            )
            figure = f"one more program, {way.name}"
            rows.append(
                Row(figure, seconds(ours.seconds), seconds(theirs.seconds), ours.seconds / theirs.seconds, "ours ÷ ssh")
            )
        return rows


def _synced(way: Way, tree: Path, work: Path, turns: int) -> list[Row]:
    fresh = count()
    shell = shlex.join(way.ssh)
    turns = max(2, turns // 2) if way.far else turns

    def first() -> None:
        number = next(fresh)
        os.environ["DISPATCHER_HOME"] = str(work / f"home-{way.short}-{tree.name}-{number}")
        way.host.push(manifest(tree).tree, f"{number}-{tree.name}/work")

    def tar() -> None:
        place = work / f"tar-{way.short}-{tree.name}-{next(fresh)}"
        place.mkdir()
        unpack = f"{shell} tar -C {place} --zstd -xf -"
        _run(["/bin/sh", "-c", f"tar -C {tree} --zstd -cf - . | {unpack}"])

    ours, theirs = in_turns(turns, lambda: _timed(first), lambda: _timed(tar))
    rows = [_row(f"first sync, {tree.name} files, {way.name}", ours, theirs, "ours ÷ tar --zstd | ssh", 1.0)]
    place = work / f"rsync-{way.short}-{tree.name}"
    os.environ["DISPATCHER_HOME"] = str(work / f"home-{way.short}-{tree.name}")

    def touched() -> None:
        (tree / "0" / "0.txt").write_text(f"{time.time()}\n" * 200)

    def again() -> None:
        way.host.push(manifest(tree).tree, f"again-{tree.name}")

    def rsync() -> None:
        _run(["rsync", "-az", "--delete", "-e", shell.removesuffix(" host"), f"{tree}/", f"host:{place}/"])

    again()
    time.sleep(0.1)
    again()
    rsync()
    ours, theirs = in_turns(turns, lambda: (touched(), _timed(again))[1], lambda: (touched(), _timed(rsync))[1])
    return [*rows, _row(f"re-sync, {tree.name} files, {way.name}", ours, theirs, "ours ÷ rsync -az", 0.6 if way.far else 1.0)]


def _row(figure: str, ours: Sample, theirs: Sample, compared: str, bound: float) -> Row:
    return Row(figure, seconds(ours.seconds), seconds(theirs.seconds), ours.seconds / theirs.seconds, compared, bound)


@contextmanager
def _ways(work: Path) -> Iterator[list[Way]]:
    """Near: loopback. Far: the same through a wire that delays and holds back, in a process of its own."""
    if not (shutil.which("rsync") and shutil.which("ssh")):
        raise Broken("rsync and ssh are needed")
    with sshd(work / "sshd") as server:
        argv = [PYTHON, "-c", WIRE, str(ROOT), str(server.port), str(DELAY), str(RATE)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as wire:
            assert wire.stdout
            ways = [_way("0 ms", work, server, server.port), _way("50 ms", work, server, int(wire.stdout.readline()), far=True)]
            try:
                yield ways
            finally:
                for way in ways:
                    way.host.close()
                    subprocess.run([*way.ssh[:-1], "-O", "exit", "host"], capture_output=True, check=False)
                wire.terminate()


def _way(name: str, work: Path, server: Sshd, port: int, *, far: bool = False) -> Way:
    at = work / name.replace(" ", "")
    at.mkdir()
    (at / "known").write_text(f"[127.0.0.1]:{port} {server.host_key}\n")
    (at / "config").write_text(
        f"Host host\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        f" UserKnownHostsFile {at}/known\n IdentitiesOnly yes\n"
    )
    ssh = ["ssh", "-F", str(at / "config"), "-S", str(at / "c.master"), "host"]
    subprocess.run([*ssh[:-1], "-M", "-N", "-f", "host"], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    target = Target("host", "127.0.0.1", getpass.getuser(), port, server.key, (server.host_key,))
    host = SshHost.open(target, str(at / "runs"))
    host.run(["true"])
    return Way(name, host, ssh, server, far)


def _fresh(way: Way) -> None:
    host = SshHost.open(way.host._target, way.host.root)  # noqa: SLF001  (the same place again)
    host.run(["true"])
    host.close()


def _read(host: SshHost, size: int) -> None:
    for chunk in host.read("log", 0):
        size -= len(chunk)
        if size <= 0:
            return


def _fill(root: Path, number: int, size: int) -> None:
    """Text of few letters: it shrinks to about half, as code and tables do."""
    source = random.Random(7)  # noqa: S311  (no secret: letters)
    for place in range(number):
        folder = root / str(place // 100)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place % 100}.txt").write_text(source.randbytes(size // 2).hex())


def _timed(task: object, rest: float = 0.0) -> Sample:
    time.sleep(rest)
    began, cpu = time.perf_counter(), time.process_time()
    task()  # type: ignore[operator]
    return Sample(time.perf_counter() - began, 0.0, time.process_time() - cpu)


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise Broken(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-200:]}")
