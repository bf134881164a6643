"""One program on a host, over a channel of the open connection."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import paramiko

from dispatcher.errors import HostUnreachable
from dispatcher.hosts.base import plain
from dispatcher.hosts.dial import CHANNEL_SECONDS, Link
from dispatcher.retries import Clock

CHUNK = 1 << 20
LOOK_SECONDS = 1.0
SILENCE_SECONDS = 20.0
"""A host that says nothing for so long, though asked whether it is there, is gone."""
ASK_SECONDS = 5.0
"""After so much silence it is asked."""
MARK = f"mlrun-{secrets.token_hex(6)}"
"""What stands before a program's own words: some people's shells greet whoever comes, also those who only run a command."""
LONGEST_GREETING = 1 << 16


class Pulse(threading.Thread):
    """Asks a silent host whether it is there, and closes the link when it is not: whoever waits for it then learns so."""

    def __init__(self, link: Link, clock: Clock) -> None:
        super().__init__(daemon=True, name="pulse")
        self._link, self._clock, self._over = link, clock, threading.Event()
        self._asking = threading.Lock()
        self.start()

    def run(self) -> None:
        """Look every second until the link is closed."""
        transport = self._link.transport
        while transport.is_active() and not self._clock.sleep(LOOK_SECONDS, self._over):
            silent = self._clock.monotonic() - self._link.heard.last
            if silent > SILENCE_SECONDS:
                self._link.close()
            elif silent > ASK_SECONDS and self._asking.acquire(blocking=False):
                threading.Thread(target=self._ask, args=(transport,), daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _ask(self, transport: Any) -> None:
        """The answer is noted by the socket; a link that is closed meanwhile ends the wait."""
        try:
            transport.global_request("keepalive@openssh.com", wait=True)
        except (OSError, EOFError):
            return
        finally:
            self._asking.release()


class Session:
    """A program that runs there: what it is told, what it says, how it ends. A link that breaks is HostUnreachable."""

    def __init__(self, link: Link, name: str, argv: Sequence[str], channel: Any = None) -> None:
        self._transport, self._name, self._said = link.transport, name, b""
        self._greeting: bytes | None = b""
        with self._errors():
            self._channel = channel or self._transport.open_session(timeout=CHANNEL_SECONDS)
            self._channel.settimeout(CHANNEL_SECONDS)
            self._channel.exec_command(f"echo {MARK}; exec {shlex.join(argv)}")
            self._channel.settimeout(LOOK_SECONDS)

    def send(self, data: bytes | memoryview) -> bool:
        """Send all of it, at the other side's pace. False where the program reads no more: its end tells why."""
        view = memoryview(data)
        while view:
            with self._errors():
                try:
                    sent = self._channel.send(view)
                except TimeoutError:
                    sent = -1
                except OSError:  # the channel is closed: by the program's end, or with the link
                    sent = 0
            if sent == 0:
                self._living()
                return False
            view = view[max(0, sent) :]
        return True

    def end_input(self) -> None:
        """Say that nothing more comes."""
        with self._errors():
            self._channel.shutdown_write()

    def chunks(self) -> Iterator[bytes]:
        """What the program says, to its end."""
        while chunk := self.receive():
            yield chunk

    def receive(self, size: int = CHUNK) -> bytes:
        """Some of what it says; b"" at the end."""
        while (found := self.poll(LOOK_SECONDS, size)) is None:
            continue
        return found

    def poll(self, seconds: float, size: int = CHUNK) -> bytes | None:
        """Some of what it says within so many seconds; None where nothing came, b"" at the end."""
        with self._errors():
            self._channel.settimeout(seconds)
            try:
                found: bytes = self._channel.recv(size)
            except TimeoutError:
                self._hear_complaints()
                return None
        if not found:
            self._living()
            self._said += self._greeting or b""  # it never came to the program: what the host said instead
        return self._after_greeting(found) if found and self._greeting is not None else found

    def _after_greeting(self, found: bytes) -> bytes | None:
        """What the program itself said of it; None while it has said nothing."""
        greeting, mark, rest = ((self._greeting or b"") + found).partition(f"{MARK}\n".encode())
        self._greeting = None if mark else greeting
        if len(greeting) > LONGEST_GREETING:
            text = f"{self._name} answers with something else than what was asked: {plain(greeting, 60)}"
            raise HostUnreachable(text, fix="Look at what its shell writes when somebody logs in.")
        return rest or None

    def exactly(self, size: int) -> bytes:
        """So many bytes of what it says; fewer only at its end."""
        parts, missing = [], size
        while missing and (chunk := self.receive(min(missing, CHUNK))):
            parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)

    def end(self) -> tuple[int, bytes]:
        """Its exit code once it has ended, 255 where the host tells none, and what stands in its standard error."""
        while not self._channel.status_event.wait(LOOK_SECONDS):
            self._living()
        status = self._channel.recv_exit_status()
        if status < 0:
            self._living()
        self._hear_complaints()
        self.close()
        return (status if status >= 0 else 255), self._said

    def close(self) -> None:
        """Let go of it; a program that still writes meets a closed pipe."""
        with contextlib.suppress(Exception):
            self._channel.close()

    def _hear_complaints(self) -> None:
        """A program whose complaints nobody reads would wait for ever."""
        while self._channel.recv_stderr_ready() and (found := self._channel.recv_stderr(CHUNK)):
            self._said += found

    def _living(self) -> None:
        if not self._transport.is_active():
            raise HostUnreachable(f"The connection to {self._name} is lost", fix="mlrun ps")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            said = str(error) or type(error).__name__
            raise HostUnreachable(f"The connection to {self._name} is lost: {said}", fix="mlrun ps") from error
