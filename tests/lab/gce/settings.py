"""What a test, or somebody at the keyboard, may change of the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Settings:
    """`control("set", {...})` sets these. Seconds are the lab clock's.

    `stockouts`: [{"zone": "us-central1-*", "machine": "*", "market": "*", "others": ["us-central1-f"], "details": true}].
    `quotas`: {"us-central1/NVIDIA_T4_GPUS": 0, "GPUS_ALL_REGIONS": 0}; `quota_at_once` refuses the request instead of failing
    the operation. `permissions`: what the caller may do; None is everything. `host_fault` is given to the next hosts.
    `squatted`: somebody else makes a machine of the next one's name a moment before. `os_login`: the organisation demands it.
    `skew` is how far the server's Date is from the lab's clock. `accounts`: service accounts and their permissions.
    `retry_seconds` is how long Cloud Scheduler waits before it tries again.
    """

    operation_seconds: float = 0.0
    boot_seconds: float = 0.0
    notice_seconds: float = 30.0
    stockouts: list[dict[str, Any]] = field(default_factory=list)
    quotas: dict[str, float] = field(default_factory=dict)
    quota_at_once: bool = False
    unreachable: list[str] = field(default_factory=list)
    dead_families: list[str] = field(default_factory=list)
    api_enabled: bool = True
    billing_enabled: bool = True
    permissions: list[str] | None = None
    host_fault: str = ""
    squatted: bool = False
    os_login: bool = False
    skew: float = 0.0
    retry_seconds: float = 5.0
    default_network: bool = True
    project_metadata: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, list[str]] = field(default_factory=dict)
    prices: dict[str, float] = field(default_factory=dict)

    def change(self, changes: Mapping[str, Any]) -> None:
        known = {one.name for one in fields(self)}
        if unknown := set(changes) - known:
            raise ValueError(f"nothing here is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
        for name, value in changes.items():
            setattr(self, name, value)
