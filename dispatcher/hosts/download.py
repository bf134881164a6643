"""Brings files home from a computer we do not trust."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from dispatcher.hosts.base import Entry
from dispatcher.hosts.session import Session


def pull(start: Callable[[Sequence[str]], Session], entries: Sequence[Entry], remote: str, local: Path, name: str) -> None:
    """To come."""
    raise NotImplementedError
