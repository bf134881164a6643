"""The agent's programs, sent as an argument where it is not."""

from __future__ import annotations

from functools import cache
from pathlib import Path

AGENT = Path(__file__).resolve().parent.parent / "agent"
PYTHON = ("python3", "-ES")
"""Neither the user's PYTHON* variables nor site packages: quick, and nobody else's code."""


def command(program: str, *arguments: str) -> list[str]:
    """The command that runs a program which stands alone: the very one of this version, whatever is on the host."""
    return [*PYTHON, "-c", _source(program), *arguments]


@cache
def _source(program: str) -> str:
    return (AGENT / program).read_text(encoding="utf-8")
