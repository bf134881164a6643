"""Memory of one accelerator at the moment of its peak, by term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount, Range
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.constants import constant
from dispatcher.planner.intervals import memory_spread
from dispatcher.planner.optimizers import OPTIMIZERS, state_bytes
from dispatcher.planner.precision import Numbers, numbers
from dispatcher.units import GIB

TERMS = ("weights", "gradients", "optimizer", "activations", "workspace", "reserve", "context")

FOR_EACH = ("adamw", "adam")
"""Optimizers whose step makes a copy of a state where it runs over all tensors at once."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Bytes alive at one moment of a step. `when` says which."""

    when: str
    weights: float
    gradients: float
    optimizer: float
    activations: float
    workspace: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.workspace


def device_memory(work: Workload, device: Device) -> Amount:
    """Memory of one accelerator in GiB at its peak, by term; `likely` is the sum of the terms."""
    peak = peak_moment(work, device)
    allocated = peak.total / GIB
    terms = {name: getattr(peak, name) / GIB for name in TERMS[:5]}
    terms["reserve"] = reserve_gib(allocated, device)
    terms["context"] = context_gib(device)
    likely = sum(terms.values())
    down, up = memory_spread(work, device)
    return Amount(Range.around(likely, down, up), terms, work.basis)


def peak_moment(work: Workload, device: Device) -> Moment:
    """The moment of a step at which most is alive."""
    return max(moments(work, device), key=lambda moment: moment.total)


def moments(work: Workload, device: Device) -> Iterator[Moment]:
    """The moments between which a step's memory rises and falls."""
    states = States(work, device)
    if work.training:
        yield from _training(work, states)
    else:
        yield _inference(work, states)


def reserve_gib(allocated: float, device: Device) -> float:
    """What the caching allocator keeps beyond what is allocated."""
    return 0.0 if device.kind == "cpu" else constant("reserve_share") * allocated


def context_gib(device: Device) -> float:
    """What the driver's context takes before the first tensor, and communication between devices."""
    return sum(constant(name) for name in context_names(device))


def context_names(device: Device) -> tuple[str, ...]:
    """The constants that a device's context is the sum of."""
    if device.kind == "cpu":
        return ()
    if device.kind == "mps":
        return ("context_mps",)
    shared = ("nccl_buffers",) if device.count > 1 else ()
    if device.kind != "cuda":
        return ("context_other", *shared)
    old = device.accelerator is not None and 0 < device.accelerator.compute_capability < 8
    return ("context_cuda_eager" if old else "context_cuda", *shared)


class States:
    """Weights, gradients and optimizer state of a workload on its devices, in bytes per device."""

    def __init__(self, work: Workload, device: Device) -> None:
        self.work = work
        self.numbers: Numbers = numbers(work.precision, work.method, work.sharding)
        self.devices = device.count
        self.kind = device.kind
        self.sharded = work.sharding in ("zero3", "fsdp") and self.devices > 1
        self.gathered = 2.0 if self.numbers.operand < 4 else 4.0
        self.replicated = work.sharding == "none" and self.devices > 1
        self.blas = constant("cublas_workspace") * GIB * (4 if _hopper(device) else 1) if device.kind == "cuda" else 0.0

    def weight_bytes(self, block: Block) -> float:
        """A block's weights as stored: quantised, as they are, adapters as their gradients are."""
        plain = block.parameters - block.quantised
        quantised = block.quantised * (self.numbers.quantised or self.numbers.weight)
        return plain * self._weight + quantised + block.adapters * self.numbers.gradient

    @property
    def _weight(self) -> float:
        """DeepSpeed's first stages keep 16-bit weights beside a sharded fp32 master; FSDP shards the master itself."""
        if self.work.sharding in ("zero1", "zero2") and self.numbers.autocast:
            return self.numbers.operand
        return self.numbers.weight

    @property
    def weights(self) -> float:
        """All weights on one device; with `offload: parameters` only what is gathered stays."""
        if self.work.offload == "parameters":
            return 0.0
        total = sum(b.repeats * self.weight_bytes(b) for b in self.work.blocks)
        return total / self.devices if self.sharded else total

    def gathered_bytes(self, block: Block) -> float:
        """Whole units that sharding or offloading brings together to compute `block`."""
        if not (self.sharded or self.work.offload == "parameters"):
            return 0.0
        units = min(constant("prefetched_units"), block.repeats)
        return units * (block.parameters + block.adapters) * self.gathered

    def gradient_bytes(self, block: Block) -> float:
        """A block's gradients once they are all there, on one device."""
        each = block.trainable * self.numbers.gradient
        if self.work.sharding == "none" or self.devices == 1 or self.work.sharding == "zero1":
            return each
        return each / self.devices

    @property
    def all_gradients(self) -> float:
        """Gradients of every block; with the optimizer in the backward pass only the largest block's."""
        each = [self.gradient_bytes(b) for b in self.work.blocks]
        if self.work.optimizer_in_backward:
            return max(each, default=0.0)
        return sum(b.repeats * g for b, g in zip(self.work.blocks, each, strict=True))

    @property
    def buckets(self) -> float:
        """Buffers in which gradients travel: DDP's are as large as the gradients, ZeRO's as its bucket."""
        if self.devices == 1:
            return 0.0
        if self.replicated:
            return self.work.trainable * self.numbers.gradient
        if self.work.sharding in ("zero1", "zero2"):
            return min(constant("bucket_elements"), self.work.trainable) * self.gathered
        return 0.0

    def reduced_bytes(self, block: Block) -> float:
        """Whole gradients of a unit, before they are sharded."""
        return block.trainable * self.gathered if self.sharded else 0.0

    @property
    def optimizer(self) -> float:
        """Optimizer state, and the fp32 master of stages that keep one. Paged state gives way and lives on the host."""
        if self.work.offload != "none" or not self.work.training or OPTIMIZERS[self.work.optimizer].paged:
            return 0.0
        work, number = self.work, self.numbers.gradient
        master = 4.0 if work.sharding in ("zero1", "zero2") and self.numbers.autocast else 0.0
        each = state_bytes(work.optimizer, number) + master
        return work.trainable * each / (self.devices if work.sharding != "none" else 1)

    @property
    def stepping(self) -> float:
        """A copy of one state, for the length of the step, where Adam runs over all tensors at once (torch.optim, `foreach`).

        That is its default on CUDA, and what trainers of images leave it at; those of language models ask for the fused one,
        which needs none (Hugging Face's Trainer, torchtune, nanoGPT).
        """
        work = self.work
        alone = work.family == "transformer" or work.optimizer_in_backward or work.offload != "none" or self.kind != "cuda"
        if alone or work.optimizer not in FOR_EACH:
            return 0.0
        return work.trainable * self.numbers.gradient / (self.devices if work.sharding != "none" else 1)


def _hopper(device: Device) -> bool:
    return device.accelerator is not None and device.accelerator.compute_capability >= 9


def kept_bytes(work: Workload, block: Block) -> float:
    """What one of a block's repeats keeps for its backward pass, for the whole batch."""
    if work.checkpointing is True and block.input_bytes:
        return work.batch_size * block.input_bytes
    if work.checkpointing == "selective" and block.selective_bytes:
        return work.batch_size * min(block.selective_bytes, block.saved_bytes)
    return work.batch_size * block.saved_bytes


def _training(work: Workload, states: States) -> Iterator[Moment]:
    """End of the forward pass, the backward pass of each block's first and last repeat, the optimizer's step."""
    weights, optimizer, gradients = states.weights, states.optimizer, states.all_gradients
    standing = gradients if work.gradient_accumulation > 1 else 0.0
    scratch = states.blas + work.workspace_bytes
    kept_before = copies_before = 0.0
    found = []
    for block in work.blocks:
        each, copies = kept_bytes(work, block), 2.0 * block.cast
        for repeat in dict.fromkeys((1, block.repeats)):
            kept = kept_before + (repeat - 1) * each
            cast = copies if work.checkpointing is True else copies_before + repeat * copies
            found.append((block, repeat, kept, cast))
        kept_before += block.repeats * each
        copies_before += block.repeats * copies
    last = work.blocks[-1]
    yield Moment(
        "end of the forward pass",
        weights + copies_before + states.gathered_bytes(last),
        standing + states.buckets,
        optimizer,
        kept_before + work.batch_size * last.working_bytes,
        scratch,
    )
    done = 0.0
    for block, repeat, kept, cast in reversed(found):
        own = states.gradient_bytes(block)
        arrived = done + own * (block.repeats - repeat)
        recomputed = work.checkpointing is not False and block.input_bytes > 0
        working = block.saved_bytes + block.backward_bytes + (block.input_bytes if recomputed else 0.0)
        yield Moment(
            f"backward pass of {block.name}, {repeat} of {block.repeats}",
            weights + cast + states.gathered_bytes(block),
            max(standing, min(arrived, gradients)) + states.reduced_bytes(block) + states.buckets,
            optimizer,
            kept + work.batch_size * working,
            scratch,
        )
        if repeat == 1:
            done += own * block.repeats
    yield Moment("optimizer step", weights, gradients + states.buckets, optimizer, 0.0, scratch + states.stepping)


def _inference(work: Workload, states: States) -> Moment:
    """Weights, the cache of keys and values, and the widest block's working set."""
    cache = sum(b.repeats * b.cache_bytes for b in work.blocks)
    widest = max(b.working_bytes for b in work.blocks)
    gathered = max(states.gathered_bytes(b) for b in work.blocks)
    return Moment(
        "forward pass",
        states.weights + gathered,
        0.0,
        0.0,
        work.batch_size * (cache + widest),
        states.blas + work.workspace_bytes,
    )
