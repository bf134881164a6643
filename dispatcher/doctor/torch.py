"""Whether the torch that a job would import fits the GPU."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from dispatcher.doctor import drivers
from dispatcher.doctor.check import Check
from dispatcher.domain.hardware import Gpu, Machine
from dispatcher.hosts.python_env import PythonEnv

TRIAL = Path(__file__).with_name("torch_trial.py")
TRIAL_SECONDS = 60.0
"""Importing torch from a cold disk takes up to half a minute."""
PICK = "pytorch.org/get-started/locally has the command"


@dataclass(frozen=True, slots=True)
class TorchFacts:
    """What the job's Python says of its torch. `torch` is "" where it has none; `broken` tells why an import failed."""

    python: str = ""
    arch: str = ""
    torch: str = ""
    cuda: str = ""
    hip: str = ""
    archs: tuple[str, ...] = ()
    available: bool = False
    mps: bool = False
    said: str = ""
    broken: str = ""


def ask(python: Path, *, timeout: float = TRIAL_SECONDS) -> TorchFacts:
    """Import torch there, in a process of its own. What goes wrong stands in `broken`."""
    try:
        done = subprocess.run(
            [str(python), "-c", TRIAL.read_text(encoding="utf-8")],
            capture_output=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",  # so that no file of the user's, named torch.py say, is imported
        )
    except subprocess.TimeoutExpired:
        return TorchFacts(broken=f"importing it took over {timeout:.0f} s")
    except OSError as error:
        return TorchFacts(broken=f"{python} does not start: {error.strerror}")
    return parse(done.stdout.decode(errors="replace"), done.returncode)


def parse(output: str, code: int) -> TorchFacts:
    """The trial's last line; libraries may print before it."""
    last = output.strip().splitlines()[-1] if output.strip() else ""
    try:
        found = json.loads(last)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return TorchFacts(broken=f"its process died (signal {-code})" if code < 0 else "it gave no answer")
    known = {field.name: found[field.name] for field in fields(TorchFacts) if field.name in found}
    return TorchFacts(**{**known, "archs": tuple(known.get("archs", ()))})


def torch_checks(env: PythonEnv | None, torch: TorchFacts, machine: Machine) -> Iterator[Check]:
    """What to say of the job's Python and its torch."""
    if env is None:
        yield Check("python", "warning", "No Python for jobs: none active, no .venv, none on PATH.", "python3 -m venv .venv")
        return
    how = {"active": "the active environment", "venv": "the folder's .venv", "path": "found on PATH"}[env.kind]
    yield Check("python", "ok", f"Jobs get {env.path} ({how}){', Python ' + torch.python if torch.python else ''}.")
    if torch.broken:
        fix = f"{env.path} -m pip install --force-reinstall torch"
        yield Check("torch", "error", f"torch cannot be imported there: {torch.broken}.", fix)
    elif not torch.torch:
        yield Check("torch", "note", "No torch there; only jobs that import it need it.", f"{env.path} -m pip install torch")
    else:
        found = list(mismatches(env, torch, machine))
        yield from found or [Check("torch", "ok", f"torch {torch.torch}{_build(torch)}.")]


def mismatches(env: PythonEnv, torch: TorchFacts, machine: Machine) -> Iterator[Check]:
    """Where this torch does not use this computer's GPU."""
    makers = {gpu.vendor: gpu for gpu in machine.gpus}
    if "NVIDIA" in makers:
        yield from _on_nvidia(env, torch, [gpu for gpu in machine.gpus if gpu.vendor == "NVIDIA"])
    elif "AMD" in makers and not torch.hip:
        message = f"torch {torch.torch} is not built for ROCm: it will not use the {makers['AMD'].name}."
        yield Check("torch", "warning", message, f"install its ROCm build; {PICK}")
    elif "Apple" in makers and not torch.mps:
        yield _without_mps(env, torch)


def supports(archs: Iterable[str], capability: float) -> bool | None:
    """Whether a build's architectures run on a GPU; None where the list is empty.

    Machine code (sm_86) runs on the same major version from its minor version on; PTX (compute_90) on anything newer.
    A letter (sm_90a) binds it to that very GPU. NVIDIA, CUDA C++ Programming Guide, “Compute capability”.
    """
    major, minor = int(capability), round(capability * 10) % 10
    found = [match for match in (re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", arch) for arch in archs) if match]
    if not found or not capability:
        return None
    return any(_runs_on(match, major, minor) for match in found)


def _runs_on(match: re.Match[str], major: int, minor: int) -> bool:
    kind, its_major, its_minor, letter = match.group(1), int(match.group(2)), int(match.group(3)), match.group(4)
    if letter == "a":
        return (its_major, its_minor) == (major, minor)
    if kind == "compute":
        return (its_major, its_minor) <= (major, minor)
    return its_major == major and its_minor <= minor


def _on_nvidia(env: PythonEnv, torch: TorchFacts, gpus: list[Gpu]) -> Iterator[Check]:
    gpu = gpus[0]
    if not torch.cuda:
        message = f"torch {torch.torch} is a build without CUDA: it will not use the {gpu.name}."
        yield Check("torch", "warning", message, f"install its CUDA {_newest(gpu)} build; {PICK}")
        return
    if drivers.runs(gpu.driver, torch.cuda) is False:
        row = drivers.driver_for(torch.cuda)
        message = f"torch {torch.torch} is built for CUDA {torch.cuda}, too new for driver {gpu.driver}."
        least = row.driver_any if row else "a newer one"
        fix = f"update the driver to {least} or later, or install torch's CUDA {_newest(gpu)} build"
        yield Check("torch", "error", message, fix)
        return
    for one in gpus:
        if supports(torch.archs, one.compute_capability) is False:
            message = f"torch {torch.torch} has no code for the {one.name} (compute capability {one.compute_capability:.1f})."
            older = one.compute_capability < min(_capabilities(torch.archs), default=0.0)
            fix = "install an older torch" if older else "install a newer torch"
            yield Check("torch", "error", f"{message} It has: {' '.join(torch.archs)}.", f"{fix}; {PICK}")
    if not torch.available:
        said = f" It says: {torch.said}" if torch.said else ""
        fix = f'{env.path} -c "import torch; torch.cuda.init()" tells more; after a driver update, restart'
        yield Check("torch", "error", f"torch {torch.torch} for CUDA {torch.cuda} does not reach the GPU.{said}", fix)


def _without_mps(env: PythonEnv, torch: TorchFacts) -> Check:
    if torch.arch == "x86_64":
        message = f"{env.path} is built for Intel and runs translated: torch cannot use Apple's GPU."
        return Check("torch", "warning", message, "make the environment with an arm64 Python")
    message = f"torch {torch.torch} does not offer MPS: it will not use Apple's GPU."
    return Check("torch", "warning", message, f"{env.path} -m pip install --upgrade torch (MPS needs macOS 14 or later)")


def _capabilities(archs: Iterable[str]) -> list[float]:
    found = (re.search(r"_(\d+)(\d)", arch) for arch in archs)
    return [int(match.group(1)) + int(match.group(2)) / 10 for match in found if match]


def _newest(gpu: Gpu) -> str:
    return drivers.newest_for(gpu.driver) or gpu.cuda


def _build(torch: TorchFacts) -> str:
    if torch.cuda:
        return f" for CUDA {torch.cuda}"
    return f" for ROCm {torch.hip}" if torch.hip else ", with MPS" if torch.mps else ""
