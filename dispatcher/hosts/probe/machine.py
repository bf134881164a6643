"""One look at this computer; no probe can fail the whole."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dispatcher.domain.hardware import Battery, Gpu, Machine
from dispatcher.hosts.probe import amd, apple, battery, cgroup, container, cpu, integrated, memory, nvidia, speed, thermal
from dispatcher.hosts.probe.reading import ask_tool, read_text
from dispatcher.units import GIB

ARCHITECTURES = {"aarch64": "arm64", "AMD64": "x86_64"}
"""One name per instruction set, whatever the system calls it."""

_T = TypeVar("_T")
Notes = tuple[str, ...]
NONE: tuple[tuple[Gpu, ...], Notes] = (), ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What differs between systems: processor, graphics, power and heat."""

    cpu: cpu.CpuFacts
    gpus: tuple[Gpu, ...] = ()
    battery: Battery | None = None
    fanless: bool = False
    notes: Notes = ()


def probe(*, measure: bool = False, workdir: Path | None = None, pythons: Sequence[str] = ()) -> Machine:
    """This computer as it stands now.

    `workdir` is where disk space counts. `measure` times the processor where that was not done before; `pythons` are
    interpreters that may have numpy for it.
    """
    root, notes = Path("/"), list[str]()
    held = _attempt("container limits", lambda: cgroup.limits(root), cgroup.Limits(), notes)
    whole = _attempt("memory", memory.read_memory, memory.Memory(0.0, 0.0), notes)
    ram = memory.within(whole, held)
    look = _mac if platform.system() == "Darwin" else _linux
    around = look(root, ram.available / GIB, notes)
    cpus = cpu.usable_cpus(around.cpu.threads, cpu.affinity(), held.cpus)
    rate = _attempt("speed", lambda: _speed(around.cpu, cpus, ram.available, pythons, measure=measure), None, notes)
    gpus = tuple(_with_ram(gpu, ram) for gpu in around.gpus)
    kind = container.kind(root, os.environ)
    return Machine(
        hostname=platform.node(),
        system=platform.system(),
        arch=ARCHITECTURES.get(platform.machine(), platform.machine()),
        cpu=around.cpu.model,
        cores=around.cpu.cores,
        threads=around.cpu.threads,
        cpus=cpus,
        ram_gib=ram.total / GIB,
        ram_available_gib=ram.available / GIB,
        swap_gib=ram.swap / GIB,
        swap_free_gib=ram.swap_free / GIB,
        disk_free_gb=_attempt("disk", lambda: memory.disk_free_gb(workdir or Path.cwd()), 0.0, notes),
        cpu_gflops=rate.gflops if rate else 0.0,
        cpu_bandwidth_gbs=rate.bandwidth_gbs if rate else 0.0,
        cpu_basis=rate.basis if rate else "",
        simd=around.cpu.simd,
        gpus=gpus,
        unified=any(gpu.unified for gpu in gpus),
        battery=around.battery,
        fanless=around.fanless,
        container=container.describe(kind, held, ram=whole.total, threads=around.cpu.threads),
        notes=(*notes, *around.notes),
    )


def pinned_gpus(environ: Mapping[str, str] = os.environ) -> tuple[tuple[Gpu, ...], Notes]:
    """NVIDIA's and AMD's GPUs, those that CUDA_VISIBLE_DEVICES shows; asked again at a job's start."""
    notes: list[str] = []
    nvidias = _attempt("NVIDIA", lambda: nvidia.nvidia_gpus(environ), NONE, notes) if nvidia.present() else NONE
    amds = _attempt("AMD", amd.amd_gpus, NONE, notes)
    found = tuple(replace(gpu, index=index) if gpu.vendor == "AMD" else gpu for index, gpu in enumerate(nvidias[0] + amds[0]))
    return found, (*notes, *nvidias[1], *amds[1])


def _linux(root: Path, _available_gib: float, notes: list[str]) -> Surroundings:
    facts = _attempt("processor", lambda: cpu.linux_cpu(root), cpu.CpuFacts("", 1, 1), notes)
    gpus, said = pinned_gpus()
    seen: tuple[integrated.Graphics, ...] = _attempt("graphics", lambda: integrated.graphics(root), (), notes)
    makers = {gpu.vendor for gpu in gpus} | ({"NVIDIA"} if any("NVIDIA" in note for note in said) else set())
    heat = _attempt("heat", lambda: thermal.hot(thermal.read_zones(root)), "", notes)
    supply = _attempt("battery", lambda: battery.from_supplies(battery.read_supplies(root)), None, notes)
    model = read_text(root / "sys/class/dmi/id/product_name")
    extra = (*said, *integrated.notes_on(seen, makers), *((heat,) if heat else ()))
    return Surroundings(facts, gpus, supply, apple.is_fanless(model), extra)


def _mac(_root: Path, available_gib: float, notes: list[str]) -> Surroundings:
    values: dict[str, str] = _attempt("sysctl", apple.read_sysctl, {}, notes)
    facts = _attempt("processor", lambda: cpu.parse_sysctl(values), cpu.CpuFacts("", 1, 1), notes)
    gpu = _attempt("graphics", lambda: apple.apple_gpu(values, available_gib), None, notes)
    supply = _attempt("battery", lambda: battery.parse_pmset(ask_tool(("pmset", "-g", "batt"))), None, notes)
    heat = _attempt("heat", lambda: thermal.parse_pmset_therm(ask_tool(("pmset", "-g", "therm"))), "", notes)
    fanless = apple.is_fanless(values.get("hw.model", ""))
    return Surroundings(facts, (gpu,) if gpu else (), supply, fanless, (heat,) if heat else ())


def _speed(facts: cpu.CpuFacts, cpus: float, available: float, pythons: Sequence[str], *, measure: bool) -> speed.Speed | None:
    """The speed known, measured now where it was asked for and never measured before."""
    name = speed.key(facts.model, cpus)
    known = speed.cached(name)
    if not measure or (known and known.basis == "measured"):
        return known
    fresh = speed.measure(facts, cpus, available, pythons)
    speed.remember(name, fresh)
    return fresh


def _with_ram(gpu: Gpu, ram: memory.Memory) -> Gpu:
    """A GPU that shares the host's RAM and reports no memory has the RAM's."""
    if not gpu.unified or gpu.total_gib:
        return gpu
    return replace(gpu, total_gib=ram.total / GIB, free_gib=ram.available / GIB)


def _attempt(what: str, ask: Callable[[], _T], otherwise: _T, notes: list[str]) -> _T:
    """An answer, or `otherwise` and a note."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - whatever a driver or a tool does, the plan goes on without that fact
        notes.append(f"{what[0].upper()}{what[1:]} could not be read: {error or type(error).__name__}.")
        return otherwise
