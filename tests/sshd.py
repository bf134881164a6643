"""A real sshd on loopback, and a link to it that can be cut, stalled or slowed."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
CHUNK = 1 << 16


def available() -> bool:
    """Whether a sshd can be started here."""
    return os.access(SSHD, os.X_OK) and shutil.which("ssh-keygen") is not None


@dataclass
class Sshd:
    """A server with keys of its own. It lets in who has `key`, as the user that runs it, with `home` as the home folder."""

    folder: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    config: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        return self.folder / "id"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    def start(self) -> Sshd:
        for name in ("id", "host"):
            if not (self.folder / name).exists():
                argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
                subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(self.folder / "id.pub", self.folder / "authorized")
        self.home.mkdir(exist_ok=True)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.port = self.port or free_port()
        (self.folder / "config").write_text(self._config())
        argv = [SSHD, "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log)
        wait_for_port(self.port)
        return self

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def _config(self) -> str:
        said = {
            "Port": str(self.port),
            "ListenAddress": "127.0.0.1",
            "HostKey": str(self.folder / "host"),
            "AuthorizedKeysFile": str(self.folder / "authorized"),
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "MaxSessions": "10",
            "SetEnv": f"HOME={self.home}",
            **self.config,
        }
        return "".join(f"{key} {value}\n" for key, value in said.items())


@contextlib.contextmanager
def sshd(folder: Path, **config: str) -> Iterator[Sshd]:
    """A running server, gone at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Sshd(folder, config=config)
    try:
        yield server.start()
    finally:
        server.stop()


class Wire:
    """A link to a port on loopback: `delay` seconds each way, at most `rate` bytes a second, cut or stalled at will."""

    def __init__(self, port: int, delay: float = 0.0, rate: float = 0.0) -> None:
        self.target, self.delay, self.rate = port, delay, rate
        self.stalled, self.refusing, self.carried = threading.Event(), False, 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """Break every connection, as a router that restarts does."""
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        """Accept no more, and cut."""
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in it
        self._accepting.join()
        self._listener.close()
        self.stalled.clear()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refusing:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            threading.Thread(target=self._carry_both, args=(near, far), daemon=True).start()

    def _carry_both(self, near: socket.socket, far: socket.socket) -> None:
        back = threading.Thread(target=self._carry, args=(far, near), daemon=True)
        back.start()
        self._carry(near, far)
        back.join()
        near.close()
        far.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        """One direction. What was taken in waits for its time; a full pipe of a second's traffic holds the sender back."""
        waiting: deque[tuple[float, bytes]] = deque()
        selector, free_at, open_ = selectors.DefaultSelector(), 0.0, True
        selector.register(source, selectors.EVENT_READ)
        room = max(CHUNK, int((self.delay + 0.02) * self.rate)) if self.rate else 64 << 20
        try:
            while open_ or waiting:
                due = waiting[0][0] - time.monotonic() if waiting else 1.0
                full = sum(len(one) for _, one in waiting) >= room
                if due > 0 and not full and open_:
                    ready = selector.select(due)
                else:
                    time.sleep(max(0.0, min(due, 0.01)))
                    ready = [] if full or not open_ else selector.select(0)
                if self.stalled.is_set():
                    time.sleep(0.02)
                    continue
                if ready:
                    chunk = source.recv(CHUNK)
                    open_ = bool(chunk)
                    free_at = max(free_at, time.monotonic()) + (len(chunk) / self.rate if self.rate else 0.0)
                    waiting.append((free_at + self.delay, chunk))
                while waiting and waiting[0][0] <= time.monotonic():
                    chunk = waiting.popleft()[1]
                    if not chunk:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(chunk)
                    self.carried += len(chunk)
        except OSError:
            return
        finally:
            selector.close()
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    """Wait until somebody listens."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < give_up, f"nobody listens on {port}"
            time.sleep(0.01)
        else:
            return
