"""The world a plan looks at: this computer, what could be rented, tariffs, what would travel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dispatcher import catalog
from dispatcher.domain.hardware import Device, Machine
from dispatcher.domain.plan import Offer
from dispatcher.hosts.probe import probe
from dispatcher.hosts.python_env import job_python
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings
from dispatcher.planner import devices
from dispatcher.planner.candidates import Terms
from dispatcher.planner.make import World
from dispatcher.planner.phases import Transfers

CLOUDS = ("aws", "gcp")
OUTPUT_BYTES = 1e8
"""Bytes of outputs assumed where nothing says more."""


def world_for(loaded: LoadedJob, settings: Settings, seconds_left: float | None) -> World:
    """Everything beside the job that its plan depends on."""
    python = job_python(loaded.workdir, os.environ)
    machine = probe(measure=True, workdir=loaded.workdir, pythons=(str(python.path),) if python else ())
    sends = _sends(loaded) if loaded.path and loaded.config.where != "local" else {}
    moved = Transfers(up_bytes=float(sends.get("bytes", 0)), down_bytes=OUTPUT_BYTES)
    terms = Terms(catalog.tariff, moved, seconds_left, kept_back=settings.local.headroom)
    return World(
        machine=machine,
        here=_here(machine),
        offers=_offers(loaded, settings),
        device_of=_device_of,
        terms=terms,
        sends=sends,
    )


def _here(machine: Machine) -> tuple[Device, Offer]:
    return devices.here(machine), devices.this_offer(machine)


def _offers(loaded: LoadedJob, settings: Settings) -> Iterator[Offer]:
    """Offers of the clouds in the user's regions: priced, and usable where a backend and an account are there."""
    if loaded.config.where == "local" or loaded.config.where.startswith("ssh"):
        return
    regions = {"aws": set(settings.aws.regions), "gcp": set(settings.gcp.regions)}
    for offer in catalog.offers():
        allowed = regions[offer.where]
        if not allowed or offer.region in allowed:
            yield replace(offer, usable=False, why_unusable="needs an account")


def _device_of(offer: Offer) -> Device | None:
    kind = catalog.find_instance(offer.where, offer.machine or "")
    return devices.rented(kind) if kind else None


def _sends(loaded: LoadedJob) -> dict[str, Any]:
    from dispatcher.hosts.sync import manifest

    return manifest(loaded.workdir).as_dict()
