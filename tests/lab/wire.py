"""A link with delay, loss, rate and cut: frames carried between two TAPs by a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.lab import kernel
from tests.lab.net import Net

ROOT = Path(__file__).resolve().parents[2]
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
QUEUE_SECONDS = 0.2
"""What a slow link holds before it drops, as a router's buffer does."""
BATCH = 64


@dataclass(slots=True)
class Link:
    """What happens to a frame, each way alike."""

    delay_ms: float = 0.0
    loss: float = 0.0
    mbit: float = 0.0
    cut: bool = False

    @property
    def plain(self) -> bool:
        return not (self.delay_ms or self.loss or self.mbit or self.cut)


@dataclass(slots=True)
class Way:
    """Frames on their way in one direction, in order."""

    out: int
    free: float = 0.0
    frames: deque[tuple[float, bytes]] = field(default_factory=deque)

    def take(self, frame: bytes, link: Link, now: float) -> None:
        """Put a frame on its way, or lose it."""
        if link.cut or (link.loss and random.random() < link.loss):
            return
        due = now + link.delay_ms / 1000
        if link.mbit:
            start = max(self.free, now)
            if start - now > QUEUE_SECONDS:
                return
            self.free = start + len(frame) * 8 / (link.mbit * 1e6)
            due += self.free - now
        if self.frames:
            due = max(due, self.frames[-1][0])
        self.frames.append((due, frame))

    def deliver(self, now: float) -> float:
        """Hand over what is due; when the next one will be."""
        while self.frames and self.frames[0][0] <= now:
            frame = self.frames.popleft()[1]
            try:
                os.write(self.out, frame)
            except OSError:
                continue  # the other end is down: lost
        return self.frames[0][0] if self.frames else now + 3600


class Wire:
    """The process that carries a host's frames, between its cable and the lab's bridge."""

    def __init__(self, net: Net, host: str, mark: str) -> None:
        self.net, self.host = net, host
        cable = net.link_of(host)
        self.own, self.near, self.far = f"{cable}w", f"{cable}a", f"{cable}b"
        command = [sys.executable, "-m", "tests.lab.wire", self.near, self.far]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=ROOT, env=kernel.clean_environment(**mark_of(mark)), **pipes)  # type: ignore[call-overload]
        self._answer()
        kernel.call("ip", "link", "add", self.own, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        kernel.call("ip", "link", "set", self.near, "master", self.own, "up")
        kernel.call("ip", "link", "set", self.far, "master", net.bridge, "up")
        kernel.call("ip", "link", "set", self.own, "up")
        kernel.call("ip", "link", "set", cable, "master", self.own)

    def set(self, link: Link) -> None:
        words = {name: getattr(link, name) for name in Link.__slots__}  # type: ignore[attr-defined]
        self._input.write(json.dumps(words) + "\n")
        self._input.flush()
        self._answer()

    def close(self) -> None:
        """The cable goes back to the bridge; connections stay."""
        kernel.call("ip", "link", "set", self.net.link_of(self.host), "master", self.net.bridge, check=False)
        kernel.call("ip", "link", "delete", self.own, check=False)
        self._input.close()
        self._process.wait(10)
        self._output.close()

    @property
    def _input(self) -> IO[str]:
        return self._process.stdin  # type: ignore[no-any-return]

    @property
    def _output(self) -> IO[str]:
        return self._process.stdout  # type: ignore[no-any-return]

    def _answer(self) -> None:
        if self._output.readline().strip() != "ok":
            raise kernel.LabError(f"the wire of {self.host} has ended: {self._process.wait(10)}")


def mark_of(mark: str) -> dict[str, str]:
    """A wire is found by its lab's sweep, but is not one of its host's processes."""
    name, _, value = mark.partition("=")
    return {name: f"{value}.wire"}


def tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def carry(near: int, far: int, orders: int) -> None:
    """Until nobody gives orders any more."""
    link, ways = Link(), {near: Way(far), far: Way(near)}
    poller = select.epoll()
    for descriptor in (near, far, orders):
        poller.register(descriptor, select.EPOLLIN)
    while True:
        due = min(way.deliver(time.monotonic()) for way in ways.values())
        for descriptor, _ in poller.poll(max(0.0, min(due - time.monotonic(), 3600))):
            if descriptor != orders:
                _receive(descriptor, ways[descriptor], link)
            elif line := os.read(orders, 65536):
                link = Link(**json.loads(line.splitlines()[-1]))
                print("ok", flush=True)
            else:
                return


def _receive(descriptor: int, way: Way, link: Link) -> None:
    for _ in range(BATCH):
        try:
            frame = os.read(descriptor, 65536)
        except OSError:
            return  # nothing more, or the TAP is down
        way.take(frame, link, time.monotonic())


def main() -> None:
    near, far = (tap(name) for name in sys.argv[1:3])
    print("ok", flush=True)
    carry(near, far, sys.stdin.fileno())


if __name__ == "__main__":
    main()
