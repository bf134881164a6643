"""Whether a job fits a machine, with the reasons in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dispatcher.domain.plan import Amount, Offer
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.matching import NAMEPLATE_TOLERANCE
from dispatcher.units import show_bytes, show_gib

KEPT_BACK = 0.10
"""Share of a computer's memory that a job must leave to its user (a laptop in use must stay usable)."""
DRIVER_SHARE = 0.03
"""Share of a rented GPU's nameplate that driver and ECC keep (a T4 of 16 GB shows 15.0 GiB, an A10G of 24 GB 22.5)."""
SYSTEM_RAM_GIB = 1.0
"""RAM that a rented machine's system uses itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fits` when the likely need does, `surely` when the high end does too.

    `headroom` is the share left free, `lack` how many times what there is the likely need takes.
    """

    fits: bool
    surely: bool
    headroom: float
    reasons: tuple[str, ...]
    lack: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a machine offers a job, in GiB, and how that comes about in words.

    `gpu_class` and `ram_class` are what a size that the job file asks for is compared with: what the machine is sold by.
    """

    gpu_gib: float
    ram_gib: float
    disk_gb: float | None
    unified: bool = False
    gpu_words: str = ""
    ram_words: str = ""
    gpu_class: float = 0.0
    ram_class: float = 0.0

    def gpu_for(self, need: Amount) -> float:
        """GiB of one GPU that this need is compared with: a size that was asked for, with the one that it is sold by."""
        return self.gpu_class if need.basis == "stated" else self.gpu_gib

    def ram_for(self, need: Amount) -> float:
        """GiB of RAM that this need is compared with."""
        return self.ram_class if need.basis == "stated" else self.ram_gib


def budget(offer: Offer, *, unified: bool = False, kept_back: float = KEPT_BACK) -> Budget:
    """Free memory less what is kept back, for an owned machine; nameplate less the system's share, for a rented one."""
    if offer.market == "owned":
        return _owned(offer, kept_back, unified=unified)
    gpu = offer.device_memory_gib * (1 - DRIVER_SHARE)
    ram = max(0.0, offer.ram_gib - SYSTEM_RAM_GIB)
    words = f"{show_gib(gpu)} of {show_gib(offer.device_memory_gib)}"
    return Budget(gpu, ram, offer.disk_gb, unified, words, "", offer.device_memory_gib, offer.ram_gib)


def verdict(need: Assessment, room: Budget) -> Verdict:
    """Compare each need with its room; on unified memory GPU and RAM share one budget."""
    checks = [] if need.gpu is None else [("GPU memory", need.gpu, room.gpu_for(need.gpu), room.gpu_words)]
    checks.append(("RAM", need.ram, room.ram_for(need.ram), room.ram_words))
    if room.unified and need.gpu is not None:
        checks.append(("memory, which GPU and CPU share,", _together(need.gpu, need.ram), room.ram_gib, room.ram_words))
    reasons = [_reason(what, amount, free, words) for what, amount, free, words in checks if _end(amount, "high") > free]
    surely = not reasons
    likely = all(_end(amount, "likely") <= free for _, amount, free, _ in checks)
    if room.disk_gb is not None and need.disk.range.likely > room.disk_gb:
        free, needed = show_bytes(room.disk_gb * 1e9), show_bytes(need.disk.range.likely * 1e9)
        reasons.append(f"The disk has {free} free; the job needs about {needed}.")
        surely = likely = False
    if need.forbidden:
        reasons.extend(need.forbidden)
        surely = likely = False
    lack = max((_end(amount, "likely") / free if free > 0 else math.inf) for _, amount, free, _ in checks)
    return Verdict(likely, surely, max(-1.0, 1 - lack), tuple(reasons), lack)


def _end(amount: Amount, end: str) -> float:
    """One end of a need. A size that was asked for is met by what is sold by it, which has a little less."""
    value: float = getattr(amount.range, end)
    return value * (1 - NAMEPLATE_TOLERANCE) if amount.basis == "stated" else value


def _owned(offer: Offer, kept_back: float, *, unified: bool) -> Budget:
    total = offer.device_memory_gib
    free = offer.device_memory_free_gib if offer.device_memory_free_gib is not None else total
    gpu = max(0.0, free - kept_back * total)
    ram_free = offer.ram_available_gib if offer.ram_available_gib is not None else offer.ram_gib
    ram = max(0.0, ram_free - kept_back * offer.ram_gib)
    return Budget(
        gpu,
        ram,
        offer.disk_gb,
        unified,
        f"{show_gib(gpu)} to spare ({_less(total, free, kept_back)})",
        f"{show_gib(ram)} to spare ({_less(offer.ram_gib, ram_free, kept_back)})",
        min(total, free),
        ram if offer.where == "local" else offer.ram_gib,
    )


def _less(total: float, free: float, kept_back: float) -> str:
    return f"{total:.1f} − {max(0.0, total - free):.1f} in use − {kept_back:.0%} kept back"


def _reason(what: str, amount: Amount, free: float, words: str) -> str:
    most = show_gib(amount.range.high)
    need = f"the job needs {show_gib(amount.range.likely)}, at most {most}{', a little more' if most == show_gib(free) else ''}"
    if amount.basis == "stated":
        need = f"the job file asks for {show_gib(amount.range.likely)}"
    return f"{what[0].upper()}{what[1:]}: {words or show_gib(free)}; {need}."


def _together(gpu: Amount, ram: Amount) -> Amount:
    both = {f"gpu {name}": value for name, value in gpu.terms.items()} | {
        f"ram {name}": value for name, value in ram.terms.items()
    }
    spans = gpu.range, ram.range
    total = type(gpu.range)(*(sum(getattr(span, end) for span in spans) for end in ("low", "likely", "high")))
    return Amount(total, both, gpu.basis)
