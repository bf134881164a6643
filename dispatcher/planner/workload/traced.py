"""A traced network as blocks of work, for the same formulas."""

from __future__ import annotations

import math
from dataclasses import replace

from dispatcher.catalog.networks import Products
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.traced import Traced, TracedModule
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.constants import constant
from dispatcher.planner.precision import Numbers, numbers
from dispatcher.planner.workload.parts import Setting, efficiency
from dispatcher.planner.workload.work import around, batch_of, precision_of, task_of
from dispatcher.units import GIB

WIDTHS = {"fp32": 4.0, "autocast": 2.0, "half": 2.0}
"""Bytes per number of the traced products."""
SMALL = 0.005
"""Share of all kept bytes below which a module is not worth a line."""
CONVOLUTIONS = ("convolution", "grouped", "depthwise")


def applies(traced: Traced, job: JobConfig) -> bool:
    """Whether the trace is of this job: adapters and a quantised base change the network itself."""
    same = traced.method == job.training.method and traced.training == (task_of(job) != "inference")
    return same and job.training.precision not in ("int8", "nf4")


def build(job: JobConfig, device: Device, traced: Traced, family: str, *, for_time: bool = False) -> Workload:
    """The job's work with the blocks of its trace; `for_time` at the mean length where data are ragged."""
    train, precision = job.training, precision_of(job, device)
    found = numbers(precision, train.method, train.sharding)
    tokens, share = _tokens(job, traced, for_time=for_time)
    blocks = tuple(_block(m, job, device, traced, found, share) for m in traced.modules)
    convolving = any(m.product in CONVOLUTIONS for m in traced.modules)
    whole = around(job, device, blocks, family=family, name=traced.name, tokens=tokens)
    return replace(
        whole,
        sample_bytes=traced.sample_bytes,
        workspace_bytes=constant("cudnn_workspace") * GIB if convolving and device.kind == "cuda" else 0.0,
        notes=(*whole.notes, *traced.notes, *_rescaled(traced, found)),
        basis="traced",
    )


def _tokens(job: JobConfig, traced: Traced, *, for_time: bool) -> tuple[float, float]:
    """Tokens per sample, and their share of the traced ones: the longest for memory, for time a batch's mean longest."""
    mean = job.dataset.mean_length if job.dataset else None
    if not for_time or not mean or traced.tokens <= 1:
        return traced.tokens, 1.0
    padded = mean * (1 + constant("ragged_spread") * math.sqrt(2 * math.log(batch_of(job))))
    tokens = min(padded, traced.tokens)
    return tokens, tokens / traced.tokens


def _block(m: TracedModule, job: JobConfig, device: Device, traced: Traced, found: Numbers, share: float) -> Block:
    """One module. Bytes scale with the precision's width, where it is not the traced one, and with the length."""
    narrower = share * found.operand / WIDTHS[traced.width]
    plain = (m.forward_flops - m.attention_flops) * share
    attention = m.attention_flops * share**2
    forward = plain + attention
    block = Block(
        name=m.name,
        repeats=m.repeats,
        kind="matmul" if m.product or m.attention_flops else "lookup",
        parameters=m.parameters,
        trainable=m.trainable,
        adapters=m.adapters,
        cast=m.cast or _would_cast(m, found),
        saved_bytes=m.saved_bytes * narrower if traced.training else 0.0,
        input_bytes=m.input_bytes * narrower if m.layer else 0.0,
        selective_bytes=(m.input_bytes + m.result_bytes / 2) * narrower if m.layer else 0.0,
        working_bytes=m.working_bytes * narrower,
        backward_bytes=m.backward_bytes * narrower,
        cache_bytes=0.0 if traced.training else m.saved_bytes * narrower,
        forward_flops=forward,
        attention_flops=attention,
        backward_flops=forward * m.backward_flops / m.forward_flops if m.forward_flops else 0.0,
        rows=m.rows * share,
        inner=m.inner,
        width=min(m.inner, m.width) if m.product == "dense" else m.width,
        matmul_bytes=m.matmul_bytes * narrower,
        moved_bytes=m.moved_bytes * narrower,
        backward_moved=m.backward_moved / m.moved_bytes if m.moved_bytes else 2.0,
        kernels=m.kernels,
    )
    return _convolving(block, m, job, device, found) if m.product in CONVOLUTIONS else block


def _would_cast(m: TracedModule, found: Numbers) -> float:
    """Weights of products that autocast would copy, where the trace ran without it."""
    return m.parameters if found.autocast and found.stream > found.operand and m.product else 0.0


def _convolving(block: Block, m: TracedModule, job: JobConfig, device: Device, found: Numbers) -> Block:
    """Convolutions reach their own share of a plain product's speed, and caches absorb part of the traffic around them."""
    train = job.training
    setting = Setting(device, found, 0, training=task_of(job) != "inference", compiled=train.compile)
    products = Products(m.product, m.forward_flops, m.matmul_bytes, m.rows, m.inner, m.width, 1, 1.0)
    cached = constant("cached_traffic") * (constant("fused_traffic") if train.compile else 1.0)
    return replace(block, efficiency=efficiency(products, setting), moved_bytes=block.moved_bytes * cached)


def _rescaled(traced: Traced, found: Numbers) -> tuple[str, ...]:
    if found.operand == WIDTHS[traced.width]:
        return ()
    return ("Traced at another precision: bytes are scaled by the width of its numbers.",)


def largest_modules(traced: Traced, most: int = 6) -> tuple[str, ...]:
    """The modules that keep most, as lines of `--explain`."""
    total = traced.saved_bytes or 1.0
    kept_most = sorted(traced.modules, key=lambda m: m.repeats * m.saved_bytes, reverse=True)
    rows = [m for m in kept_most if m.repeats * m.saved_bytes > SMALL * total][:most]
    lines = [f"traced with torch {traced.torch} on fake tensors, a batch of {traced.batch}; what modules keep per sample:"]
    for m in rows:
        kept = m.repeats * m.saved_bytes
        times = f"{m.repeats} × {m.saved_bytes / 1e6:.3g} MB" if m.repeats > 1 else f"{kept / 1e6:.3g} MB"
        lines.append(f"  {m.name or 'the network'} ({m.kind or m.name}): {times}, {kept / total:.0%} of all")
    return tuple(lines)
