"""Computers on paper and their time, and the desk at which drivers in other processes reach both."""

from __future__ import annotations

import contextlib
import threading
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from tests.guarantees.sim.computers import Answer, Computers
from tests.lab.clock import PaperClock


class GuardedClock(PaperClock):
    """Many may let time pass; one at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._moving = threading.RLock()

    def advance(self, seconds: float) -> None:
        with self._moving:
            super().advance(seconds)


class Served:
    """Its methods are what a driver may ask for, by name."""

    cloud: str
    computers: Computers

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = GuardedClock()
        self._listener = Listener(str(folder / "desk"), "AF_UNIX")
        self._over = False
        threading.Thread(target=self._serve, daemon=True).start()

    def now(self) -> float:
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.advance(max(0.0, seconds))

    def shell(self, host: str, argv: list[str], stdin: bytes) -> Answer:
        return self.computers.shell(host, argv, stdin) if self._answers(host) else Answer(None)

    def log(self, host: str, label: str, offset: int) -> Any:
        return self.computers.log(host, label, offset) if self._answers(host) else None

    def starts(self) -> int:
        """The most often that a computer was told to start a job."""
        return max((one.starts for one in self.computers.known.values()), default=0)

    def job_ends(self) -> list[float]:
        return [job.ended or 0.0 for one in self.computers.known.values() for job in one.jobs.values()]

    def close(self) -> None:
        self._over = True
        self._listener.close()
        self.clock.close()

    def _answers(self, host: str) -> bool:
        return host in self.computers.known

    def _serve(self) -> None:
        while not self._over:
            with contextlib.suppress(OSError, EOFError):
                threading.Thread(target=self._attend, args=(self._listener.accept(),), daemon=True).start()

    def _attend(self, visitor: Connection) -> None:
        with visitor, contextlib.suppress(EOFError, OSError):
            while True:
                name, arguments = visitor.recv()
                visitor.send(getattr(self, name)(*arguments))
