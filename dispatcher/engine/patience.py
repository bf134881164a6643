"""Waiting that a cancellation ends, and errors that end no running job."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from dispatcher.engine.context import Context, Work
from dispatcher.engine.step import Left
from dispatcher.errors import Cancelled, CloudRefused, HostError, LoginNeeded
from dispatcher.events import Warned

T = TypeVar("T")
LOOK_SECONDS = 0.1
LOOKS_PER_WISH = 10
"""Looks between two questions to the record, whether another mlrun wants this one to stop."""
BEFORE_START = "Cancelled before the job started"


class GivenUp(Exception):
    """Nobody waits for it any more; it may still go on."""


def cancellable(ctx: Context, work: Work, what: Callable[[], T], late: Callable[[T], None] | None = None) -> T:
    """What takes minutes elsewhere, left behind as soon as the user cancels; `late` gets what came after that.

    Only for what may be left behind: the machine it speaks with is destroyed next.
    """
    if work.in_place or work.adopting:
        return what()
    wishes = _every(LOOKS_PER_WISH, lambda: ctx.store.wished(work.run.id) == "stop")
    try:
        return waited(what, lambda: ctx.cancel.is_set() or wishes(), late)
    except GivenUp:
        raise Cancelled(BEFORE_START) from None


def waited(what: Callable[[], T], given_up: Callable[[], bool], late: Callable[[T], None] | None = None) -> T:
    """What `what` gives, unless it is given up meanwhile: GivenUp."""
    waiting = _Waiting(what, late)
    while not waiting.over.wait(LOOK_SECONDS):
        if given_up():
            waiting.leave()
            raise GivenUp
    return waiting.result()


def _every(count: int, look: Callable[[], bool]) -> Callable[[], bool]:
    """`look`, asked only every so many calls."""
    calls = itertools.count(1)
    return lambda: next(calls) % count == 0 and look()


class _Waiting(Generic[T]):
    """A call in a thread of its own, which may be left behind."""

    def __init__(self, what: Callable[[], T], late: Callable[[T], None] | None) -> None:
        self._what, self._late = what, late
        self._lock = threading.Lock()
        self._left = False
        self._found: list[T] = []
        self._error: BaseException | None = None
        self.over = threading.Event()
        threading.Thread(target=self._run, name="waiting", daemon=True).start()

    def leave(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._left = True
            if self._found and self._late:
                self._late(self._found[0])

    def result(self) -> T:
        """What came, or its error."""
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        try:
            found = self._what()
        except BaseException as error:  # noqa: BLE001  (raised again by whoever waits)
            self._error = error
        else:
            with self._lock:
                self._found.append(found)
                if self._left and self._late:
                    self._late(found)
        self.over.set()


@contextmanager
def ending_nothing(ctx: Context, work: Work) -> Iterator[None]:
    """A rented machine that cannot be asked may be at work: coming back to it in vain ends nothing, unless that is the wish."""
    try:
        yield
    except (HostError, LoginNeeded, CloudRefused) as error:
        if not work.adopting or not work.attempt.rented:
            raise
        if ctx.cancel.is_set():
            message = f"{work.attempt.where} cannot be asked: {error.message}. What the job left there is given up"
            ctx.tell(Warned(work.run.id, ctx.clock.now(), message))
            raise Cancelled("Stopped, though its machine could not be reached") from error
        message = f"The machine on {work.attempt.where} cannot be asked: {error.message}. Nothing was changed"
        ctx.tell(Warned(work.run.id, ctx.clock.now(), message, error.fix))
        raise Left from error
