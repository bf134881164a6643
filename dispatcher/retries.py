"""Named retry policies, and the one clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait for what is not yet so: seconds before the second look, the longest pause, and the end of patience."""

    first: float
    longest: float
    patience: float
    growth: float = 2.0


PROCESS_ENDS = Policy(first=0.01, longest=0.5, patience=10.0)
"""A killed process leaves the table in milliseconds, unless it waits for a disk or a driver."""
TEARDOWN = Policy(first=0.5, longest=15.0, patience=120.0)
"""A provider takes seconds to minutes to show that a machine is gone."""

REDIAL = Policy(first=0.5, longest=15.0, patience=1800.0)
"""A laptop that sleeps or changes its network is back within minutes; the job goes on meanwhile."""
DRIVER_ENDS = Policy(first=0.05, longest=0.5, patience=60.0)
"""Another mlrun, told to stop, collects and tears down before it lets go."""


def wait_until(look: Callable[[], T | None], policy: Policy, clock: Clock, cancel: threading.Event | None = None) -> T | None:
    """What `look` finds, asked again until it is not None; None when patience or the caller's will has ended."""
    begun, pause = clock.monotonic(), policy.first
    while (found := look()) is None:
        if clock.monotonic() - begun + pause > policy.patience or clock.sleep(pause, cancel):
            return None
        pause = min(pause * policy.growth, policy.longest)
    return found
