"""What the job's torch was built for, read from its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dispatcher.doctor import drivers
from dispatcher.domain.hardware import Machine

_SAID = re.compile(r"^(__version__|cuda|hip)(?:: [^=]+)? = (?:'([^']*)'|\"([^\"]*)\"|None)", re.MULTILINE)


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
    if amd and not build.hip:
        return (f"{torch} is not built for ROCm: it will not use the {amd.name}.",)
    return ()
