"""The world a plan looks at: this computer, offers, tariffs, files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher import catalog, paths
from dispatcher.app.access import CLOUDS, closed
from dispatcher.app.hosts import owned_offers
from dispatcher.catalog.offers import FRAMEWORKS_RUN_ON
from dispatcher.domain.hardware import Device, Machine
from dispatcher.domain.plan import Offer, Rejection, Requirements, Tariff
from dispatcher.hosts.probe import probe
from dispatcher.hosts.python_env import job_python
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings
from dispatcher.planner import devices
from dispatcher.planner.candidates import Terms
from dispatcher.planner.make import World
from dispatcher.planner.market import uses_cpu
from dispatcher.planner.phases import Transfers

if TYPE_CHECKING:
    from dispatcher.planner.calibrate import Learned

OUTPUT_BYTES = 1e8
"""Bytes of outputs assumed where nothing says more."""


def world_for(loaded: LoadedJob, settings: Settings, seconds_left: float | None, *, everything: bool = False) -> World:
    """Everything beside the job that its plan depends on."""
    python = job_python(loaded.workdir, os.environ)
    machine = probe(measure=True, workdir=loaded.workdir, pythons=(str(python.path),) if python else ())
    sends = _sends(loaded, everything=everything) if loaded.path and loaded.config.where != "local" else {}
    moved = Transfers(up_bytes=float(sends.get("bytes", 0)), down_bytes=OUTPUT_BYTES)
    terms = Terms(tariff, moved, seconds_left, kept_back=settings.local.headroom, learned=learned(settings))
    owned, owned_device, troubles = owned_offers(loaded.config.where, settings)
    return World(
        machine=machine,
        here=_here(machine),
        offers=chain(owned, _offers(loaded, settings, everything=everything)),
        device_of=lambda offer: owned_device(offer) if offer.where.startswith("ssh:") else _device_of(offer),
        terms=terms,
        sends=sends,
        notes=(
            *(devices.doubtful(loaded.config.resources.gpu or ()) if _rents(loaded.config.where) else ()),
            *(_unsuited(python.bin_dir.parent, machine) if python and machine.gpus else ()),
        ),
        closed=closed(settings),
        rejected=tuple(Rejection(place, None, f"cannot be used: {why}") for place, why in troubles.items()),
    )


def _unsuited(environment: Path, machine: Machine) -> tuple[str, ...]:
    from dispatcher.doctor.installed import torch_build, unsuited

    return tuple(unsuited(torch_build(environment), machine))


def learned(settings: Settings) -> Learned | None:
    """What runs here taught; nothing where the user does not want it, or nothing ran yet."""
    if not settings.local.learn or not paths.database().is_file():
        return None
    from dispatcher.planner.calibrate import Learned
    from dispatcher.store.observations import observations

    return Learned.of(observations(paths.database()))


def tariff(where: str, region: str | None) -> Tariff:
    """What runs beside a machine: nothing, where it is not rented."""
    return catalog.tariff(where, region) if where in CLOUDS else Tariff()


def _rents(where: str) -> bool:
    return where != "local" and not where.startswith("ssh:")


def _here(machine: Machine) -> tuple[Device, Offer]:
    return devices.here(machine), devices.this_offer(machine)


def _offers(loaded: LoadedJob, settings: Settings, *, everything: bool) -> Iterator[Offer]:
    """What the clouds offer in the user's regions; with everything, also one each of those not to be chosen."""
    config = loaded.config
    if not _rents(config.where):
        return iter(())
    regions = {"aws": settings.aws.regions, "gcp": settings.gcp.regions}
    provider, _, region = config.where.partition("/")
    if region:
        regions[provider] = (region,)
    place = provider if provider in CLOUDS else "auto"
    need = Requirements(where=place, gpu_count=0 if uses_cpu(config) else 1, arch="x86_64")
    found = catalog.offers(need, regions=regions, cheapest=not everything, others=everything)
    named = tuple(one for one in config.resources.gpu or () if _foreign(one.name))
    if not named or everything:
        return found
    return chain(found, catalog.offers(replace(need, gpu_count=0, gpus=named), regions=regions, cheapest=True))


def _foreign(name: str | None) -> bool:
    """Whether it is an accelerator on which unchanged code does not run: those are looked for only by name."""
    part = catalog.find_accelerator(name) if name else None
    return part is not None and part.vendor not in FRAMEWORKS_RUN_ON


def _device_of(offer: Offer) -> Device | None:
    kind = catalog.find_instance(offer.where, offer.machine or "")
    return devices.rented(kind) if kind else None


def _sends(loaded: LoadedJob, *, everything: bool) -> dict[str, Any]:
    from dispatcher.hosts.sync import LISTED, manifest

    found = manifest(loaded.workdir, data=data_paths(loaded), look=True)
    return found.as_dict(listed=None if everything else LISTED)


def data_paths(loaded: LoadedJob) -> tuple[str, ...]:
    """`dataset.path`, where it stands below the work folder: it travels even if git ignores it."""
    path = loaded.config.dataset.path if loaded.config.dataset else None
    if not path or "://" in path:
        return ()
    try:
        there, root = (loaded.workdir / path).resolve(), loaded.workdir.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links has no place
        return ()
    return (there.relative_to(root).as_posix(),) if there.is_relative_to(root) and there != root and there.exists() else ()
