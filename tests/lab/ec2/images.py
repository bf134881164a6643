"""The lab's machine images and the public parameters that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.lab.ec2 import tables
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import matching, page
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import Context, World

DEEP_LEARNING = "898082745236"
CANONICAL = "099720109477"
AMAZON = "137112412989"


@dataclass(frozen=True, slots=True)
class Image:
    """A public image; `driver` says whether nvidia-smi works on it."""

    id: str
    name: str
    owner: str
    arch: str
    gib: int
    driver: bool
    parameters: tuple[str, ...]

    @property
    def root(self) -> str:
        return "/dev/xvda" if self.owner == AMAZON else "/dev/sda1"


@cache
def images(region: str) -> dict[str, Image]:
    """Each region has its own ids."""
    found = {}
    for number, (name, owner, arch, gib, driver, parameters) in enumerate(_published()):
        key = f"ami-{tables.REGIONS.index(region) + 1:02x}{number:02x}0000000000aaa"[:21]
        found[key] = Image(key, name, owner, arch, gib, driver, parameters)
    return found


def _published() -> Iterable[tuple[str, str, str, int, bool, tuple[str, ...]]]:
    for arch, short in (("x86_64", "amd64"), ("arm64", "arm64")):
        for version, code in (("22.04", "jammy"), ("24.04", "noble")):
            name = f"Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu {version}) {'ARM64 ' * (arch == 'arm64')}20261106"
            path = f"/aws/service/deeplearning/ami/{arch}/base-oss-nvidia-driver-gpu-ubuntu-{version}/latest/ami-id"
            yield name, DEEP_LEARNING, arch, 75 if version == "24.04" else 65, True, (path,)
            store = "gp3" if version == "24.04" else "gp2"
            path = f"/aws/service/canonical/ubuntu/server/{version}/stable/current/{short}/hvm/ebs-{store}/ami-id"
            codename = f"ubuntu/images/hvm-ssd-{store}/ubuntu-{code}-{version}-{short}-server-20261105"
            yield codename.replace("-gp2", ""), CANONICAL, arch, 8, False, (path, path.replace(version, code))
        path = f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}"
        yield f"al2023-ami-2023.9.20261020.0-kernel-6.1-{arch}", AMAZON, arch, 8, False, (path,)


def image(region: str, wanted: str) -> Image:
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}", wanted):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{wanted}" (expecting "ami-...")')
    if wanted not in images(region):
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{wanted}]' does not exist")
    return images(region)[wanted]


def parameter(world: World, region: str, name: str) -> str | None:
    """The image id that a public parameter holds."""
    for one in images(region).values():
        if name in one.parameters and name not in world.settings.absent:
            return one.id
    return None


FIELDS = {
    "image-id": "ImageId",
    "name": "Name",
    "architecture": "Architecture",
    "owner-id": "OwnerId",
    "owner-alias": "ImageOwnerAlias",
    "state": "State",
    "root-device-type": "RootDeviceType",
    "virtualization-type": "VirtualizationType",
    "is-public": "Public",
}


@answers("ec2", "DescribeImages")
def describe_images(context: Context) -> dict[str, Any]:
    region, asked = context.region.name, context.parameters
    chosen = [image(region, one) for one in asked["ImageIds"]] if asked.get("ImageIds") else list(images(region).values())
    owners = [{"amazon": AMAZON, "self": "nobody"}.get(one, one) for one in asked.get("Owners", [])]
    rows = [
        _row(one) for one in chosen if not owners or one.owner in owners or (AMAZON in owners and one.owner == DEEP_LEARNING)
    ]
    shown, rest = page(matching(rows, asked.get("Filters", []), FIELDS), asked)
    return {"Images": shown, **rest}


def _row(one: Image) -> dict[str, Any]:
    ebs = {"DeleteOnTermination": True, "VolumeSize": one.gib, "VolumeType": "gp3", "Encrypted": False}
    return {
        "ImageId": one.id,
        "Name": one.name,
        "Description": one.name,
        "OwnerId": one.owner,
        "Architecture": one.arch,
        "State": "available",
        "Public": True,
        "CreationDate": "2026-11-06T00:00:00.000Z",
        "RootDeviceName": one.root,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "Hypervisor": "xen",
        "ImageType": "machine",
        "EnaSupport": True,
        "BlockDeviceMappings": [{"DeviceName": one.root, "Ebs": ebs}],
    }
