"""Finding the processes that a test has started, however far they went."""

from __future__ import annotations

import os
import time
from pathlib import Path

MARK = "DISPATCHER_TEST"


def settled(mark: bytes, grace: float = 2.0) -> dict[int, str]:
    """Who still carries the mark once those who are just leaving have left."""
    until = time.monotonic() + grace
    while left := running_with(mark):
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return {}


def running_with(mark: bytes) -> dict[int, str]:
    """Processes with the mark in their environment: pid and command. Only Linux lets us look."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found
