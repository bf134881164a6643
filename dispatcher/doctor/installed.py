"""What the job's torch was built for, read from its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dispatcher.doctor import drivers
from dispatcher.domain.hardware import Gpu, Machine

_SAID = re.compile(r"^(__version__|cuda|hip)(?:: [^=]+)? = (?:'([^']*)'|\"([^\"]*)\"|None)", re.MULTILINE)

CAPABILITIES = ((10.0, (12, 8)), (8.9, (11, 8)), (8.6, (11, 1)), (8.0, (11, 0)))
"""Compute capabilities, and the first CUDA version with code for them (NVIDIA's release notes, recalled 2026-11)."""
DROPPED = (13, 7.5)
"""CUDA 13 has no code for GPUs before Turing (NVIDIA, CUDA 13.0 release notes, 2025-08)."""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """A torch wheel: its version, and the CUDA or ROCm it was built for, "" for none."""

    version: str
    cuda: str = ""
    hip: str = ""


def torch_build(prefix: Path) -> TorchBuild | None:
    """The torch in an environment, without importing it; None where there is none that says."""
    for file in sorted(prefix.glob("lib/python3*/site-packages/torch/version.py")):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        said = {name: one or other for name, one, other in _SAID.findall(text)}
        return TorchBuild(said.get("__version__", ""), said.get("cuda", ""), said.get("hip", ""))
    return None


def unsuited(build: TorchBuild | None, machine: Machine) -> tuple[str, ...]:
    """Why this torch will not use this computer's GPUs, before a job finds out."""
    if build is None:
        return ()
    makers = {gpu.vendor: gpu for gpu in machine.gpus}
    nvidia, amd = makers.get("NVIDIA"), makers.get("AMD")
    torch = f"torch {build.version}"
    if nvidia and not build.cuda:
        return (f"{torch} is a build without CUDA: it will not use the {nvidia.name}. mlrun doctor says what to install.",)
    if nvidia and drivers.runs(nvidia.driver, build.cuda) is False:
        return (f"{torch} is built for CUDA {build.cuda}, too new for driver {nvidia.driver}: it will not see the GPU.",)
    if nvidia and (why := _without_code(build, nvidia)):
        return (f"{torch} is built for CUDA {build.cuda}, {why}",)
    if amd and not build.hip:
        return (f"{torch} is not built for ROCm: it will not use the {amd.name}.",)
    return ()


def _without_code(build: TorchBuild, gpu: Gpu) -> str:
    """Why wheels of this CUDA version hold no code for a GPU; "" where they do, or nobody knows."""
    cuda, capability = drivers.version(build.cuda), gpu.compute_capability
    if not cuda or not capability:
        return ""
    since = next((needed for least, needed in CAPABILITIES if capability >= least), ())
    if cuda < since:
        least = ".".join(map(str, since))
        return f"too old for the {gpu.name} (compute capability {capability:g}): install a build for CUDA {least} or newer."
    if cuda[0] >= DROPPED[0] and capability < DROPPED[1]:
        return f"which has dropped the {gpu.name} (compute capability {capability:g}): install a build for CUDA 12.6."
    return ""
