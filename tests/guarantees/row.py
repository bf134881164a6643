"""A row of the table of guarantees: what was to be reached, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`measure(quick: bool) -> Row` of tests/guarantees/rows/rNN.py; `reached` only where the target itself was tried."""

    number: str
    target: str
    measured: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.number} | {self.target} | {self.measured} | {'reached' if self.reached else 'short'}"
