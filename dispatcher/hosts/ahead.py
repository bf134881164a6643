"""Work done in a thread, a little ahead of whoever uses it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")
DEPTH = 8
LOOK_SECONDS = 0.2


def ahead(source: Iterator[T], depth: int = DEPTH) -> Iterator[T]:
    """The same, made by a thread at most `depth` ahead, which ends when its user leaves. Errors come where they belong."""
    made: queue.Queue[tuple[str, T | BaseException | None]] = queue.Queue(depth)
    left = threading.Event()

    def put(kind: str, one: T | BaseException | None) -> None:
        while not left.is_set():
            try:
                made.put((kind, one), timeout=LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def make() -> None:
        try:
            for one in source:
                put("one", one)
                if left.is_set():
                    return
        except BaseException as error:  # noqa: BLE001  (it is raised again where the result is used)
            put("error", error)
        put("end", None)

    thread = threading.Thread(target=make, daemon=True, name="ahead")
    thread.start()
    try:
        while True:
            kind, one = made.get()
            if isinstance(one, BaseException) and kind == "error":
                raise one
            if kind == "end":
                return
            yield one  # type: ignore[misc]
    finally:
        left.set()
        thread.join()
