"""The values that no screen shows, as far as this computer knows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dispatcher.domain.run import Run
from dispatcher.jobfile.secrets import known


def values_of(run: Run) -> tuple[str, ...]:
    """The values of a run's secrets. Its record keeps their names: they are looked up where the job was started from."""
    job = run.job.get("instructions") or {}
    return values(job.get("secrets") or (), Path(str(job.get("workdir") or ".")))


def values(names: Iterable[str], workdir: Path) -> tuple[str, ...]:
    """The values of secrets of a job in that folder."""
    return tuple(secret.reveal() for secret in known(names, workdir).values())
