"""Networks that classify or segment images, by their traced counts."""

from __future__ import annotations

import re
from dataclasses import replace

from dispatcher import catalog
from dispatcher.catalog.networks import Network, Part
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.constants import constant
from dispatcher.planner.precision import numbers
from dispatcher.planner.workload.parts import Setting, convolves, part_blocks
from dispatcher.planner.workload.work import around, precision_of, task_of
from dispatcher.units import GIB

CHANNELS = 3
SHRUNK = 32
"""How many times smaller the last layers of most networks see an image."""
RANK = 8
"""PEFT's default rank of adapters."""
ARRAYS = (".npy", ".npz", ".pt", ".pth", ".csv", ".parquet", ".h5", ".hdf5", ".arrow", ".pkl")
"""Data that need no decoding."""


def build(job: JobConfig, device: Device, *, for_time: bool = False) -> Workload:  # noqa: ARG001 - one signature for all families
    """The job's work on images of its size. Raises UnknownError for an unknown network."""
    network = network_of(job)
    size = size_of(job, network)
    setting = setting_of(job, device, size)
    blocks = [block for part in network.parts for block in part_blocks(part, setting)]
    return workload_of(job, device, network, tuple(blocks), setting)


def network_of(job: JobConfig) -> Network:
    """The network that the job names. Raises UnknownError with the nearest names."""
    name = job.model.name if job.model else None
    if found := catalog.find_network(name):
        stated = job.model.family if job.model else None
        if stated in ("diffusion", "detection") and found.family != stated:
            raise UnknownError(
                f"{found.name} is a network of the family {found.family}, not {stated}.",
                fix=f"Write model.family: {found.family}, or leave it out; or name a network of {stated}.",
            )
        return found
    near = catalog.similar_networks(name) if name else ()
    raise UnknownError(
        f"{name!r} is no network the catalog knows." if name else "The network is not named.",
        fix=(f"Near: {', '.join(near)}. " if near else "")
        + "Write timm's or torchvision's name in model.name, or model.family: custom with its parameters and FLOPs.",
    )


def size_of(job: JobConfig, network: Network) -> int:
    """The side of the job's images in pixels: the network's own where the job does not say."""
    assert job.model is not None
    size = job.model.image_size or network.image_size
    patch = patch_of(network)
    if patch and size % patch and not network.image_size % patch:  # a few drop what is left over, and say so by their own size
        near = max(1, round(size / patch)) * patch
        raise UnknownError(
            f"Images of {size} pixels cannot be cut into {network.name}'s patches of {patch}: no framework runs that.",
            fix=f"Write model.image_size: {near}, or another multiple of {patch}.",
        )
    return size


def patch_of(network: Network) -> int:
    """The side of the patches that a transformer cuts images into, as its name tells; 0 where it tells none."""
    found = re.search(r"patch(\d+)", network.name)
    return int(found[1]) if found and network.parts[0].kind == "transformer" else 0


def setting_of(job: JobConfig, device: Device, size: int) -> Setting:
    """What the job decides beside the network."""
    train, training = job.training, task_of(job) != "inference"
    adapted = training and train.method != "full"
    return Setting(
        device=device,
        numbers=numbers(precision_of(job, device), train.method, train.sharding),
        image_size=size,
        training=training,
        trained=not adapted,
        rank=(train.lora_rank or RANK) if adapted else 0,
        eager=train.attention == "eager",
        compiled=train.compile,
    )


def workload_of(job: JobConfig, device: Device, network: Network, blocks: tuple[Block, ...], setting: Setting) -> Workload:
    """The job around the network's blocks."""
    whole = around(job, device, blocks, family=network.family, name=network.name)
    return replace(
        whole,
        sample_bytes=4.0 * CHANNELS * setting.image_size**2,
        workspace_bytes=workspace(network.parts, device),
        host_seconds=decoding(job),
        notes=(*whole.notes, *_sized(job, network)),
    )


def workspace(parts: tuple[Part, ...], device: Device) -> float:
    """Bytes that cuDNN's convolutions take as scratch."""
    convolving = any(convolves(p) for part in parts for p in part.products)
    return constant("cudnn_workspace") * GIB if convolving and device.kind == "cuda" else 0.0


def decoding(job: JobConfig) -> float:
    """Seconds of one core to read one image file; 0 where the data are arrays, or their place is not told."""
    path = job.dataset.path if job.dataset else None
    return 0.0 if path is None or path.lower().endswith(ARRAYS) else constant("decode_seconds")


def _sized(job: JobConfig, network: Network) -> tuple[str, ...]:
    size = job.model.image_size if job.model else None
    if size and size < SHRUNK <= network.image_size and network.family != "diffusion":
        return (f"Images of {size} pixels are smaller than the {SHRUNK} by which most networks shrink them: it may fail.",)
    if size:
        return ()
    return (f"The image size is not stated: taken as {network.image_size}, {network.name}'s own.",)
