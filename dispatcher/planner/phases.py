"""From create to confirmed deletion: how long each phase takes, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.domain.plan import Range
from dispatcher.planner.assessment import Assessment

PROVISION = {"aws": 110.0, "gcp": 70.0, "ssh": 3.0, "local": 0.0}
"""Seconds from the create call until SSH answers, without a GPU. Recalled, 2026; unverified."""
GPU_BOOT = 40.0
"""Further seconds until a GPU's driver answers. Recalled, 2026; unverified."""
TEARDOWN = {"aws": 45.0, "gcp": 45.0, "ssh": 2.0, "local": 0.0}
"""Seconds from terminate until it is confirmed. Recalled, 2026; unverified."""
SETUP = 190.0
"""Seconds to install a framework's wheels (about 3 GB) on a rented machine. Recalled, 2026; unverified."""
FETCH_OVERHEAD = 5.0
"""Seconds to list and verify outputs."""
FETCH_MBIT = 800.0
"""Mbit/s at which a rented machine fetches data and weights from where they are kept; a stated assumption."""
UPLINK_MBIT = 20.0
"""Mbit/s that a home connection sends, where nobody measured it; a stated assumption."""
DOWNLINK_MBIT = 100.0
"""Mbit/s that a home connection receives, where nobody measured it; a stated assumption."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """Bytes that travel each way, and the wire's rates in Mbit/s."""

    up_bytes: float = 0.0
    down_bytes: float = 0.0
    up_mbit: float = UPLINK_MBIT
    down_mbit: float = DOWNLINK_MBIT


def phases(where: str, need: Assessment, moved: Transfers, *, has_setup: bool) -> dict[str, float]:
    """Likely seconds of every phase; `run` is 0 where the length of the job is unknown."""
    kind = where.partition(":")[0]
    run = need.run.likely if need.run else 0.0
    if kind == "local" or kind not in PROVISION:
        return {"run": run}
    boot = PROVISION[kind] + (GPU_BOOT if need.device.accelerator and kind in ("aws", "gcp") else 0.0)
    return {
        "provision": boot,
        "setup": SETUP if has_setup else 0.0,
        "sync": moved.up_bytes * 8 / (moved.up_mbit * 1e6),
        "run": run,
        "fetch": FETCH_OVERHEAD + moved.down_bytes * 8 / (moved.down_mbit * 1e6),
        "teardown": TEARDOWN[kind],
    }


def with_fetching(where: str, need: Assessment) -> Range | None:
    """The run, with the time in which a rented machine fetches what is not sent: on one's own it may be there already."""
    if need.run is None or where not in ("aws", "gcp"):
        return need.run
    seconds = fetching(need)
    return Range(need.run.low + seconds / 2, need.run.likely + seconds, need.run.high + 2 * seconds)


def fetching(need: Assessment) -> float:
    """Seconds in which a rented machine fetches data and weights."""
    return need.fetched_gb * 8000 / FETCH_MBIT


def whole(parts: dict[str, float], run: Range | None) -> Range | None:
    """Seconds from create to confirmed deletion: the run's own range; everything around it half to double."""
    if run is None:
        return None
    around = sum(seconds for name, seconds in parts.items() if name != "run")
    return Range(run.low + 0.6 * around, run.likely + around, run.high + 1.6 * around)
