"""All findings, in the order they are shown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from dispatcher import paths
from dispatcher.doctor import credentials, home, shadow, torch
from dispatcher.doctor.check import Check
from dispatcher.doctor.machine import machine_checks
from dispatcher.domain.hardware import Machine
from dispatcher.hosts.probe import probe
from dispatcher.hosts.python_env import job_python


def checks(
    *, machine: Machine | None = None, environ: Mapping[str, str] = os.environ, workdir: Path | None = None
) -> Iterator[Check]:
    """Look at everything, and yield findings as they are made; importing the job's torch takes the longest.

    `machine` is one already probed; without it this computer is probed, and its speed measured where it never was.
    """
    place = workdir or Path.cwd()
    env = job_python(place, environ)
    seen = machine or probe(measure=True, workdir=place, pythons=(str(env.path),) if env else ())
    groups: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("machine", lambda: machine_checks(seen)),
        ("mlrun", lambda: _own(environ)),
        ("torch", lambda: torch.torch_checks(env, torch.ask(env.path) if env else torch.TorchFacts(), seen)),
        ("credentials", lambda: credentials.credential_checks(environ, Path.home())),
        ("aws", lambda: _aws(environ)),
        ("gcp", lambda: _gcp(environ)),
        ("hosts", _hosts),
    )
    for name, look in groups:
        yield from _guarded(name, look)


def _own(environ: Mapping[str, str]) -> Iterator[Check]:
    yield home.python_check(sys.version_info[:3])
    yield from shadow.shadow_checks(environ, shadow.other_product())
    yield home.folder_check(paths.data_dir())
    yield home.database_check(paths.database())
    yield home.clock_check(time.time(), home.newest_file((paths.data_dir(), paths.PACKAGE)))
    yield home.encoding_check(sys.stdout.encoding)
    yield from _settings()


def _settings() -> Iterator[Check]:
    """What is wrong in config.yaml, each with its place; elsewhere it is a warning only."""
    from dispatcher.jobfile.settings import sound_settings

    _, error = sound_settings()
    for one in error.problems if error else ():
        place = f"{error.file}, line {one.line}" if error and one.line else "config.yaml or the environment"
        yield Check("settings", "error", f"{place}: {one.path}: {one.message}", one.fix or "mlrun config show")


def _aws(environ: Mapping[str, str]) -> Iterator[Check]:
    """AWS itself is asked only where somebody has credentials for it."""
    if credentials.aws(environ, Path.home()).level != "ok":
        return
    from dispatcher.doctor.aws import aws_checks
    from dispatcher.jobfile.settings import sound_settings

    yield from aws_checks(sound_settings()[0].aws)


def _gcp(environ: Mapping[str, str]) -> Iterator[Check]:
    """Google Cloud itself is asked only where somebody has credentials for it, or a stand-in needs none."""
    if credentials.gcp(environ, Path.home()).level != "ok" and not environ.get("DISPATCHER_GCP_ENDPOINT"):
        return
    from dispatcher.doctor.gcp import gcp_checks
    from dispatcher.jobfile.settings import sound_settings

    yield from gcp_checks(sound_settings()[0].gcp)


def _hosts() -> Iterator[Check]:
    """Other computers are asked where the settings name some."""
    from dispatcher.doctor.hosts import host_checks
    from dispatcher.jobfile.settings import sound_settings

    yield from host_checks(sound_settings()[0].hosts)


def _guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """A group's findings; one that breaks is itself a finding."""
    try:
        yield from look()
    except Exception as error:  # noqa: BLE001 - the doctor examines broken computers: the other findings still count
        message = f"This could not be looked at: {error or type(error).__name__}."
        yield Check(name, "error", message, "please report this with the output of mlrun doctor --json")
