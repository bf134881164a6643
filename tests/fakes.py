"""Stand-ins with behaviour: a clock that obeys, a cloud that bills."""

from __future__ import annotations

import threading


class FakeClock:
    """Time that passes only when told to, or while somebody sleeps on it."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self._now += max(0.0, seconds)
        return cancel is not None and cancel.is_set()

    def pass_time(self, seconds: float) -> None:
        self._now += seconds
