"""Living processes that carry a label in their environment."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dispatcher.domain.run import Label
from dispatcher.retries import PROCESS_ENDS, Clock, wait_until

LABEL_VARIABLE = "DISPATCHER_LABEL"
CLIENT_VARIABLE = "DISPATCHER_CLIENT"
"""Which mlrun home on this computer made it: others' processes are strangers."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A living process of a job."""

    pid: int
    label: Label
    client: str
    began: float


def marked(label: Label | None = None) -> list[Marked]:
    """Living processes with that label, or with any; never this one."""
    me = os.getpid()
    return [one for one in _all_marked() if one.pid != me and label in (None, one.label)]


def end(label: Label, clock: Clock) -> list[Marked]:
    """Kill every process with that label, also those born meanwhile. Returns what would not die."""

    def gone() -> bool | None:
        living = marked(label)
        for one in living:
            _kill(one.pid)
        return True if not living else None

    return [] if wait_until(gone, PROCESS_ENDS, clock) else marked(label)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone already, or another user's: the next look tells


def _all_marked() -> Iterator[Marked]:
    if Path("/proc/self/environ").exists():
        return _by_proc()
    return _by_psutil()


def _by_proc() -> Iterator[Marked]:
    wanted = f"{LABEL_VARIABLE}=".encode()
    for name in os.listdir("/proc"):  # noqa: PTH208  (as quick as it can be: this runs at the start of every command)
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:  # noqa: PTH123
                raw = file.read()
            began = os.stat(f"/proc/{name}").st_ctime  # noqa: PTH116
        except OSError:
            continue
        if wanted in raw:
            yield from _read(int(name), _variables(raw), began)


def _variables(raw: bytes) -> dict[str, str]:
    pairs = (part.decode("utf-8", "replace").partition("=") for part in raw.split(b"\0"))
    return {name: text for name, _, text in pairs}


def _by_psutil() -> Iterator[Marked]:
    import psutil

    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                yield from _read(process.pid, process.environ(), process.create_time())
        except (psutil.Error, OSError):
            continue


def _read(pid: int, environment: dict[str, str], began: float) -> Iterator[Marked]:
    label = Label.parse(environment.get(LABEL_VARIABLE, ""))
    if label:
        yield Marked(pid, label, environment.get(CLIENT_VARIABLE, ""), began)
