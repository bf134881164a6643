"""Processors by any spelling, and those behind cloud machines."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from dispatcher.catalog.instances import cpu_model
from dispatcher.catalog.spelling import nearest, plain_cpu
from dispatcher.catalog.tables import number, read_table, sources
from dispatcher.domain.hardware import Cpu, InstanceType

TABLE = "cpus"
FLOPS_PER_CYCLE = {"x86_64": 32.0, "arm64": 16.0, "aarch64": 16.0}
"""fp32 per core and cycle: AVX2 with two FMA units; NEON with two. Many processors do more: a guess on the safe side."""
GUESSED_CLOCK_GHZ = 2.5
GUESSED_BANDWIDTH_GBS = 40.0
_FIGURES = ("gflops", "bandwidth_gbs", "clock_ghz")
_WORDS = ("name", "vendor", "arch", "segment", "as_of", "confidence")
_COLUMNS = (*_WORDS, *_FIGURES, "cores", "threads", "year", "source")


@cache
def cpus() -> tuple[Cpu, ...]:
    """Every processor of the catalog, in the table's order."""
    return tuple(_cpu(row) for row in _rows())


def find_cpu(text: str) -> Cpu | None:
    """The processor so spelled, by a person or an operating system; None where unknown."""
    asked = plain_cpu(text)
    if asked in _by_name():
        return _named(asked)
    inside = [name for name in _by_name() if f" {name} " in f" {asked} "]
    if inside:
        return _named(max(inside, key=len))
    ending = [name for name in _by_name() if asked and name.endswith(f" {asked}")]
    return _named(ending[0]) if len(ending) == 1 else None


def similar_cpus(text: str) -> tuple[str, ...]:
    """Names like this one, best first: for "did you mean"."""
    return nearest(text, (cpu.name for cpu in cpus()))


def generic_cpu(cores: float, *, name: str = "", arch: str = "x86_64", threads: float = 0, clock_ghz: float = 0.0) -> Cpu:
    """A processor nobody has described, guessed from what its computer tells; `confidence` says so."""
    count, clock = max(1, round(cores)), clock_ghz or GUESSED_CLOCK_GHZ
    return Cpu(
        name=name or f"{count}-core {arch}",
        vendor="",
        arch=arch,
        segment="generic",
        cores=count,
        threads=round(threads) or count,
        gflops=count * clock * FLOPS_PER_CYCLE.get(arch, 16.0),
        bandwidth_gbs=GUESSED_BANDWIDTH_GBS,
        clock_ghz=clock,
        source="guessed from the number of cores and the clock",
        confidence="generic",
    )


def host_cpu(instance: InstanceType) -> Cpu:
    """The processor behind a machine type, scaled to the cores rented.

    Peak and clock go with the cores; bandwidth too, up to what its sockets have.
    """
    cores = max(instance.cores, 1)
    model = find_cpu(cpu_model(instance))
    if model is None:
        name = f"{instance.cpu_vendor} {instance.family}".strip()
        return generic_cpu(cores, name=name, arch=instance.cpu_arch, threads=instance.vcpus, clock_ghz=instance.clock_ghz)
    sockets = max(1, -(-cores // model.cores))
    share = cores / model.cores
    return replace(
        model,
        cores=cores,
        threads=instance.vcpus,
        sockets=sockets,
        gflops=model.gflops * share,
        bandwidth_gbs=model.bandwidth_gbs * min(share, sockets),
    )


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_table(TABLE, _COLUMNS))


@cache
def _by_name() -> dict[str, dict[str, str]]:
    return {plain_cpu(row["name"]): row for row in reversed(_rows())}


@cache
def _named(plain: str) -> Cpu:
    return _cpu(_by_name()[plain])


def _cpu(row: dict[str, str]) -> Cpu:
    figures = {column: number(row, column, TABLE) or 0.0 for column in _FIGURES}
    counts = {column: int(number(row, column, TABLE) or 0) for column in ("cores", "threads", "year")}
    source = sources().get(row["source"], (row["source"], ""))[0]
    return Cpu(**{word: row[word] for word in _WORDS}, **figures, **counts, source=source)  # type: ignore[arg-type]
