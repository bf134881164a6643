"""Small worlds for the planner's tests: every figure has a default, each test states the ones it is about."""

from __future__ import annotations

from typing import Any

from dispatcher.domain.hardware import Accelerator, Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Amount, Candidate, Cost, Offer, Range
from dispatcher.planner.assessment import Assessment

CPU = Cpu("Test CPU", "Test", "x86", "server", cores=8, threads=16, gflops=800.0, bandwidth_gbs=50.0)
GPU = Accelerator(
    "T4", "NVIDIA", "Turing", "datacenter", 16.0, 320.0, 8.1, fp16_tflops=65.0, compute_capability=7.5, interconnect_gbs=16.0
)


def gpu(**changes: Any) -> Accelerator:
    """A T4 but for `changes`."""
    fields = {name: getattr(GPU, name) for name in GPU.__slots__}
    return Accelerator(**{**fields, **changes})


def device(kind: str = "cuda", **changes: Any) -> Device:
    """One accelerator in a host of 8 cores and 32 GiB; `kind` cpu has none."""
    spec = None if kind == "cpu" else gpu(**changes)
    return Device(kind, CPU, 8.0, 32.0, spec, 1, spec.memory_gib if spec else 0.0)


def amount(likely: float, *, spread: float = 0.1, basis: str = "formula", **terms: float) -> Amount:
    """`likely` ± `spread`, all of it in one term unless terms are given."""
    return Amount(Range.around(likely, spread, spread), terms or {"all": likely}, basis)


def needs(
    *, gpu_gib: float | None = 4.0, ram_gib: float = 4.0, disk_gb: float = 1.0, hours: float | None = 1.0, **more: Any
) -> Assessment:
    """What a job needs; `hours` None where its length is unknown."""
    run = Range(0.8 * hours * 3600, hours * 3600, 1.3 * hours * 3600) if hours else None
    kind = "cuda" if gpu_gib else "cpu"
    memory = amount(gpu_gib) if gpu_gib else None
    return Assessment(more.pop("on", device(kind)), memory, amount(ram_gib), amount(disk_gb), run=run, **more)


def offer(where: str = "aws", machine: str | None = "g4dn.xlarge", **changes: Any) -> Offer:
    """A g4dn.xlarge on demand in us-east-1 but for `changes`."""
    figures: dict[str, Any] = {
        "device": "T4", "count": 1, "device_memory_gib": 16.0, "region": "us-east-1", "market": "on-demand", "vcpus": 4.0,
        "cores": 2.0, "ram_gib": 16.0, "price_per_hour": 0.526, "price_as_of": "2026-07-20", "price_source": "embedded",
    }  # fmt: skip
    return Offer(where=where, machine=machine, **{**figures, **changes})


def own(**changes: Any) -> Offer:
    """A laptop with a 4 GiB GPU of which 3.6 are free, and 16 GiB RAM of which 9.8 are."""
    figures: dict[str, Any] = {
        "device": "RTX 3050 Laptop", "device_memory_gib": 4.0, "device_memory_free_gib": 3.6, "market": "owned", "region": None,
        "ram_gib": 16.0, "ram_available_gib": 9.8, "disk_gb": 100.0, "price_per_hour": 0.0, "price_as_of": "",
    }  # fmt: skip
    return offer("local", None, **{**figures, **changes})


def candidate(
    cost: float | None = 1.0, hours: float | None = 1.0, *, fits: bool = True, at: Offer | None = None, **changes: Any
) -> Candidate:
    """A candidate of so many USD and hours; cost None where its price is unknown."""
    money = None if cost is None else Cost(Range(0.8 * cost, cost, 1.5 * cost), 3 * cost)
    span = None if hours is None else Range(0.8 * hours, hours, 1.5 * hours)
    return Candidate(at or offer(), fits, amount(4.0), 15.0, 0.5, hours=span, cost=money, **changes)


def job(**keys: Any) -> JobConfig:
    """A job file as a mapping, validated."""
    return JobConfig.model_validate({"run": "true", **keys})
