"""Which machine image a type boots: looked up among AWS's public parameters."""

from __future__ import annotations

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.payload import Image
from dispatcher.catalog.accelerators import find_accelerator
from dispatcher.domain.plan import Offer
from dispatcher.errors import NoCapacity

DEEP_LEARNING = "/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-{version}/latest/ami-id"
UBUNTU = "/aws/service/canonical/ubuntu/server/{version}/stable/current/{arch}/hvm/ebs-{store}/ami-id"
CANONICAL_ARCH = {"x86_64": "amd64", "arm64": "arm64"}
OLDEST_SERVED = 7.5
"""Compute capability from which NVIDIA's open kernel modules serve a GPU: Turing (NVIDIA, open-gpu-kernel-modules, 2025)."""


def parameters(offer: Offer) -> tuple[str, ...]:
    """The parameters that name an image for this machine, the best first; none where no image has its driver."""
    arch = offer.arch if offer.arch in CANONICAL_ARCH else "x86_64"
    if not offer.count:
        places = (("24.04", "gp3"), ("22.04", "gp2"))
        return tuple(UBUNTU.format(version=version, arch=CANONICAL_ARCH[arch], store=store) for version, store in places)
    part = find_accelerator(offer.device)
    if part is None or part.vendor != "NVIDIA" or part.compute_capability < OLDEST_SERVED:
        return ()
    return tuple(DEEP_LEARNING.format(arch=arch, version=version) for version in ("24.04", "22.04"))


def image_for(account: Account, offer: Offer) -> Image:
    """The image to boot. Raises NoCapacity where AWS publishes none for this type, so that another type is tried."""
    region = str(offer.region)
    for name in parameters(offer):
        try:
            found = account.ask("ssm", region, "get_parameter", "the machine image", Name=name)
        except AwsFailure as failure:
            if failure.code != "ParameterNotFound":
                raise account.told(failure) from failure
            continue
        return _described(account, region, str(found["Parameter"]["Value"]))
    raise NoCapacity(f"AWS publishes no image with a driver for {offer.device} in {region}")


def _described(account: Account, region: str, image: str) -> Image:
    found = account.call("ec2", region, "describe_images", "the machine image", ImageIds=[image])["Images"]
    if not found:
        raise NoCapacity(f"AWS names the image {image} in {region}, and does not show it")
    root = str(found[0]["RootDeviceName"])
    sizes = [
        int(one["Ebs"].get("VolumeSize", 0))
        for one in found[0].get("BlockDeviceMappings", ())
        if one.get("DeviceName") == root and "Ebs" in one
    ]
    return Image(image, root, max([8, *sizes]))
