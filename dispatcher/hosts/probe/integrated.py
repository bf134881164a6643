"""Graphics on the PCI bus that no compute driver reports."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dispatcher.hosts.probe.reading import read_text

VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel", "10de": "NVIDIA", "1002": "AMD", "8086": "Intel"}
"""PCI vendor ids (pci.ids)."""
DISPLAY = "0x03"
"""PCI base class of display controllers."""
ON_CHIP = re.compile(r"(?:0000:)?00:02\.0$")
"""Where Intel's integrated graphics sit on every board."""
LSPCI = re.compile(r"(\S+) (?:VGA compatible|3D|Display) controller \[03\d\d\]: (.*?) \[([0-9a-f]{4}):[0-9a-f]{4}\]")


@dataclass(frozen=True, slots=True)
class Graphics:
    """A display controller: its address, maker, name where known, whether it shares RAM, and the driver bound to it."""

    slot: str
    vendor: str
    name: str = ""
    shared: bool = False
    driver: str = ""


def graphics(root: Path = Path("/")) -> tuple[Graphics, ...]:
    """The display controllers that sysfs lists."""
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        vendor = VENDORS.get(read_text(device / "vendor"))
        if vendor and read_text(device / "class").startswith(DISPLAY):
            link = device / "driver"
            driver = link.resolve().name if link.exists() else ""
            found.append(Graphics(device.name, vendor, "", _shares_ram(device, vendor), driver))
    return tuple(found)


def parse_lspci(text: str) -> tuple[Graphics, ...]:
    """The display controllers in `lspci -nn`."""
    found = []
    for line in text.splitlines():
        match = LSPCI.match(line)
        if match and match.group(3) in VENDORS:
            slot, name, vendor = match.group(1), match.group(2), VENDORS[match.group(3)]
            found.append(Graphics(slot, vendor, name, vendor == "Intel" and bool(ON_CHIP.search(slot))))
    return tuple(found)


def notes_on(found: Iterable[Graphics], reported: Iterable[str]) -> tuple[str, ...]:
    """What to say of them, given the makers whose GPUs a compute driver already reports."""
    makers, notes = set(reported), []
    for one in found:
        what = one.name or f"{one.vendor} graphics"
        if one.shared:
            notes.append(f"{what} are integrated: their memory is RAM, one budget. They are not counted as a GPU.")
        elif one.vendor == "NVIDIA" and "NVIDIA" not in makers:
            notes.append(f"An NVIDIA GPU is in this computer, but {_why_unused(one)}.")
        elif one.vendor == "AMD" and "AMD" not in makers:
            notes.append("An AMD GPU is in this computer, but ROCm's tools (amd-smi, rocm-smi) are not.")
        elif one.vendor == "Intel":
            notes.append(f"{what}: Intel GPUs are not planned for yet; jobs use the CPU.")
    return tuple(dict.fromkeys(notes))


def _why_unused(one: Graphics) -> str:
    if one.driver == "nouveau":
        return "the nouveau driver holds it, which cannot compute"
    return f"its driver ({one.driver}) does not answer" if one.driver else "no driver is loaded for it"


def _shares_ram(device: Path, vendor: str) -> bool:
    if vendor == "Intel":
        return bool(ON_CHIP.search(device.name))
    vram = read_text(device / "mem_info_vram_total")
    return vendor == "AMD" and vram.isdigit() and int(vram) < 2 * 2**30
