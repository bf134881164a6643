"""What stays in an account between runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """Something of ours that stays, and costs nothing."""

    kind: str
    id: str
    region: str = ""
