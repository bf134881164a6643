"""Heat: whether the processor is being slowed by it now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dispatcher.hosts.probe.reading import read_number, read_text

FULL_SPEED = 100


@dataclass(frozen=True, slots=True)
class Zone:
    """A sensor: its temperature and the one at which the system begins to slow down, in °C."""

    name: str
    celsius: float
    slows_at: float


def read_zones(root: Path = Path("/")) -> tuple[Zone, ...]:
    """Linux's thermal zones that slow something (a passive trip point)."""
    zones = []
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        celsius, slows_at = read_number(folder / "temp"), _passive(folder)
        if celsius is not None and slows_at is not None:
            zones.append(Zone(read_text(folder / "type") or folder.name, celsius / 1000, slows_at))
    return tuple(zones)


def hot(zones: tuple[Zone, ...]) -> str:
    """A sentence where a zone is past its limit; "" where none is."""
    over = [zone for zone in zones if zone.slows_at > 0 and zone.celsius >= zone.slows_at]
    if not over:
        return ""
    worst = max(over, key=lambda zone: zone.celsius - zone.slows_at)
    return f"It is hot ({worst.name} {worst.celsius:.0f} °C) and slowed down now: let it cool before a long job."


def parse_pmset_therm(text: str) -> str:
    """A sentence where macOS's `pmset -g therm` limits the processor."""
    limits = re.findall(r"(CPU_Speed_Limit|CPU_Scheduler_Limit)\s*=\s*(\d+)", text)
    least = min((int(value) for _, value in limits), default=FULL_SPEED)
    return f"It is hot: macOS holds the processor at {least} % of its speed now." if least < FULL_SPEED else ""


def _passive(folder: Path) -> float | None:
    for kind in sorted(folder.glob("trip_point_*_type")):
        if read_text(kind) == "passive":
            trip = read_number(kind.with_name(kind.name.replace("_type", "_temp")))
            return None if trip is None else trip / 1000
    return None
