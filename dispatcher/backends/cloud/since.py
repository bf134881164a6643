"""How long ago a request was sent, whatever the clock did."""

from __future__ import annotations

from typing import Any

from dispatcher.retries import Clock
from dispatcher.store.owner import boot_id

SENT, UPTIME = "sent", "sent_uptime"


def stamp(launch: dict[str, Any], clock: Clock) -> None:
    """Note that the launch is sent now: on the clock, and on one that nobody sets and that ends with this boot."""
    launch[SENT], launch[UPTIME] = clock.now(), [boot_id(), clock.monotonic()]


def seconds_since(launch: dict[str, Any], clock: Clock) -> float:
    """Seconds since it was sent. After a reboot only the clock that people set is left to ask."""
    boot, uptime = launch.get(UPTIME) or ("", 0.0)
    if boot and boot == boot_id():
        return max(0.0, clock.monotonic() - float(uptime))
    return max(0.0, clock.now() - float(launch[SENT]))
