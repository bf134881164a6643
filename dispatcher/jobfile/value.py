"""A value that was found somewhere, with the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it was read; `flag` sets it on the command line."""

    value: Any
    origin: str
    flag: str = ""
