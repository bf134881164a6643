"""NVIDIA GPUs as the driver reports them now, through NVML."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dispatcher.domain.hardware import Gpu
from dispatcher.units import GIB

TRACES = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg", "proc/driver/nvidia/version")
"""What a loaded driver leaves in the file system; dxg is WSL2's."""
LIBRARY = "libnvidia-ml.so.1"
LIBRARY_DIRS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "usr/local/nvidia/lib",
    "run/opengl-driver/lib",
)

THROTTLES = ((0x40, "heat"), (0x20, "heat"), (0x80, "power brake"), (0x8, "hardware slowdown"), (0x4, "power limit"))
"""nvmlClocksEventReasons bits that slow a job (NVML API reference): idle, user clocks and sync boost do not."""

_T = TypeVar("_T")


class Fault(NamedTuple):
    """What an NVML error means to the user, and what to do."""

    message: str
    fix: str


FAULTS = {
    4: Fault("The NVIDIA driver does not let this user look at the GPU.", "sudo usermod -aG video,render $USER; log in again"),
    9: Fault("The NVIDIA driver is installed but not loaded.", "sudo modprobe nvidia, or restart the computer"),
    15: Fault("An NVIDIA GPU has fallen off the bus.", "restart the computer; sudo dmesg | grep -i xid says why"),
    16: Fault("An NVIDIA GPU needs a reset.", "sudo nvidia-smi --gpu-reset, or restart the computer"),
    18: Fault("The NVIDIA driver was updated and not restarted: library and kernel module differ.", "restart the computer"),
    999: Fault(
        "The NVIDIA driver answers “Unknown Error”; a container often loses its GPU so.",
        "restart the container, or the computer; nvidia-smi on the host tells which",
    ),
}
"""By NVML error code (nvml.h)."""
QUIET = {12, 28}
"""No library, no GPU: nothing to say."""


def fix_for(note: str) -> str:
    """What to do about a note of ours; "" where it is not ours."""
    return next((fault.fix for fault in FAULTS.values() if note.endswith(fault.message)), "")


def present(root: Path = Path("/")) -> bool:
    """Whether it is worth loading NVML: looks at files only."""
    traces = (root / trace for trace in TRACES)
    libraries = (root / folder / LIBRARY for folder in LIBRARY_DIRS)
    return any(path.exists() for path in (*traces, *libraries))


def nvidia_gpus(environ: Mapping[str, str] = os.environ) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The GPUs a job started now would see, and notes on those that cannot be read."""
    import pynvml

    return survey(pynvml, environ)


def survey(nvml: Any, environ: Mapping[str, str]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """The same from a given NVML."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return (), _notes(error)
    try:
        return _devices(nvml, environ.get("CUDA_VISIBLE_DEVICES"))
    except nvml.NVMLError as error:
        return (), _notes(error)
    finally:
        nvml.nvmlShutdown()


def visible(setting: str | None, index: int, uuid: str) -> bool:
    """Whether CUDA_VISIBLE_DEVICES shows this GPU; CUDA reads the list up to its first invalid entry."""
    if setting is None:
        return True
    for entry in (part.strip() for part in setting.split(",")):
        if not entry or entry.startswith("-"):
            return False
        if entry == str(index) or (entry.startswith(("GPU-", "MIG-")) and uuid.startswith(entry)):
            return True
    return False


def throttle_words(bits: int) -> str:
    """Why the clocks are held down; "" where nothing slows a job."""
    return ", ".join(dict.fromkeys(word for bit, word in THROTTLES if bits & bit))


def cuda_version(number: int) -> str:
    """12080 is CUDA 12.8."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""


def strangers(pids: Iterable[int], uid: int, proc: Path = Path("/proc")) -> int:
    """How many of these processes are not this user's; one that cannot be seen is somebody's in another container."""
    return sum(_owner(proc / str(pid)) != uid for pid in set(pids))


def _devices(nvml: Any, setting: str | None) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    driver = _word(_or(nvml, nvml.nvmlSystemGetDriverVersion, ""))
    cuda = cuda_version(_or(nvml, nvml.nvmlSystemGetCudaDriverVersion_v2, 0))
    gpus: list[Gpu] = []
    notes: list[str] = []
    hidden = 0
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            for handle in _parts(nvml, nvml.nvmlDeviceGetHandleByIndex(index)):
                if visible(setting, index, _word(_or(nvml, nvml.nvmlDeviceGetUUID, "", handle))):
                    gpus.append(_gpu(nvml, handle, index, driver, cuda))
                else:
                    hidden += 1
        except nvml.NVMLError as error:
            notes += [f"GPU {index}: {note}" for note in _notes(error)]
    if hidden:
        notes.append(f"CUDA_VISIBLE_DEVICES hides {hidden} NVIDIA GPU{'s' if hidden > 1 else ''} from jobs started here.")
    return tuple(gpus), tuple(notes)


def _parts(nvml: Any, handle: Any) -> list[Any]:
    """The GPU itself, or the MIG devices it is divided into."""
    current, _ = _or(nvml, nvml.nvmlDeviceGetMigMode, (0, 0), handle)
    if not current:
        return [handle]
    slots = range(_or(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, 0, handle))
    found = (_or(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, None, handle, slot) for slot in slots)
    return [part for part in found if part is not None]


def _gpu(nvml: Any, handle: Any, index: int, driver: str, cuda: str) -> Gpu:
    name = _word(nvml.nvmlDeviceGetName(handle))
    memory = _memory(nvml, handle)
    major, minor = _or(nvml, nvml.nvmlDeviceGetCudaComputeCapability, (0, 0), handle)
    running: list[Any] = _or(nvml, nvml.nvmlDeviceGetComputeRunningProcesses, [], handle)
    load = _or(nvml, nvml.nvmlDeviceGetUtilizationRates, None, handle)
    return Gpu(
        index=index,
        name=name,
        total_gib=memory.total / GIB if memory else 0.0,
        free_gib=memory.free / GIB if memory else 0.0,
        compute_capability=major + minor / 10,
        driver=driver,
        cuda=cuda,
        other_processes=strangers((process.pid for process in running), os.getuid()),
        unified=memory is None,
        utilisation=load.gpu / 100 if load else 0.0,
        throttled=throttle_words(_or(nvml, nvml.nvmlDeviceGetCurrentClocksThrottleReasons, 0, handle)),
    )


def _memory(nvml: Any, handle: Any) -> Any:
    """Total and free bytes; None on chips that share the host's RAM (GB10, Jetson), which answer “not supported”."""
    try:
        return nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError as error:
        if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        return None


def _or(nvml: Any, ask: Callable[..., _T], otherwise: _T, *args: Any) -> _T:
    """An answer, or `otherwise` where this GPU or driver has none; a GPU that is lost is not that."""
    try:
        return ask(*args)
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
            raise
        return otherwise


def _notes(error: Any) -> tuple[str, ...]:
    code = int(error.value)
    if code in QUIET:
        return ()
    fault = FAULTS.get(code)
    return (fault.message if fault else f"NVIDIA's driver answers: {error}.",)


def _word(text: str | bytes) -> str:
    """Older bindings answer in bytes."""
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _owner(process: Path) -> int | None:
    try:
        return process.stat().st_uid
    except OSError:
        return None
