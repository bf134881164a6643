"""Files that a job names and that are not there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dispatcher.domain.job import JobConfig
from dispatcher.domain.values import short
from dispatcher.jobfile.filling import script_in

ELSEWHERE = "://"
ALIKE = 0.78


def missing(config: JobConfig, workdir: Path, command: str, said: Sequence[str]) -> Iterator[str]:
    """A sentence for the script and for the data, where they are not there (yet); not twice what was said."""
    script = script_in(command)
    if script and not config.setup and not _there(workdir, script):
        yield f"`run` starts {short(script)}, which is not in {workdir}.{_meant(workdir, script)}"
    data = config.dataset.path if config.dataset else None
    if data and ELSEWHERE not in data and not _there(workdir, data):
        meant = _meant(workdir, data)
        told = any(short(data) in note for note in said)
        if meant or not told:
            yield f"dataset.path: {short(data)} is not there, seen from {workdir}.{meant}"


def _there(workdir: Path, name: str) -> bool:
    with suppress(OSError, ValueError, RuntimeError):
        return os.path.lexists(workdir / Path(name).expanduser())
    return True


def _meant(workdir: Path, name: str) -> str:
    """Did you mean what has nearly the name of the first part that is not there?"""
    at, given = workdir, Path(name).expanduser()
    with suppress(OSError, ValueError, RuntimeError):
        for depth, part in enumerate(given.parts):
            if not os.path.lexists(at / part):
                import difflib

                near = difflib.get_close_matches(part, sorted(one.name for one in at.iterdir()), 1, ALIKE)
                return f" Did you mean {Path(*given.parts[:depth], near[0], *given.parts[depth + 1 :])}?" if near else ""
            at /= part
    return ""
