"""Named retry policies, and the one clock."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Protocol


class Clock(Protocol):
    """Time as an argument: tests hand in their own."""

    def now(self) -> float:
        """Unix seconds, for display and for deadlines that outlive this process."""

    def monotonic(self) -> float:
        """Seconds that only grow, for measuring."""

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        """Wait; True when `cancel` was set meanwhile."""


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The computer's own clock."""

    _never: threading.Event = field(default_factory=threading.Event)

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment, counting sleep where the system can."""
        boottime = getattr(time, "CLOCK_BOOTTIME", None)
        return time.monotonic() if boottime is None else time.clock_gettime(boottime)

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        """Wait, or return True as soon as `cancel` is set."""
        return (cancel or self._never).wait(max(0.0, seconds))
