"""Which image a type boots: the newest of a public family."""

from __future__ import annotations

import re

from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.payload import Image
from dispatcher.catalog.accelerators import find_accelerator
from dispatcher.domain.plan import Offer
from dispatcher.errors import NoCapacity

DEEP_LEARNING, UBUNTU = "deeplearning-platform-release", "ubuntu-os-cloud"
WITH_DRIVER = ("common-cu129-ubuntu-2404-nvidia-580", "common-cu129-ubuntu-2204-nvidia-580")
PLAIN = {"x86_64": ("ubuntu-2404-lts-amd64", "ubuntu-2204-lts"), "arm64": ("ubuntu-2404-lts-arm64", "ubuntu-2204-lts-arm64")}
ANY_WITH_DRIVER = "common-cu*"
OLDEST_SERVED = 7.5
"""Compute capability from which NVIDIA's open kernel modules serve a GPU: Turing (NVIDIA, open-gpu-kernel-modules, 2025)."""
_VERSION = re.compile(r"common-cu(\d+)-ubuntu-(\d+)")


def families(offer: Offer) -> tuple[str, tuple[str, ...]]:
    """The project and the families that fit, the best first; none where no image has the driver."""
    if not offer.count:
        return UBUNTU, PLAIN.get(offer.arch, PLAIN["x86_64"])
    part = find_accelerator(offer.device)
    served = (
        part is not None and part.vendor == "NVIDIA" and part.compute_capability >= OLDEST_SERVED and offer.arch == "x86_64"
    )
    return DEEP_LEARNING, WITH_DRIVER if served else ()


def image_for(account: Account, offer: Offer) -> Image:
    """The image to boot. Families die: then the newest of their kind. Raises NoCapacity where there is none."""
    project, named = families(offer)
    for family in named:
        try:
            found = account.ask("Images", "get_from_family", "the machine image", project=project, family=family)
        except GcpFailure as failure:
            if failure.kind is not Kind.ABSENT:
                raise failure.told() from failure
            continue
        return _image(found)
    if project == DEEP_LEARNING and named and (found := _newest(account)):
        return _image(found)
    raise NoCapacity(f"Google publishes no image with a driver for {offer.device}")


def _newest(account: Account) -> object | None:
    """The newest CUDA among the families that are left."""
    asked = {"project": DEEP_LEARNING, "filter": f"family:{ANY_WITH_DRIVER}"}
    found = [
        (tuple(map(int, version.groups())), str(one.creation_timestamp), one)
        for page in account.pages("Images", "list", "the machine images", **asked)
        for one in page.items
        if (version := _VERSION.match(one.family)) and not one.deprecated.state and "nvidia" in one.family
    ]
    return max(found, key=lambda one: one[:2])[2] if found else None


def _image(found: object) -> Image:
    link = str(getattr(found, "self_link", ""))
    return Image("projects/" + link.partition("projects/")[2], int(getattr(found, "disk_size_gb", 10)))
