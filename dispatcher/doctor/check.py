"""One finding of the doctor, with what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it stands, in words, and the fix: a command where possible, "" where none is needed."""

    name: str
    level: Level
    message: str
    fix: str = ""
