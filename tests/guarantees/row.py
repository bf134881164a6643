"""A row of the table of guarantees: what was to be reached, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Size(Enum):
    """How much of everything is tried: the target itself; what fits ten minutes for all rows; what every test run tries."""

    WHOLE = "whole"
    QUICK = "quick"
    LEAST = "least"

    def of(self, whole: T, quick: T, least: T) -> T:
        """The one of three that is meant."""
        return {Size.WHOLE: whole, Size.QUICK: quick, Size.LEAST: least}[self]

    @property
    def whole(self) -> bool:
        """Whether the target itself is tried."""
        return self is Size.WHOLE


@dataclass(frozen=True)
class Row:
    """`measure(size: Size) -> Row` of tests/guarantees/rows/rNN.py; `reached` only where the target itself was tried."""

    number: str
    target: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.number} | {self.target} | {self.measured} | {'reached' if self.reached else 'short'}"
