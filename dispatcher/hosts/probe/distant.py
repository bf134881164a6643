"""What another computer has, from what it tells of itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.domain.hardware import Gpu, Machine
from dispatcher.errors import HostError
from dispatcher.hosts.base import Host, plain
from dispatcher.hosts.probe import amd, apple, cgroup, container, cpu, memory, speed
from dispatcher.hosts.probe.machine import ARCHITECTURES
from dispatcher.hosts.programs import command
from dispatcher.units import GB, GIB

MIB_PER_GIB = 1024.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A computer as it was seen; None where it did not answer, and why. `users`: by GPU, programs that are no runs of ours;
    `load`: its average.
    """

    machine: Machine | None
    users: tuple[int, ...] = ()
    load: float = 0.0
    trouble: str = ""


def probe_host(host: Host) -> Seen:
    """The computer as it stands now. Raises HostError."""
    done = host.run(command("look.py", host.root))
    try:
        told = json.loads(done.stdout)
        return Seen(machine_of(told), tuple(users_of(told)), float(told["load"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        said = plain(done.stderr) or repr(error)
        raise HostError(f"{host.name} does not tell what it has: {said}", fix="mlrun doctor") from error


def machine_of(told: Mapping[str, Any]) -> Machine:
    """Its files are laid out in a folder, and read as this computer's would be."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in told["files"].items():
            place = root / Path(path.lstrip("/"))
            if place.resolve().is_relative_to(root.resolve()):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
        held = cgroup.limits(root)
        facts = cpu.linux_cpu(root)
        whole = memory.parse_meminfo(str(told["files"].get("/proc/meminfo", "")))
        kind = container.kind(root, {})
    values = dict(_pairs(told["tools"].get("sysctl", "")))
    if told["system"] == "Darwin":
        size = float(values.get("hw.memsize", 0) or 0)
        facts, whole = cpu.parse_sysctl(values), memory.Memory(size, size / 2)
    ram = memory.within(whole, held)
    cpus = cpu.usable_cpus(facts.threads, told["affinity"], held.cpus)
    gpus = tuple(_nvidia(told)) or _amd(told) or _apple(told, values, ram.available / GIB)
    return Machine(
        hostname=str(told["node"]),
        system=str(told["system"]),
        arch=ARCHITECTURES.get(told["arch"], str(told["arch"])),
        cpu=facts.model,
        cores=facts.cores,
        threads=facts.threads,
        cpus=cpus,
        ram_gib=ram.total / GIB,
        ram_available_gib=ram.available / GIB,
        swap_gib=ram.swap / GIB,
        swap_free_gib=ram.swap_free / GIB,
        disk_free_gb=float(told["disk_free"]) / GB,
        cpu_gflops=speed.computed_gflops(facts, cpus),
        cpu_basis="computed",
        simd=facts.simd,
        gpus=gpus,
        unified=any(gpu.unified for gpu in gpus),
        container=container.describe(kind, held, ram=whole.total, threads=facts.threads),
    )


def users_of(told: Mapping[str, Any]) -> Iterator[int]:
    """Programs that compute on each NVIDIA GPU, those of our runs aside."""
    rows = [_cells(line) for line in told["tools"].get("users", "").splitlines()]
    for gpu in _gpu_rows(told):
        yield sum(1 for row in rows if len(row) == 2 and row[0] == gpu[6] and row[1] not in told["ours"])


def _gpu_rows(told: Mapping[str, Any]) -> list[list[str]]:
    return [row for row in map(_cells, told["tools"].get("gpus", "").splitlines()) if len(row) == 7]


def _nvidia(told: Mapping[str, Any]) -> Iterator[Gpu]:
    capabilities = dict(row for row in map(_cells, told["tools"].get("capabilities", "").splitlines()) if len(row) == 2)
    others = list(users_of(told))
    for place, (index, name, total, free, used, driver, _) in enumerate(_gpu_rows(told)):
        yield Gpu(
            index=int(index),
            name=name,
            total_gib=_number(total) / MIB_PER_GIB,
            free_gib=_number(free) / MIB_PER_GIB,
            compute_capability=_number(capabilities.get(index, "")),
            driver=driver,
            other_processes=others[place],
            utilisation=_number(used) / 100,
        )


def _amd(told: Mapping[str, Any]) -> tuple[Gpu, ...]:
    text = told["tools"].get("rocm", "")
    try:
        return amd.discrete(amd.parse_rocm_smi(text))[0] if text.strip() else ()
    except (ValueError, KeyError):
        return ()


def _apple(told: Mapping[str, Any], values: dict[str, str], available_gib: float) -> tuple[Gpu, ...]:
    gpu = apple.apple_gpu(values, available_gib) if told["system"] == "Darwin" else None
    return (gpu,) if gpu else ()


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            yield key.strip(), value.strip()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(",")]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
