"""A real sshd, a host that is reached through it, and what tests of it share."""

from __future__ import annotations

import getpass
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.domain.run import Label, new_run_id
from dispatcher.hosts.base import Entry
from dispatcher.hosts.ssh import SshHost, Target
from tests.sshd import Sshd, Wire, available, sshd

AWKWARD = bytes(range(256)) * 64 + b"\r50%\r100%\r\n\x1b]0;title\x07\xff\xfe\x00"
LABEL = str(Label(new_run_id()))
"""Another in each process: tests that run beside these end what carries their own."""
needs_sshd = pytest.mark.skipif(not available(), reason="needs sshd")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def target(server) -> Target:
    return Target("desk", "127.0.0.1", getpass.getuser(), server.port, server.key, (server.host_key,))


@pytest.fixture
def host(target, tmp_path) -> Iterator[SshHost]:
    opened = SshHost.open(target, str(tmp_path / "runs"))
    yield opened
    opened.close()


@pytest.fixture
def wire(server) -> Iterator[Wire]:
    made = Wire(server.port)
    yield made
    made.close()


def through(wire: Wire, target: Target) -> Target:
    return Target(target.name, target.address, target.user, wire.port, target.key, target.host_keys)


def entry(path: Path, name: str) -> Entry:
    data = (path / name).read_bytes()
    return Entry(name, len(data), sha256=hashlib.sha256(data).hexdigest())


def tree_of(root: Path) -> dict[str, tuple[bytes, bool]]:
    found = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.read_bytes(), os.access(path, os.X_OK)) for path in found}


def cut_after(wire: Wire, size: int) -> None:
    give_up = time.monotonic() + 20
    while wire.carried < size and time.monotonic() < give_up:
        time.sleep(0.005)
    wire.cut()
