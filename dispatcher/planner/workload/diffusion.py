"""Diffusion models: a trained denoiser beside frozen encoders."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.catalog.networks import Part
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.workload.parts import Setting, part_blocks
from dispatcher.planner.workload.vision import network_of, setting_of, size_of, workload_of

DENOISER = "denoiser"
CACHED = ("latents", "latent", "precomputed")
"""Words in a data set's path that say that its images and texts are encoded already."""
EXTRA_NOTE = "Images and texts are encoded in every step; with precomputed latents, name their folder so in dataset.path."


def build(job: JobConfig, device: Device, *, for_time: bool = False) -> Workload:  # noqa: ARG001 - one signature for all families
    """The job's work on images of its size. Raises UnknownError for an unknown network.

    Training runs every frozen encoder once a step, without keeping anything, unless the latents were computed before.
    Inference is one evaluation of the denoiser.
    """
    network = network_of(job)
    setting = setting_of(job, device, size_of(job, network))
    cached = latents_cached(job)
    frozen = () if cached or not setting.training else tuple(p for p in network.parts if p.role != DENOISER)
    denoiser = next(part for part in network.parts if part.role == DENOISER)
    blocks = [block for part in frozen for block in frozen_blocks(part, setting)]
    found = workload_of(job, device, network, (*blocks, *part_blocks(denoiser, setting)), setting)
    return replace(found, notes=(*found.notes, EXTRA_NOTE)) if frozen else found


def latents_cached(job: JobConfig) -> bool:
    """Whether the data set says that its images are latents already."""
    path = (job.dataset.path or "").lower() if job.dataset else ""
    return any(word in path for word in CACHED)


def frozen_blocks(part: Part, setting: Setting) -> list[Block]:
    """A part that only runs forward, in 16 bit where the device's products do: nothing is kept, nothing trained."""
    still = replace(setting, training=False, trained=False, rank=0)
    return [replace(block, kind="lookup", cast=0.0, input_bytes=0.0) for block in part_blocks(part, still)]
