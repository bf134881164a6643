"""Opens one SSH connection to a host whose key is known beforehand."""

from __future__ import annotations

import contextlib
import getpass
import logging
import re
import socket
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fabric
import paramiko
from paramiko.config import SSHConfig
from paramiko.hostkeys import HostKeyEntry

from dispatcher.errors import HostError, HostKeyMismatch, HostUnreachable
from dispatcher.hosts.ssh_config import Place, look_up
from dispatcher.retries import Clock

CONNECT_SECONDS, LOGIN_SECONDS, CHANNEL_SECONDS = 10.0, 20.0, 20.0
COMMAND_ENDS_SECONDS = 2.0
WINDOW_BYTES = 16 << 20
"""With paramiko's own 2 MiB a long link stands idle half of the time."""
KEEPALIVE_SECONDS = 15
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr", "aes192-ctr")
KEYLESS = "Nobody is let in without a key that is known"
logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it says goes to our errors, not to the terminal


@dataclass(frozen=True, slots=True)
class Target:
    """A computer to reach. `name` is what people call it; `host_keys` ("ssh-ed25519 AAAA…") are the only ones accepted.

    With `config`, the computer is the user's own: ~/.ssh/config, known_hosts, keys and agent speak where nothing is said here.
    """

    name: str
    address: str
    user: str = ""
    port: int = 22
    key: Path | None = None
    host_keys: tuple[str, ...] = ()
    config: bool = False


class Heard:
    """A socket that knows when it last brought anything: a dead link looks alive otherwise."""

    def __init__(self, inner: Any, clock: Clock) -> None:
        self._inner, self._clock, self.last = inner, clock, clock.monotonic()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def recv(self, size: int) -> bytes:
        """Receive, and note the moment."""
        found: bytes = self._inner.recv(size)
        self.last = self._clock.monotonic()
        return found

    def close(self) -> None:
        """Close it; a command that stands in for a socket may have ended by itself."""
        with contextlib.suppress(ProcessLookupError):
            self._inner.close()

    def see_off(self) -> None:
        """Wait for a command that stands in for a socket."""
        process = getattr(self._inner, "process", None)
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=COMMAND_ENDS_SECONDS)


@dataclass(slots=True)
class Link:
    """An open connection: its transport, and the connections that carry it."""

    transport: Any
    heard: Heard
    chain: fabric.Connection

    def close(self) -> None:
        """Close it and what carries it."""
        connection: Any = self.chain
        while connection is not None and not isinstance(connection, (str, bool)):
            connection.close()
            connection = connection.gateway
        self.heard.see_off()


def dial(target: Target, clock: Clock) -> Link:
    """Open a connection. Nothing is sent to a computer that shows another host key than it should."""
    place = look_up(target.address) if target.config else Place(target.address, target.port, target.user)
    heard: list[Heard] = []
    connection = _connection(target, place, clock, heard)
    try:
        connection.open()
    except Exception as error:
        Link(None, Heard(None, clock), connection).close()
        raise _told(target, error) from error
    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
    return Link(connection.transport, heard[-1], connection)


def _connection(target: Target, place: Place, clock: Clock, heard: list[Heard]) -> fabric.Connection:
    """Fabric's connection, made strict: it would take any host key, and read files that are not ours."""
    user = target.user or place.user or getpass.getuser()
    port = place.port if target.config and target.port == 22 else target.port
    connection = fabric.Connection(
        place.address,
        user=user,
        port=port,
        gateway=_gateway(place, user, port, clock) or False,
        forward_agent=False,
        connect_timeout=int(CONNECT_SECONDS),
        config=fabric.Config(ssh_config=SSHConfig(), lazy=True),
        connect_kwargs=_login(target, place) | {"transport_factory": partial(_transport, clock=clock, heard=heard)},
    )
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    _pin(connection.client, place, port, target)
    return connection


def _gateway(place: Place, user: str, port: int, clock: Clock) -> fabric.Connection | str | None:
    """What the connection leads through: the last of the jump hosts, each behind the one before; or a command."""
    words = {"%h": place.address, "%p": str(port), "%r": user}
    found: Any = re.sub("%[hpr]", lambda one: words[one.group()], place.command)
    for hop in place.jumps:
        behind = look_up(hop)
        through = Target(hop, hop, config=True)
        connection = _connection(through, behind, clock, [])
        connection.gateway = found or connection.gateway
        found = connection
    return found or None


def _login(target: Target, place: Place) -> dict[str, Any]:
    """How we show who we are: to rented machines by the run's key alone."""
    own = target.config
    keys = [str(target.key)] if target.key else [str(file) for file in place.keys if file.is_file()]
    return {
        "key_filename": keys,
        "allow_agent": own and not place.only_named,
        "look_for_keys": own and not keys,
        "banner_timeout": LOGIN_SECONDS,
        "auth_timeout": LOGIN_SECONDS,
        "channel_timeout": CHANNEL_SECONDS,
    }


def _pin(client: Any, place: Place, port: int, target: Target) -> None:
    """Have the client know the keys that are pinned; for the user's own computers also what known_hosts says."""
    shown = place.address if port == 22 else f"[{place.address}]:{port}"
    known = client.get_host_keys()
    for line in target.host_keys:
        kind, _, rest = line.strip().partition(" ")
        try:
            entry = HostKeyEntry.from_line(f"{shown} {kind} {rest.split()[0] if rest else ''}")
        except (paramiko.SSHException, ValueError):
            entry = None
        if entry is None or entry.key is None:
            raise HostKeyMismatch(f"The key pinned for {target.name} is not readable: {line[:60]}")
        known.add(shown, entry.key.get_name(), entry.key)
    if target.host_keys or not target.config:
        return
    files = paramiko.HostKeys()
    for file in place.known_hosts:
        if file.is_file():
            files.load(str(file))
    for name in (place.alias, shown) if place.alias else (shown,):
        for key in (files.lookup(name) or {}).values():
            known.add(shown, key.get_name(), key)


def _transport(sock: Any, *, clock: Clock, heard: list[Heard], **options: Any) -> paramiko.Transport:
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    heard.append(Heard(sock, clock))
    made = paramiko.Transport(heard[-1], default_window_size=WINDOW_BYTES, **options)
    offered = made.get_security_options()
    offered.ciphers = tuple(one for one in CIPHERS if one in offered.ciphers)
    return made


def _told(target: Target, error: Exception) -> HostError:
    """What a library raised, as our error; in one place only."""
    name = target.name
    if isinstance(error, HostError):
        return error
    if isinstance(error, paramiko.BadHostKeyException):
        text = f"{name} shows another host key than the one known for it. Nothing was sent: it may be another computer"
        return HostKeyMismatch(text, fix=f"Find out why; for a host of your own: ssh-keygen -R {target.address}")
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        fix = f"ssh {target.address}, once, and compare the key"
        return HostKeyMismatch(f"{name} has no known host key. {KEYLESS}", fix=fix)
    if isinstance(error, paramiko.AuthenticationException):
        return HostUnreachable(f"{name} does not let us in: {error}", fix=f"ssh {target.address}")
    if isinstance(error, (paramiko.SSHException, OSError, EOFError)):
        said = str(error) or type(error).__name__
        return HostUnreachable(f"{name} does not answer at {target.address}: {said}", fix="mlrun doctor")
    return HostError(f"{name} cannot be connected to: {type(error).__name__}: {error}", fix="mlrun doctor")
