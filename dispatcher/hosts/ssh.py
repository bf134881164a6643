"""A computer reached over SSH, as a host: one open connection."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from dispatcher.errors import HostError, HostUnreachable
from dispatcher.hosts import download, upload
from dispatcher.hosts.base import End, Entry, Exit, Tree, plain
from dispatcher.hosts.dial import CHANNEL_SECONDS, Link, Target, dial
from dispatcher.hosts.job import agent_folder
from dispatcher.hosts.session import Pulse, Session
from dispatcher.hosts.tail import Tail
from dispatcher.retries import Clock, SystemClock

__all__ = ["SshHost", "Target"]
OLDEST_PYTHON = (3, 8)
FACTS = "import json,os,sys;print(json.dumps([os.path.expanduser('~'),list(sys.version_info[:2])]))"
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between tries of what an interruption does not harm: a host that is tried too often locks us out."""


class SshHost:
    """Host over one SSH connection, opened anew at the next call after it broke. Nothing is ever sent twice by itself."""

    def __init__(self, target: Target, root: str, link: Link, clock: Clock, *, keeps: bool = False) -> None:
        self.name, self.root = target.name, root
        self._keeps = keeps
        self._target, self._clock, self._lock = target, clock, threading.Lock()
        self._spare: Any = None
        self._closed = False
        self._pushed: list[tuple[str, Tree]] = []
        self._take(link)

    @property
    def target(self) -> Target:
        """Where it is, and the keys it may show."""
        return self._target

    @classmethod
    def open(cls, target: Target, root: str, *, clock: Clock | None = None, keeps: bool = False) -> SshHost:
        """Connect. Raises HostKeyMismatch before anything is sent to a stranger, HostUnreachable where nobody answers.

        A host that `keeps` has a copy of every folder pushed to it, for the next push from there.
        """
        clock = clock or SystemClock()
        host = cls(target, root, dial(target, clock), clock, keeps=keeps)
        if root.startswith("~"):
            try:
                host.root = host._home() + root[1:]
            except BaseException:
                host.close()
                raise
        return host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", on_output: Callable[[bytes], None] | None = None) -> Exit:
        """Run a program to its end; no shell reads `argv`, although one is there."""
        session = self.start(argv)
        try:
            session.send(stdin)
            session.end_input()
            said: list[bytes] = []
            for chunk in session.chunks():
                (on_output or said.append)(chunk)
            code, complaints = session.end()
        finally:
            session.close()
        return Exit(code, b"".join(said), complaints)

    def start(self, argv: Sequence[str]) -> Session:
        """Start a program, over a channel that was opened beforehand where there is one: that saves a round trip."""
        link = self._living()
        with self._lock:
            channel, self._spare = self._spare, None
        try:
            return Session(link, self.name, argv, channel)
        finally:
            threading.Thread(target=self._open_spare, args=(link,), daemon=True).start()

    def push(self, tree: Tree, remote: str, *, origin: str = "") -> None:
        """Make `remote` hold the tree's files: what is there already stays, the rest comes in one compressed stream.

        What an earlier push left there and the tree lacks is removed; files that a job made stay. `origin` names what the tree
        is a copy of: folders beside `remote` that hold an earlier copy of it lend what did not change.
        """
        if (remote, tree) in self._pushed:
            return
        origin = origin or f"{socket.gethostname()}:{tree.root}"
        places = [remote]
        if remote == agent_folder():
            self._pushed.append((remote, tree))
        elif self._keeps:
            places.insert(0, f"copy-{hashlib.sha256(origin.encode()).hexdigest()[:16]}")
        for place in places:
            self._again(partial(upload.push, self.start, tree, self._path(place), origin, self.name))

    def read(self, remote: str, offset: int) -> Iterator[bytes]:
        """Yield a file's bytes from `offset` as they come; b"" whenever there is nothing new, or no file yet."""
        with Tail(self.start, self._path(remote), offset) as tail:
            while True:
                frame = tail.next()
                if isinstance(frame, bytes) and (frame or tail.caught_up):
                    yield frame

    def follow(self, label: str, offset: int) -> Iterator[bytes | End | None]:
        """Yield an attempt's log from `offset`, None whenever nothing new is there, and at last how its job ended."""
        folder = self._path(label)
        with Tail(self.start, f"{folder}/log", offset, folder) as tail:
            while not isinstance(frame := tail.next(), End):
                yield frame or None
            yield frame

    def pull(self, entries: Sequence[Entry], remote: str, local: Path) -> None:
        """Bring files home below `local`, each verified by size and SHA-256 before it takes its name."""
        self._again(lambda: download.pull(self.start, entries, self._path(remote), local, self.name))

    def reconnect(self) -> None:
        """Drop the connection and open another."""
        self.close()
        self._take(dial(self._target, self._clock))
        self._closed = False

    def close(self) -> None:
        """Let go of the connection; nothing that runs there ends by it."""
        self._closed = True
        self._pulse.stop()
        self._link.close()

    def _again(self, action: Callable[[], None]) -> None:
        """Do what goes on where it stopped, also over a link that breaks now and then."""
        for pause in PAUSES:
            try:
                return action()
            except HostUnreachable:
                self._clock.sleep(pause)
        return action()

    def _take(self, link: Link) -> None:
        self._link, self._pulse, self._spare = link, Pulse(link, self._clock), None

    def _living(self) -> Link:
        if self._closed:
            raise HostUnreachable(f"The connection to {self.name} was closed", fix="mlrun ps")
        if not self._link.transport.is_active():
            self.reconnect()
        return self._link

    def _open_spare(self, link: Link) -> None:
        """Have a channel ready for the next program."""
        with contextlib.suppress(Exception):
            channel: Any = link.transport.open_session(timeout=CHANNEL_SECONDS)
            with self._lock:
                if self._spare is None and link is self._link:
                    self._spare = channel
                    return
            channel.close()

    def _path(self, remote: str) -> str:
        return str(PurePosixPath(self.root) / remote)

    def _home(self) -> str:
        """The user's home folder there, by a Python that is new enough."""
        done = self.run(["python3", "-ES", "-c", FACTS])
        try:
            home, version = json.loads(done.stdout)
        except ValueError as error:
            said = plain(done.stderr)
            raise HostError(f"{self.name} has no usable python3: {said}", fix="Install Python 3.8 or newer there.") from error
        if tuple(version) < OLDEST_PYTHON:
            shown = ".".join(map(str, version))
            raise HostError(f"{self.name} has Python {shown}, which is too old", fix="Install Python 3.8 or newer there.")
        return str(home)
