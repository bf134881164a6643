"""Transformers for the tests of memory and time: every figure has a default, each test states the ones it is about."""

from __future__ import annotations

from typing import Any

from dispatcher.domain.hardware import Accelerator, Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Workload
from dispatcher.planner.workload import workload

CPU = Cpu("Test CPU", "Test", "x86", "server", cores=8, threads=16, gflops=800.0, bandwidth_gbs=50.0)
A100 = Accelerator(
    "A100-80GB", "NVIDIA", "Ampere", "datacenter", 80.0, 2039.0, 19.5, 156.0, 312.0, 312.0, compute_capability=8.0,
    interconnect="NVLink3", interconnect_gbs=600.0, tdp_w=400.0, year=2020,
)  # fmt: skip
H100 = Accelerator(
    "H100-80GB", "NVIDIA", "Hopper", "datacenter", 80.0, 3350.0, 67.0, 494.5, 989.0, 989.0, 1979.0, compute_capability=9.0,
    interconnect="NVLink4", interconnect_gbs=900.0, tdp_w=700.0, year=2022,
)  # fmt: skip
T4 = Accelerator(
    "T4", "NVIDIA", "Turing", "datacenter", 16.0, 320.0, 8.1, fp16_tflops=65.0, compute_capability=7.5, interconnect="PCIe3",
    interconnect_gbs=16.0, tdp_w=70.0, year=2018,
)  # fmt: skip
M2_ULTRA = Accelerator(
    "M2-Ultra", "Apple", "Apple GPU", "apple", 128.0, 800.0, 27.2, fp16_tflops=27.2, bf16_tflops=27.2, year=2023, unified=True
)
SMALL = {"layers": 4, "hidden": 512, "heads": 8, "kv_heads": 4, "ffn": 1408, "vocab": 8000, "sequence_length": 512}
LLAMA_8B = {"layers": 32, "hidden": 4096, "heads": 32, "kv_heads": 8, "ffn": 14336, "vocab": 128256, "sequence_length": 1024}
BERT = {"layers": 12, "hidden": 768, "heads": 12, "ffn": 3072, "vocab": 30522, "kind": "encoder", "sequence_length": 128}


def on(part: Accelerator | None = A100, count: int = 1) -> Device:
    """`count` accelerators in a host of 8 cores each, or the host alone."""
    if part is None:
        return Device("cpu", CPU, 8.0, 64.0)
    kind = "mps" if part.vendor == "Apple" else "cuda"
    return Device(kind, CPU, 8.0 * count, 64.0 * count, part, count, part.memory_gib)


def job(model: dict[str, Any] | None = None, *, task: str = "train", dataset: Any = None, **training: Any) -> JobConfig:
    """A small transformer trained in bf16 with batch 4 but for what is stated."""
    chosen = {"family": "transformer", **(model or SMALL)}
    settings = {"batch_size": 4, "precision": "bf16", "optimizer": "adamw", **training}
    return JobConfig.model_validate({"run": "true", "task": task, "model": chosen, "training": settings, "dataset": dataset})


def work(
    model: dict[str, Any] | None = None, device: Device | None = None, *, for_time: bool = False, **settings: Any
) -> Workload:
    """The work of such a job."""
    found = workload(job(model, **settings), device or on(), for_time=for_time)
    assert isinstance(found, Workload)
    return found
