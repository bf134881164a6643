"""Somebody with another host key answers in a computer's place, at first or in the middle."""

from __future__ import annotations

import getpass
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.errors import HostKeyMismatch
from dispatcher.hosts.ssh import SshHost, Target
from tests.sshd import Sshd, Wire, sshd

ASKED_IN = "userauth-request"
"""What sshd notes as soon as a client begins to log in."""


@dataclass
class Meetings:
    """How often a stranger was met, and what went wrong: he was believed, or was told anything but a greeting."""

    met: int = 0
    wrong: list[str] = field(default_factory=list)
    control: bool = False
    """Whether the same look at the right computer's own notes finds a login."""


def meet(times: int) -> Meetings:
    found = Meetings()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-strangers-")))
        right, stranger = (stack.enter_context(sshd(folder / name, LogLevel="DEBUG2")) for name in ("right", "stranger"))
        (stranger.folder / "authorized").write_bytes((right.folder / "id.pub").read_bytes())  # he would let anybody in
        wire = Wire(right.port)
        stack.callback(wire.close)
        target = Target("desk", "127.0.0.1", getpass.getuser(), wire.port, right.key, (right.host_key,))
        for number in range(times):
            _meet_first(found, target, wire, stranger) if number % 2 else _meet_later(found, target, wire, right, stranger)
        found.control = ASKED_IN in (right.folder / "log").read_text(errors="replace")
        if ASKED_IN in (stranger.folder / "log").read_text(errors="replace"):
            found.wrong.append("a stranger was asked for a login")
    return found


def _meet_first(found: Meetings, target: Target, wire: Wire, stranger: Sshd) -> None:
    wire.target = stranger.port
    found.met += 1
    try:
        SshHost.open(target, "/tmp").close()
    except HostKeyMismatch:
        return
    found.wrong.append("believed at first contact")


def _meet_later(found: Meetings, target: Target, wire: Wire, right: Sshd, stranger: Sshd) -> None:
    """After an hour of friendship the link breaks, and somebody else is at its end."""
    wire.target = right.port
    host = SshHost.open(target, "/tmp")
    try:
        host.run(["true"])
        wire.target = stranger.port
        wire.cut()
        found.met += 1
        for again in (lambda: host.reconnect(), lambda: SshHost.open(target, "/tmp").close()):
            try:
                again()
            except HostKeyMismatch:
                continue
            found.wrong.append("believed at a later contact")
    finally:
        host.close()
