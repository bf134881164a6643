"""The lab's bill: seconds and dollars of everything, and every call."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.clock import Clock, SystemClock


@dataclass(slots=True)
class Line:
    """Something that costs, or did. Times are Unix seconds."""

    cloud: str
    kind: str
    name: str
    usd_per_hour: float
    tags: dict[str, str]
    began: float
    ended: float | None = None

    def seconds(self, now: float) -> float:
        return max((now if self.ended is None else self.ended) - self.began, 0.0)

    def usd(self, now: float) -> float:
        return self.seconds(now) / 3600 * self.usd_per_hour

    def has(self, tags: Mapping[str, str]) -> bool:
        return all(self.tags.get(key) == value for key, value in tags.items())


@dataclass(frozen=True, slots=True)
class Call:
    """An API call as it was answered. `outcome` is ok, an error code, or lost."""

    time: float
    cloud: str
    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "ok"


class Ledger:
    """Implements Bill; the truth that tests assert on."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.lines: list[Line] = []
        self.calls: list[Call] = []
        self._lock = threading.RLock()

    def begin(self, cloud: str, kind: str, name: str, usd_per_hour: float, tags: Mapping[str, str]) -> None:
        """Where it costs already, a new price begins now."""
        with self._lock:
            self.end(cloud, kind, name)
            self.lines.append(Line(cloud, kind, name, usd_per_hour, dict(tags), self.clock.now()))

    def end(self, cloud: str, kind: str, name: str) -> None:
        with self._lock:
            for line in self.open():
                if (line.cloud, line.kind, line.name) == (cloud, kind, name):
                    line.ended = self.clock.now()

    def called(self, cloud: str, action: str, parameters: Mapping[str, Any], outcome: str) -> None:
        with self._lock:
            self.calls.append(Call(self.clock.now(), cloud, action, dict(parameters), outcome))

    def open(self, **tags: str) -> list[Line]:
        """What costs now. Tags as keywords, with _ for -."""
        wanted = _tags(tags)
        with self._lock:
            return [line for line in self.lines if line.ended is None and line.has(wanted)]

    def usd(self, kind: str | None = None, **tags: str) -> float:
        return sum(line.usd(self.clock.now()) for line in self._lines(kind, tags))

    def seconds(self, kind: str = "instance", **tags: str) -> float:
        return sum(line.seconds(self.clock.now()) for line in self._lines(kind, tags))

    def count(self, action: str, outcome: str | None = None) -> int:
        """How often this was called, with this outcome where one is given."""
        with self._lock:
            return sum(call.action == action and outcome in (None, call.outcome) for call in self.calls)

    def as_dict(self) -> dict[str, Any]:
        now = self.clock.now()
        with self._lock:
            lines = [{**asdict(line), "seconds": line.seconds(now), "usd": line.usd(now)} for line in self.lines]
            calls = [asdict(call) for call in self.calls]
        return {"now": now, "usd": sum(line["usd"] for line in lines), "lines": lines, "calls": calls}

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_dict(), indent=1, default=str))

    def reset(self) -> None:
        with self._lock:
            self.lines.clear()
            self.calls.clear()

    def _lines(self, kind: str | None, tags: Mapping[str, str]) -> list[Line]:
        wanted = _tags(tags)
        with self._lock:
            return [line for line in self.lines if kind in (None, line.kind) and line.has(wanted)]


def _tags(words: Mapping[str, str]) -> dict[str, str]:
    return {key.replace("_", "-"): value for key, value in words.items()}
