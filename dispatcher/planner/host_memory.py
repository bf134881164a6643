"""RAM of the host: program, loaders, and what it holds."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import Workload
from dispatcher.planner.constants import constant
from dispatcher.planner.duration import LOADERS
from dispatcher.planner.memory import TERMS, device_memory
from dispatcher.planner.optimizers import OPTIMIZERS, state_bytes
from dispatcher.planner.precision import numbers
from dispatcher.units import GIB

PREFETCHED = 2
"""Batches that each loader process keeps ready: PyTorch's default `prefetch_factor`."""


def ram(work: Workload, job: JobConfig, device: Device) -> Amount:
    """RAM of one host in GiB, by term."""
    terms = {
        "framework": _framework(device),
        "loaders": _loaders(work, device),
        **_model(work, device),
        "loading": _loading(work, device),
        "offload": _offload(work) + _paged(work),
        "data": (job.dataset.size or 0.0) / GIB if job.dataset and job.dataset.in_memory else 0.0,
    }
    likely = sum(terms.values())
    return Amount(Range.around(likely, 0.3, 0.4), {name: gib for name, gib in terms.items() if gib > 0})


def _framework(device: Device) -> float:
    """Each device has a process of its own, with the framework imported."""
    return constant("import_gpu" if device.kind in ("cuda", "rocm") else "import_cpu") * max(1, device.count)


def _loaders(work: Workload, device: Device) -> float:
    """Loader processes share the framework's pages, and each keeps prepared batches."""
    count = (LOADERS if work.workers is None else work.workers) * max(1, device.count)
    count = min(count, max(1, round(device.usable_cores))) if work.workers is None else count
    ready = PREFETCHED * work.batch_size * work.sample_bytes / GIB
    return count * (constant("loader_process") + ready)


def _model(work: Workload, device: Device) -> dict[str, float]:
    """Without an accelerator all tensors live in RAM, on a heap that keeps what was freed; unified memory counts elsewhere."""
    if device.kind != "cpu":
        return {}
    terms = device_memory(work, device).terms
    tensors = {name: terms[name] for name in TERMS}
    return tensors | {"heap": sum(tensors.values()) * constant("heap_share")}


def _loading(work: Workload, device: Device) -> float:
    """Pretrained weights pass through RAM on their way to an accelerator, in every process."""
    if device.kind == "cpu" or not work.pretrained:
        return 0.0
    shards = min(work.parameters * 2, constant("checkpoint_shard") * GIB)
    return max(1, device.count) * shards / GIB


def _offload(work: Workload) -> float:
    """Optimizer state, and with it the fp32 master and gradients, that live on the host."""
    if work.offload == "none":
        return 0.0
    number = numbers(work.precision, work.method, work.sharding).gradient
    states = work.trainable * (state_bytes(work.optimizer, max(4.0, number)) + 4 + number)
    weights = work.parameters * 2 if work.offload == "parameters" else 0.0
    return (states + weights) / GIB


def _paged(work: Workload) -> float:
    """Paged optimizer state may be moved to the host."""
    if not work.training or not OPTIMIZERS[work.optimizer].paged:
        return 0.0
    return work.trainable * state_bytes(work.optimizer, 4.0) / GIB
