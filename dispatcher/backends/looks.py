"""What other computers had free when they were last looked at."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.domain.hardware import Battery, Gpu, Machine
from dispatcher.hosts.probe.distant import Seen
from dispatcher.retries import Clock

FRESH_SECONDS = 60.0
"""A plan and the run after it look once."""


class Looks:
    """Looks kept in the cache folder, one file for each computer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def fresh(self, name: str) -> bool:
        """Whether it was looked at a moment ago."""
        return self._clock.now() - float(self._load(name).get("at") or 0.0) < FRESH_SECONDS

    def last(self, name: str) -> Seen | None:
        """What was seen last."""
        known = self._load(name).get("seen")
        with contextlib.suppress(TypeError, KeyError, AttributeError):
            return _seen(known) if known else None
        return None

    def keep(self, name: str, seen: Seen) -> None:
        """Remember it; where that cannot be, it is looked at again next time."""
        file = _file(name)
        with contextlib.suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps({"at": self._clock.now(), "seen": asdict(seen)}))
            part.replace(file)

    def _load(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(_file(name).read_text())
            return found if isinstance(found, dict) else {}
        return {}


def _file(name: str) -> Path:
    return paths.cache_dir() / "hosts" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _seen(known: dict[str, Any]) -> Seen:
    machine = known["machine"]
    return Seen(_machine(machine) if machine else None, tuple(known["users"]), known["load"], known["trouble"])


def _machine(known: dict[str, Any]) -> Machine:
    rest = {
        "gpus": tuple(Gpu(**one) for one in known["gpus"]),
        "battery": Battery(**known["battery"]) if known["battery"] else None,
        "notes": tuple(known["notes"]),
    }
    return Machine(**{**known, **rest})
