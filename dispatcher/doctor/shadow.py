"""Another program called mlrun that shadows ours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from dispatcher.doctor.check import Check

COMMAND = "mlrun"
OURS = b"dispatcher"
READ = 4096
"""Enough of a console script to see what it imports."""


def shadow_checks(environ: Mapping[str, str], installed: str | None) -> Iterator[Check]:
    """Who answers to `mlrun` here; `installed` is the version of the other product's distribution beside ours."""
    found = commands(environ.get("PATH", ""))
    first = found[0] if found else None
    if first and not is_ours(first):
        mine = next((path for path in found if is_ours(path)), None)
        fix = (
            f"put {mine.parent} before {first.parent} on PATH, or type: python -m dispatcher"
            if mine
            else "python -m dispatcher"
        )
        yield Check("command", "warning", f"`mlrun` is another program here: {first}.", fix)
    elif not first:
        yield Check("command", "note", "`mlrun` is not on PATH.", "activate the environment it is in, or: python -m dispatcher")
    else:
        yield Check("command", "ok", f"`mlrun` is {first}.")
    if installed:
        message = f"The package mlrun {installed}, another product, is in this environment and installs the same command."
        yield Check(
            "command", "warning", message, "pip uninstall mlrun; pip install --force-reinstall --no-deps mlrun-dispatcher"
        )


def commands(path: str) -> list[Path]:
    """Every executable `mlrun` on PATH, in order."""
    places = (Path(folder) / COMMAND for folder in dict.fromkeys(path.split(os.pathsep)) if folder)
    return [place for place in places if place.is_file() and os.access(place, os.X_OK)]


def is_ours(command: Path) -> bool:
    """Whether a script starts this program."""
    try:
        with command.open("rb") as script:
            return OURS in script.read(READ)
    except OSError:
        return False


def other_product() -> str | None:
    """The version of the other product's distribution in this environment; None where it is not."""
    try:
        return metadata.version(COMMAND)
    except metadata.PackageNotFoundError:
        return None
