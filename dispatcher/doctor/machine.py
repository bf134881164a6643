"""Findings on this computer: processor, memory, container, disk, power, GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from dispatcher.doctor.check import Check, Level
from dispatcher.domain.hardware import Gpu, Machine
from dispatcher.hosts.probe import nvidia
from dispatcher.units import show_gib

LITTLE_RAM = 0.15
"""Less than this share of RAM free is worth a word: a tenth is kept back anyway."""
FULL_DISK_GB, SMALL_DISK_GB = 1.0, 10.0
"""Below the first nothing can be written, below the second an environment with torch does not fit (about 6 GB)."""
LOW_BATTERY = 30.0
BUSY = 0.5


def machine_checks(machine: Machine) -> Iterator[Check]:
    """Everything to say of this computer, without its drivers' fit to torch."""
    yield _processor(machine)
    unread = {note.partition(" could not be read")[0] for note in machine.notes}
    if "Memory" not in unread:
        yield _ram(machine)
    if "Disk" not in unread:
        yield _disk(machine.disk_free_gb)
    yield from _container(machine)
    yield from _power(machine)
    yield from (one for gpu in machine.gpus for one in gpu_checks(gpu))
    if not machine.gpus:
        message = "No GPU that a training job could use: jobs run on the processor here."
        yield Check("gpu", "note", message, "mlrun plan JOB.yaml --all shows what a rented one would cost")
    yield from map(_told, machine.notes)


def gpu_checks(gpu: Gpu) -> Iterator[Check]:
    """One GPU: what is free, who else is on it, whether it is slowed down."""
    name = f"gpu {gpu.index}"
    yield Check(name, "ok", f"{gpu.name}, {show_gib(gpu.free_gib)} free of {show_gib(gpu.total_gib)}{_driver(gpu)}.")
    if gpu.other_processes:
        busy = f"{gpu.other_processes} process{'es' if gpu.other_processes > 1 else ''} of other users on it"
        yield Check(name, "warning", f"There {'are' if gpu.other_processes > 1 else 'is'} {busy}.", "nvidia-smi shows them")
    elif gpu.utilisation > BUSY:
        yield Check(name, "note", f"It is busy now ({gpu.utilisation:.0%}).", "close what uses it, or wait")
    if gpu.throttled:
        yield Check(name, "warning", f"Its clocks are held down: {gpu.throttled}.", "check cooling and power supply")


def _processor(machine: Machine) -> Check:
    what = f"{machine.cpu or machine.arch}, {machine.cores} cores, {machine.threads} threads"
    rates = ""
    if machine.cpu_gflops:
        rates = f", {machine.cpu_gflops:.0f} GFLOP/s ({machine.cpu_basis or 'measured'}), {machine.cpu_bandwidth_gbs:.0f} GB/s"
    if machine.cpus < machine.threads:
        return Check(
            "processor", "note", f"{what}{rates}; this process may use {machine.cpus:g}.", "raise the container's quota"
        )
    return Check("processor", "ok", what + rates + ".")


def _ram(machine: Machine) -> Check:
    said = f"{show_gib(machine.ram_available_gib)} free of {show_gib(machine.ram_gib)}"
    swapped = machine.swap_gib - machine.swap_free_gib
    if machine.ram_available_gib < LITTLE_RAM * machine.ram_gib:
        return Check(
            "memory", "warning", f"Little RAM is free: {said}.", "close what you do not need; ps -eo pid,rss,comm --sort -rss"
        )
    if swapped > machine.ram_available_gib:
        message = f"{said}, but {show_gib(swapped)} already swapped out: what comes back takes that RAM."
        return Check("memory", "warning", message, "close what you do not need before a long job")
    return Check("memory", "ok", f"{said}; swap {show_gib(machine.swap_free_gib)} free of {show_gib(machine.swap_gib)}.")


def _disk(free_gb: float) -> Check:
    said = f"{free_gb:.1f} GB free"
    if free_gb < FULL_DISK_GB:
        return Check("disk", "error", f"The disk is full: {said}.", "make room; mlrun purge removes what mlrun keeps")
    if free_gb < SMALL_DISK_GB:
        return Check("disk", "warning", f"Little disk: {said}.", "make room; mlrun purge removes what mlrun keeps")
    return Check("disk", "ok", said + ".")


def _container(machine: Machine) -> Iterator[Check]:
    if "held to" in machine.container:
        fix = "start the container with more (docker run --cpus … --memory …)"
        yield Check("container", "note", f"{machine.container}: jobs here get no more.", fix)
    elif machine.container:
        yield Check("container", "ok", f"{machine.container}, without limits on CPU or memory.")


def _power(machine: Machine) -> Iterator[Check]:
    if machine.battery and not machine.battery.plugged:
        level: Level = "warning" if machine.battery.percent < LOW_BATTERY else "note"
        message = f"On battery, {machine.battery.percent:.0f} %: jobs run slower and may not end."
        yield Check("power", level, message, "plug it in before a long job")
    elif machine.battery:
        yield Check("power", "ok", f"Plugged in, battery {machine.battery.percent:.0f} %.")
    if machine.fanless:
        yield Check("cooling", "note", "No fan: a job over some minutes slows down as it warms up.", "plan long jobs elsewhere")


def _driver(gpu: Gpu) -> str:
    return f", driver {gpu.driver} (CUDA up to {gpu.cuda})" if gpu.driver else ""


NOTES: tuple[tuple[str, Level, str], ...] = (
    ("no driver is loaded", "warning", "install NVIDIA's driver from your distribution (Ubuntu: sudo ubuntu-drivers install)"),
    ("nouveau driver", "warning", "install NVIDIA's own driver (Ubuntu: sudo ubuntu-drivers install), then restart"),
    ("CUDA_VISIBLE_DEVICES", "note", "unset CUDA_VISIBLE_DEVICES"),
    ("slowed down now", "warning", "let it cool; clear its vents"),
    ("macOS holds the processor", "warning", "let it cool; clear its vents"),
    ("ROCm's tools", "note", "install ROCm's amd-smi, or leave it: jobs use the processor"),
    ("integrated", "note", "nothing to do: plans count it as RAM"),
    ("Intel GPUs", "note", "nothing to do: plans use the processor"),
)
"""Words of a probe's note, how much it matters, and what to do."""


def _told(note: str) -> Check:
    fix = nvidia.fix_for(note)
    if fix:
        return Check("probe", "error", note, fix)
    _, level, words = next((row for row in NOTES if row[0] in note), ("", "warning", "the plan goes on without it"))
    return Check("probe", level, note, words)
