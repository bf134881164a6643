"""Backends by name, found as entry points, loaded only when asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from dispatcher.backends.base import Backend
from dispatcher.errors import HostError, UsageError

GROUP = "dispatcher.backends"


def names() -> list[str]:
    """Every backend that is installed."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def load(where: str) -> Backend:
    """The backend of a place: "local", "aws/us-east-1", "ssh:desk". Raises UsageError for an unknown one."""
    name = where.partition("/")[0].partition(":")[0]
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _held_to(_made(entry), where.partition(":")[2])
    raise UsageError(f"There is no place {where!r} to run", fix=f"Use one of: {', '.join(names())}")


def _held_to(backend: Backend, place: str) -> Backend:
    """The backend of one place of several: "desk" of "ssh:desk"."""
    narrowed: Backend = backend.at(place) if place and hasattr(backend, "at") else backend
    return narrowed


def _made(entry: EntryPoint) -> Backend:
    """A backend that was asked for and cannot be loaded is an error, never skipped."""
    try:
        backend: Backend = entry.load()()
    except (ImportError, AttributeError) as error:
        raise HostError(
            f"The backend {entry.name!r} cannot be loaded from {entry.value}: {error}", fix="mlrun doctor"
        ) from error
    return backend
