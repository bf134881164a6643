"""The other side of the desk: a world's clock and computers, as a driver in its own process sees them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any
from unittest import mock

from dispatcher.errors import HostKeyMismatch, HostUnreachable
from dispatcher.hosts.base import End, Entry, Exit, Tree
from dispatcher.hosts.dial import Target
from tests.guarantees.sim.computers import OUTPUT

PAUSE = 5.0
"""Seconds between looks at a log that has nothing new."""


class Desk:
    """Asks the world. One question at a time."""

    def __init__(self, path: str) -> None:
        self._link = Client(path, "AF_UNIX")
        self._lock = threading.Lock()

    def ask(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            self._link.send((name, arguments))
            return self._link.recv()


class DeskClock:
    """The product's clock on the world's time: who sleeps moves it. `skew`: how wrong this computer's clock is, as it runs."""

    def __init__(self, desk: Desk, skew: Callable[[float], float] = lambda _true: 0.0) -> None:
        self.desk, self.skew = desk, skew

    def now(self) -> float:
        true = self.monotonic()
        return true + self.skew(true)

    def monotonic(self) -> float:
        return float(self.desk.ask("now"))

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self.desk.ask("sleep", seconds)
        return cancel is not None and cancel.is_set()


SDKS = {
    "aws": ("botocore.endpoint.time",),
    "gcp": ("google.api_core.retry.retry_unary.time", "google.api_core.retry.retry_base.time"),
}


@contextlib.contextmanager
def sdks_on(clock: DeskClock, cloud: str) -> Iterator[None]:
    """The cloud's own library, which asks again by itself, waits in the world's time too."""
    with contextlib.ExitStack() as stack:
        for name in SDKS[cloud]:
            stack.enter_context(mock.patch(name, clock))
        yield


class DeskHost:
    """A paper host, where the product expects a computer over SSH. `effect` hears of all that changes it, before it does."""

    agent = ("python3", "/agent")

    def __init__(self, desk: Desk, host: str, root: str, clock: DeskClock, effect: Callable[[str], None]) -> None:
        self.desk, self.host, self.name, self.root, self.clock, self.effect = desk, host, host, root, clock, effect

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", on_output: Callable[[bytes], None] | None = None) -> Exit:
        if told := changes(argv):
            self.effect(told)
        done = self.desk.ask("shell", self.host, list(argv), stdin)
        if done.code is None:
            raise HostUnreachable(f"{self.name} does not answer")
        return Exit(done.code, done.stdout, done.stderr)

    def push(self, tree: Tree, remote: str) -> None:
        self.effect("host files")
        self.run(["mkdir", "-p", remote])

    def read(self, remote: str, offset: int) -> Iterator[bytes]:
        label, _, name = remote.partition("/")
        while True:
            told = self.desk.ask("log", self.host, label, offset) if name == "log" else (b"", None, 0)
            if told is None:
                raise HostUnreachable(f"{self.name} does not answer")
            offset += len(told[0])
            yield told[0]

    def follow(self, label: str, offset: int) -> Iterator[bytes | End | None]:
        while True:
            told = self.desk.ask("log", self.host, label, offset)
            if told is None:
                raise HostUnreachable(f"{self.name} does not answer")
            fresh, ended, size = told
            if fresh:
                offset += len(fresh)
                yield fresh
            elif ended:
                yield End(ended, size)
            else:
                self.clock.sleep(PAUSE)
                yield None

    def pull(self, entries: Sequence[Entry], remote: str, local: Path) -> None:
        for entry in entries:
            (local / entry.path).write_bytes(OUTPUT)

    def close(self) -> None:
        """There is no connection."""


def opener(desk: Desk, clock: DeskClock, effect: Callable[[str], None]) -> Callable[..., DeskHost]:
    """Takes the place of SshHost.open."""

    def open_host(target: Target, root: str, **_settings: Any) -> DeskHost:
        found = desk.ask("knock", target.address)
        if found is None:
            raise HostUnreachable(f"{target.address} does not answer")
        host, shown = found
        if not target.config and shown not in target.host_keys:
            raise HostKeyMismatch(f"{target.address} shows another host key")
        return DeskHost(desk, host, root, clock, effect)

    return open_host


def changes(argv: Sequence[str]) -> str:
    """What a command changes on the computer; "" where it only looks."""
    words = [word for word in argv if word in ("start", "stop", "touch", "new", "use", "rm", "make", "end")]
    return f"host {words[0]}" if words else ""
