"""The lab's time: the system's, or one that a test moves."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that will happen, unless cancelled."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """`later` with no delay happens at once: in a thread on the system's clock, in the caller on a moved one."""

    def now(self) -> float:
        """Unix seconds."""

    def later(self, seconds: float, act: Callable[[], object]) -> Timer: ...

    def close(self) -> None:
        """Nothing that is still to come happens."""


class SystemClock:
    """Real seconds; each act has a thread of its own."""

    def __init__(self) -> None:
        self._timers: set[threading.Timer] = set()
        self._lock = threading.Lock()

    def now(self) -> float:
        return time.time()

    def later(self, seconds: float, act: Callable[[], object]) -> Timer:
        def run() -> None:
            try:
                act()
            finally:
                with self._lock:
                    self._timers.discard(timer)

        timer = threading.Timer(max(seconds, 0.0), run)
        timer.daemon = True
        with self._lock:
            self._timers.add(timer)
        timer.start()
        return timer

    def close(self) -> None:
        """Cancel what waits, and let what has begun end."""
        with self._lock:
            waiting = list(self._timers)
        for timer in waiting:
            timer.cancel()
        for timer in waiting:
            if timer is not threading.current_thread():
                timer.join(10)
        with self._lock:
            self._timers.difference_update(waiting)


class _Planned:
    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act

    def cancel(self) -> None:
        self.act = None


class PaperClock:
    """Stands still until `advance`; what is due then happens in order, at its own time."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._heap: list[tuple[float, int, _Planned]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()

    def now(self) -> float:
        return self._now

    def later(self, seconds: float, act: Callable[[], object]) -> Timer:
        planned = _Planned(act)
        if seconds <= 0:
            act()
            return planned
        with self._lock:
            heapq.heappush(self._heap, (self._now + seconds, next(self._order), planned))
        return planned

    def advance(self, seconds: float) -> None:
        """Let this much time pass."""
        until = self._now + seconds
        while (planned := self._due(until)) is not None:
            if planned.act is not None:
                planned.act()
        self._now = max(self._now, until)

    def _due(self, until: float) -> _Planned | None:
        with self._lock:
            if not self._heap or self._heap[0][0] > until:
                return None
            at, _, planned = heapq.heappop(self._heap)
            self._now = max(self._now, at)
            return planned

    def close(self) -> None:
        with self._lock:
            self._heap.clear()
