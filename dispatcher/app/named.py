"""Devices and machine types that are asked for by name."""

from __future__ import annotations

from dataclasses import replace

from dispatcher import catalog
from dispatcher.app.access import CLOUDS
from dispatcher.domain.hardware import Device, InstanceType
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Offer
from dispatcher.errors import NothingFits, UsageError
from dispatcher.hosts.probe import probe
from dispatcher.jobfile.settings import Settings
from dispatcher.planner import devices

CPU = "cpu"
"""As a device to ask about: this computer without its GPUs."""


def asked_for(device: str | None, machine: str | None, job: JobConfig, settings: Settings) -> tuple[Device, Offer]:
    """The device that a question names, and what stands for its machine and its price."""
    if machine is not None:
        return _machine(machine, job, settings)
    assert device is not None
    spec = devices.only_cpu(devices.here(probe(measure=True))) if device.lower() == CPU else devices.named(device)
    accelerator = spec.accelerator
    offer = Offer(
        where="local" if accelerator is None else "any",
        machine=None,
        device=spec.name,
        count=spec.count if accelerator else 0,
        device_memory_gib=accelerator.memory_gib if accelerator else 0.0,
        vcpus=spec.usable_cores,
        cores=spec.usable_cores,
        ram_gib=spec.ram_gib,
        market="named",
        price_per_hour=None,
    )
    return spec, offer


def _kind(text: str) -> InstanceType:
    provider, _, name = text.partition(":")
    kind = catalog.find_instance(provider, name)
    if kind is None:
        bare = [f"{place}:{text}" for place in CLOUDS if catalog.find_instance(place, text)]
        if bare:
            raise UsageError(f"{text!r} lacks its cloud.", fix=f"--machine {bare[0]}")
        near = ", ".join(f"{provider}:{one}" for one in catalog.similar_instances(provider, name)[:3])
        raise UsageError(
            f"{text!r} is no machine type the catalog knows.", fix=f"Near: {near}" if near else "mlrun catalog show"
        )
    return kind


def _machine(text: str, job: JobConfig, settings: Settings) -> tuple[Device, Offer]:
    """The machine where the job says it is to be, on the market that it names; else on demand, where that is cheapest."""
    kind = _kind(text)
    market = "spot" if job.spot is True else "on-demand"
    sold = [one for one in offers_there(text, job, settings, everywhere=True) if one.market == market]
    priced = [one for one in sold if one.price_per_hour is not None]
    if not priced and market == "spot":
        raise NothingFits(f"{text} has no known spot price.", fix=f"--no-spot, or mlrun catalog show {kind.name}")
    spec = devices.rented(kind)
    offer = min(priced, key=lambda one: one.price_per_hour or 0.0) if priced else _unpriced(kind, spec)
    return spec, replace(offer, usable=False, why_unusable="asked for by name")


def offers_there(text: str, job: JobConfig, settings: Settings, *, everywhere: bool = False) -> list[Offer]:
    """What is known of a machine type's prices in the region of `where`, else in those of the settings.

    `everywhere`: where it has no price in those of the settings, all that it has. Raises UsageError where `where` is no place
    of that machine type, NothingFits where nothing is known of it there.
    """
    kind = _kind(text)
    place, _, region = job.where.partition("/")
    if place not in ("auto", "cloud", kind.provider):
        raise UsageError(
            f"--machine {text} is not at where: {job.where}.", fix=f"--where {kind.provider}, or leave one of both out."
        )
    own = {"aws": settings.aws.regions, "gcp": settings.gcp.regions}[kind.provider]
    wanted = (region,) if region else own
    known = catalog.offers_of(kind)
    found = [one for one in known if not wanted or one.region in wanted]
    if everywhere and not region:
        return found or list(known)
    if not found:
        raise NothingFits(f"{text} has no known price in {', '.join(wanted) or 'any region'}.", fix="mlrun catalog show")
    return found


def _unpriced(kind: InstanceType, spec: Device) -> Offer:
    return Offer(
        where=kind.provider,
        machine=kind.name,
        device=spec.name,
        count=spec.count if spec.accelerator else 0,
        device_memory_gib=spec.memory_gib,
        market="on-demand",
        vcpus=kind.vcpus,
        cores=kind.cores,
        ram_gib=kind.ram_gib,
        arch=kind.cpu_arch,
        price_per_hour=None,
    )
