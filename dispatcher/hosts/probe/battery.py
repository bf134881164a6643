"""The battery, and whether the computer is plugged in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dispatcher.domain.hardware import Battery
from dispatcher.hosts.probe.reading import read_text

FIELDS = ("type", "scope", "online", "status", "capacity", "energy_now", "energy_full", "charge_now", "charge_full", "present")
MAINS = {"Mains", "USB", "USB_C", "Wireless"}


def read_supplies(root: Path = Path("/")) -> dict[str, dict[str, str]]:
    """Linux's power supplies, by name."""
    folders = sorted((root / "sys/class/power_supply").glob("*"))
    return {folder.name: {field: read_text(folder / field) for field in FIELDS} for folder in folders}


def from_supplies(supplies: Mapping[str, Mapping[str, str]]) -> Battery | None:
    """The computer's own battery; a mouse's or a headset's (scope Device) is not it."""
    own = [one for one in supplies.values() if one.get("type") == "Battery" and one.get("scope") != "Device"]
    own = [one for one in own if one.get("present") != "0"]
    if not own:
        return None
    mains = [one for one in supplies.values() if one.get("type") in MAINS and one.get("online") in ("0", "1")]
    discharging = any(one.get("status") == "Discharging" for one in own)
    plugged = any(one["online"] == "1" for one in mains) if mains else not discharging
    return Battery(_percent(own), plugged)


def parse_pmset(text: str) -> Battery | None:
    """What macOS's `pmset -g batt` says; None on a Mac without a battery."""
    charge = re.search(r"InternalBattery.*?\t?(\d+)%", text)
    if not charge:
        return None
    return Battery(float(charge.group(1)), "'AC Power'" in text)


def _percent(own: list[Mapping[str, str]]) -> float:
    """Charge over all batteries, weighted by what each can hold."""
    for now, full in (("energy_now", "energy_full"), ("charge_now", "charge_full")):
        held, most = (sum(_float(one.get(field)) for one in own) for field in (now, full))
        if most and all(_float(one.get(full)) for one in own):
            return min(100.0, 100 * held / most)
    return sum(_float(one.get("capacity")) for one in own) / len(own)


def _float(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
