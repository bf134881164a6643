"""Whether an offer is wanted: early returns, each with its reason."""

from __future__ import annotations

import re

from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import GpuRequest, Offer

NAMEPLATE_TOLERANCE = 0.07
"""A GPU sold as 24 GB reports 22.5: requests are compared with the nameplate, this much apart still equal."""


def unwanted(offer: Offer, job: JobConfig, *, cpu_work: bool, counts: frozenset[int]) -> str | None:
    """Why this machine is not one the job file asks for, or None."""
    wanted = job.resources
    if reason := _place(offer, job.where):
        return reason
    if reason := foreign(offer):
        return reason
    if wanted.gpu is not None and wanted.gpu and not any(accepts(request, offer) for request in wanted.gpu):
        return "not among resources.gpu"
    if wanted.gpu == () and offer.count:
        return "has a GPU; resources.gpu is 0"
    if wanted.gpu is None and offer.where != "local":
        if cpu_work and offer.count:
            return "a GPU would not help this work"
        if not cpu_work and not offer.count:
            return "no GPU"
        if not cpu_work and offer.count not in counts:
            return f"{offer.count} GPUs; the job as written uses {_listed(counts)}"
    return _small(offer, job)


def foreign(offer: Offer) -> str | None:
    """Why a rented machine's processor does not run what was built for those of most; None where it does."""
    return f"{offer.arch}: x86_64 wheels would not run there" if offer.market != "owned" and offer.arch != "x86_64" else None


def accepts(request: GpuRequest, offer: Offer) -> bool:
    """Whether an offer's accelerator meets one request."""
    if not offer.count or offer.count != request.count:
        return False
    if request.name and not same_name(request.name, offer.device):
        return False
    memory = offer.device_memory_gib
    if memory < request.min_memory_gib * (1 - NAMEPLATE_TOLERANCE):
        return False
    return request.max_memory_gib is None or memory <= request.max_memory_gib * (1 + NAMEPLATE_TOLERANCE)


def same_name(asked: str, offered: str) -> bool:
    """ "A100" takes any A100, "A100-80GB" that one; case, spaces and hyphens do not matter."""
    wanted, given = _words(asked), _words(offered)
    whole = "".join(wanted)
    return any("".join(given[:end]) == whole for end in range(1, len(given) + 1)) or set(wanted) <= set(given)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\s_\-]+", name.lower()) if word not in ("nvidia", "tesla", "geforce", "amd")]


def _place(offer: Offer, where: str) -> str | None:
    if where == "auto":
        return None
    if where == "cloud":
        return "not a cloud" if offer.market == "owned" else None
    provider, _, region = where.partition("/")
    if offer.where != provider:
        return f"where: {where}"
    return f"where: {where}" if region and offer.region != region else None


def _small(offer: Offer, job: JobConfig) -> str | None:
    """Limits hold for rented and owned machines, not for this one."""
    wanted = job.resources
    if offer.where == "local":
        return None
    if wanted.cpus and not wanted.cpus.minimum <= offer.vcpus <= (wanted.cpus.maximum or float("inf")):
        return f"{offer.vcpus:g} CPUs; resources.cpus asks for {wanted.cpus.minimum:g} or more"
    if wanted.memory and offer.ram_gib < wanted.memory.minimum * (1 - NAMEPLATE_TOLERANCE):
        return f"{offer.ram_gib:g} GiB RAM; resources.memory asks for {wanted.memory.minimum:g} or more"
    if wanted.memory and wanted.memory.maximum and offer.ram_gib > wanted.memory.maximum * (1 + NAMEPLATE_TOLERANCE):
        return f"{offer.ram_gib:g} GiB RAM; resources.memory allows {wanted.memory.maximum:g}"
    return None


def _listed(counts: frozenset[int]) -> str:
    return " or ".join(map(str, sorted(counts)))
