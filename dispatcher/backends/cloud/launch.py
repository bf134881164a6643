"""What launches have in common: repetition, and doubt."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from dispatcher.backends.cloud.codes import Failure
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.since import seconds_since, stamp
from dispatcher.errors import Cancelled, HostUnreachable
from dispatcher.retries import Clock, Policy, wait_until

REPLAY_SECONDS = 3600.0
"""No cloud says how long it remembers a token: a request is repeated within an hour only."""
QUIET_SECONDS = 900.0
"""What a cloud has not shown so long after the last request was sent, it never made."""
QUIET = Policy(first=2.0, longest=30.0, patience=QUIET_SECONDS)
PATIENCE_SECONDS, LONGEST_PAUSE = 600.0, 60.0
Launch = dict[str, Any]
"""region, zone, request; first and sent (Unix seconds); doubt; id; over ("", refused, foreign or gone); and a cloud's own."""
A = TypeVar("A")
M = TypeVar("M")


class Sender(Generic[A]):
    """Carries out a launch that is written down."""

    def __init__(
        self, account: A, clock: Clock, jitter: Callable[[], float] = random.random, cancel: threading.Event | None = None
    ) -> None:
        self._account, self._clock, self._jitter, self._cancel = account, clock, jitter, cancel

    def _pauses(self) -> Pauses:
        return Pauses(self._clock, self._jitter, self._cancel)

    def _started(self, look: Callable[[], M | None], policy: Policy) -> M | None:
        """A machine once it runs; None where it did not in time. Raises Cancelled as soon as nobody wants it any more."""
        found = wait_until(look, policy, self._clock, self._cancel)
        if found is None:
            heed(self._cancel)
        return found

    @contextmanager
    def _sending(self, keyring: Keyring, launch: Launch) -> Iterator[None]:
        """Around the request: from before it is sent until there is an answer, nobody knows what became of it."""
        check_age(launch, self._clock)
        stamp(launch, self._clock)
        launch.setdefault("first", launch["sent"])
        before = bool(launch.get("doubt"))
        keyring.note(launch | {"doubt": True})
        try:
            yield
        except Failure as failure:
            launch["doubt"] = before or failure.ambiguous
            raise
        launch["doubt"] = False


class Pauses:
    """Pauses between tries, each twice as long as the one before; and what was spent so far."""

    def __init__(self, clock: Clock, jitter: Callable[[], float], cancel: threading.Event | None = None) -> None:
        self._clock, self._jitter, self._cancel = clock, jitter, cancel
        self._begun, self._next = clock.monotonic(), 1.0

    @property
    def spent(self) -> float:
        """Seconds since the first try."""
        return self._clock.monotonic() - self._begun

    def rest(self) -> None:
        """Wait for the next try."""
        self._clock.sleep(self._next * (0.5 + self._jitter() / 2), self._cancel)
        heed(self._cancel)
        self._next = min(self._next * 2, LONGEST_PAUSE)


def heed(cancel: threading.Event | None) -> None:
    """Raise Cancelled where the machine is not wanted any more: its intent is written down, so that it is destroyed."""
    if cancel is not None and cancel.is_set():
        raise Cancelled("Cancelled before the job started")


def check_age(launch: Launch, clock: Clock) -> None:
    """Raise HostUnreachable where the cloud may have forgotten the first request, and would make another machine."""
    if clock.now() - float(launch.get("first") or clock.now()) > REPLAY_SECONDS:
        raise HostUnreachable("An earlier request is too old to be repeated safely", fix="mlrun sweep --check")


def unresolved(launch: Launch | None, clock: Clock, *, late: bool = False) -> bool:
    """Whether a machine may yet come to light that the launch made; `late` where even one that was told of may."""
    if launch is None or launch.get("over") or not launch.get("sent"):
        return False
    return bool(launch.get("doubt") or (late and launch.get("id"))) and seconds_since(launch, clock) < QUIET_SECONDS
