"""Faults by action: before the call takes effect, after it, or with the answer lost."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

MOMENTS = ("before", "after", "drop_before", "drop_after", "late")
FOREVER = -1


@dataclass(slots=True)
class Fault:
    """`match` compares parameters by dotted path with a pattern: {"Placement.AvailabilityZone": "us-east-1?"}.

    drop_before and drop_after shut the connection: the first before the call took effect, the second after. late, which
    only EC2 knows, shuts it too, and the call takes effect `seconds` afterwards. `n` is how often it happens; -1 is always.
    """

    action: str
    when: str = "before"
    code: str = "InternalError"
    n: int = 1
    match: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    status: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.when not in MOMENTS:
            raise ValueError(f"when is one of {', '.join(MOMENTS)}, not {self.when!r}")

    def meets(self, action: str, parameters: Mapping[str, Any]) -> bool:
        wanted = all(_says(find(parameters, path), pattern) for path, pattern in self.match.items())
        return self.n != 0 and fnmatchcase(action, self.action) and wanted


class Faults:
    """What is planned to go wrong. Every fault is taken by the first call that meets it."""

    def __init__(self) -> None:
        self._planned: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, action: str, **settings: Any) -> Fault:
        fault = Fault(action, **settings)
        with self._lock:
            self._planned.append(fault)
        return fault

    def take(self, action: str, parameters: Mapping[str, Any]) -> Fault | None:
        with self._lock:
            fault = next((one for one in self._planned if one.meets(action, parameters)), None)
            if fault and fault.n != FOREVER:
                fault.n -= 1
            return fault

    def planned(self) -> list[Fault]:
        """Those that may still happen."""
        with self._lock:
            return [fault for fault in self._planned if fault.n != 0]

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()


def find(parameters: Any, path: str) -> Any:
    """What lies at a dotted path; numbers count lists from 0; None where nothing is. A list is searched by each member."""
    for step in path.split("."):
        if isinstance(parameters, Mapping):
            parameters = parameters.get(step)
        elif isinstance(parameters, list | tuple) and step.isdigit():
            parameters = parameters[int(step)] if int(step) < len(parameters) else None
        elif isinstance(parameters, list | tuple):
            parameters = [find(one, step) for one in parameters]
        else:
            return None
    return parameters


def _says(value: Any, pattern: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_says(one, pattern) for one in value)
    if value is None or pattern is None:
        return value is pattern
    return fnmatchcase(str(value), str(pattern))
