"""What is to happen later: one small file for each schedule."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.errors import HostError, UsageError
from dispatcher.moments import zone_named
from dispatcher.scheduling.cron import next_firing

KEPT_FIRINGS = 50


@dataclass(frozen=True, slots=True)
class Firing:
    """A time when it was due: Unix seconds, and what came of it, a job at a time."""

    time: float
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Jobs to run at a moment, or again and again. Times are Unix seconds; `flags` are the words of `mlrun JOB`.

    `next` is when it is due; None once nothing is to come. `finish_by`, where jobs have one, is the moment that was meant
    when the schedule was made. `sha256` are of the job files as they were then.
    """

    id: str
    jobs: tuple[str, ...]
    sha256: tuple[str, ...]
    zone: str
    next: float | None
    cron: str | None = None
    finish_by: tuple[float | None, ...] = ()
    flags: tuple[str, ...] = ()
    waker: str = ""
    made: float = 0.0
    fired: tuple[Firing, ...] = ()

    @property
    def due(self) -> datetime | None:
        """When it is due, in its zone."""
        return datetime.fromtimestamp(self.next, zone_named(self.zone)) if self.next is not None else None

    def after(self, firing: Firing) -> Scheduled:
        """As it stands once it has fired: with its next time, if it has one."""
        fired = (*self.fired, firing)[-KEPT_FIRINGS:]
        if self.cron is None:
            return replace(self, next=None, fired=fired)
        late = datetime.fromtimestamp(max(firing.time, self.next or 0.0), zone_named(self.zone))
        return replace(self, next=next_firing(self.cron, late).timestamp(), fired=fired)


def folder() -> Path:
    """Where schedules stand."""
    return paths.data_dir() / "schedules"


def keep(schedule: Scheduled) -> None:
    """Write it down, whole. Raises HostError where it cannot be."""
    file = folder() / f"{schedule.id}.json"
    part = file.with_suffix(".part")
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as stream:
            json.dump(asdict(schedule), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as why:
        raise HostError(f"The schedule cannot be written to {file}: {why.strerror}", fix="Free some space there.") from why


def every() -> Iterator[Scheduled]:
    """All schedules, the next one first; what cannot be read is passed over: `unreadable` names it."""
    found = [one for file in sorted(folder().glob("*.json")) if (one := _read(file))]
    yield from sorted(found, key=lambda one: (one.next is None, one.next or 0.0, one.id))


def unreadable() -> list[Path]:
    """Files of schedules that nobody can read any more."""
    return [file for file in sorted(folder().glob("*.json")) if _read(file) is None]


def find(text: str) -> Scheduled:
    """The schedule with this id, or the one whose id begins so. Raises UsageError."""
    found = [one for one in every() if one.id == text] or [one for one in every() if text and one.id.startswith(text)]
    if len(found) != 1:
        what = "several schedules begin so" if found else "there is no such schedule"
        raise UsageError(f"{text!r}: {what}", fix="mlrun schedule ls")
    return found[0]


def forget(schedule: Scheduled) -> None:
    """Remove it."""
    (folder() / f"{schedule.id}.json").unlink(missing_ok=True)


def _read(file: Path) -> Scheduled | None:
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        known = {one.name: _tuple(document[one.name]) for one in fields(Scheduled) if one.name in document}
        return Scheduled(**known | {"fired": tuple(Firing(f["time"], tuple(f["outcomes"])) for f in known.get("fired", ()))})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
