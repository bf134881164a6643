"""Computers of one's own that are awkward or broken: behind another, chatty, talking nonsense, without a setup that works."""

from __future__ import annotations

import getpass
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shell import Shell
from tests.sshd import Sshd, available, sshd

pytestmark = pytest.mark.skipif(not available(), reason="needs sshd")
DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    where: ssh:desk
"""
NONSENSE = ("printf '{]'", "echo '[[[[1'; exit 7", "exit 0")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    path = f"{folder}/bin:{os.environ['PATH']}"
    with sshd(folder, SetEnv=f"HOME={folder}/home PATH={path}", AllowTcpForwarding="no") as running:
        (folder / "bin").mkdir()
        yield running


@pytest.fixture(scope="module")
def jump(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """The only way in from outside; nothing is run on it."""
    with sshd(tmp_path_factory.mktemp("jump"), AllowTcpForwarding="yes", ForceCommand="/bin/false") as running:
        yield running


@pytest.fixture
def desk(shell: Shell, server: Sshd) -> Shell:
    """A user whose settings name one computer."""
    settings = shell.home / "dispatcher" / "config"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.yaml").write_text("hosts: {desk: {ssh: desk-lan, share: always}}\n")
    shell.env["HOME"] = str(shell.home)
    shell.env.pop("SSH_AUTH_SOCK", None)
    (shell.home / ".ssh").mkdir()
    known(shell, {"desk-lan": (server, "")})
    return shell


def known(shell: Shell, hosts: dict[str, tuple[Sshd, str]]) -> None:
    """The user's ssh configuration: names, and what else stands below each."""
    config = [
        f"Host {name}\n HostName 127.0.0.1\n Port {one.port}\n User {getpass.getuser()}\n IdentityFile {one.key}\n{more}"
        for name, (one, more) in hosts.items()
    ]
    (shell.home / ".ssh" / "config").write_text("".join(config))
    keys = [f"[127.0.0.1]:{one.port} {one.host_key}\n" for one, _ in hosts.values()]
    (shell.home / ".ssh" / "known_hosts").write_text("".join(keys))


def there(server: Sshd) -> list[Path]:
    """What runs left on the computer."""
    root = server.folder / "home" / ".local/share/dispatcher/runs"
    return list(root.glob("mlrun-*")) if root.is_dir() else []


def test_ssh_a_computer_behind_another_is_reached_through_it(desk: Shell, server: Sshd, jump: Sshd) -> None:
    known(desk, {"desk-lan": (server, " ProxyJump gate\n"), "gate": (jump, "")})
    done = desk.mlrun(desk.write("    run: echo behind; echo made > out.txt\n    outputs: [out.txt]\n" + DESCRIBED))
    assert (0, b"behind\n", "made\n") == (done.code, done.stdout, (desk.folder / "out.txt").read_text()), done.said
    assert there(server) == []
    assert "Accepted publickey" in (jump.folder / "log").read_text()


def test_ssh_what_a_shell_there_says_at_login_is_no_answer(desk: Shell, server: Sshd) -> None:
    greeting = server.folder / "home" / ".bashrc"
    greeting.write_text("echo Welcome to the lab; echo quota: fine >&2\n")
    done = desk.mlrun(desk.write("    run: echo said; echo made > out.txt; exit 3\n    outputs: [out.txt]\n" + DESCRIBED))
    greeting.unlink()
    assert (3, b"said\n", "made\n") == (done.code, done.stdout, (desk.folder / "out.txt").read_text()), done.said


@pytest.mark.long
def test_ssh_setup_that_fails_shows_what_it_said_and_nothing_stays(desk: Shell, server: Sshd) -> None:
    done = desk.mlrun(desk.write("    setup: echo no such wheel; exit 9\n    run: echo never\n" + DESCRIBED))
    assert (104, b"") == (done.code, done.stdout), done.said
    assert "no such wheel" in done.err
    assert there(server) == []


@pytest.mark.parametrize(
    "said", ["head -c 300000 /dev/urandom", *(pytest.param(one, marks=pytest.mark.long) for one in NONSENSE)]
)
def test_ssh_a_computer_whose_python_talks_nonsense_is_said_and_given_up(desk: Shell, server: Sshd, said: str) -> None:
    python = server.folder / "bin" / "python3"
    python.write_text(f"#!/bin/sh\n{said}\n")
    python.chmod(0o755)
    done = desk.mlrun(desk.write("    run: echo never\n" + DESCRIBED))
    python.unlink()
    assert (104, b"") == (done.code, done.stdout), done.said
    assert "Traceback" not in done.err
    assert "a bug in mlrun" not in done.err
    assert desk.runs() == []


@pytest.mark.long
def test_ssh_something_else_than_an_ssh_server_is_said(desk: Shell, server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_talk, args=(listener,), daemon=True).start()
        config = desk.home / ".ssh" / "config"
        config.write_text(config.read_text().replace(f"Port {server.port}", f"Port {port}"))
        done = desk.mlrun(desk.write("    run: echo never\n" + DESCRIBED))
    assert (104, b"") == (done.code, done.stdout), done.said
    assert "Traceback" not in done.err


def _talk(listener: socket.socket) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        with caller:
            caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"\x00\xff" * 500)
