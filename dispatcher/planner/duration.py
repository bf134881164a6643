"""Time of a step: computing, moving, launching, talking and loading, whichever bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Range
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.constants import constant
from dispatcher.planner.intervals import time_spread
from dispatcher.planner.optimizers import OPTIMIZERS
from dispatcher.planner.precision import Numbers, numbers
from dispatcher.planner.rates import attention_path, bandwidth, filling, link, peak_flops, product_flops

RECOMPUTED = 1.25
"""Fused attention computes its scores once more in the backward pass: five products where there were four."""
LOADERS = 4
"""Loader processes per device where the job does not say, as far as there are cores."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Seconds of one micro-batch on one device, by what takes them; `launching` is the host's and runs beside the others."""

    products: float = 0.0
    attention: float = 0.0
    moving: float = 0.0
    dequantising: float = 0.0
    launching: float = 0.0

    def __add__(self, other: Passes) -> Passes:
        return Passes(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def times(self, factor: float) -> Passes:
        """So many of them."""
        return Passes(*(getattr(self, name) * factor for name in self.__slots__))

    @property
    def device(self) -> float:
        """Seconds that the device works."""
        return self.products + self.attention + self.moving + self.dequantising

    @property
    def beside(self) -> float:
        """Seconds of device and host side by side: the longer one, and what of the shorter it cannot hide.

        The host runs ahead of the device through large kernels and falls behind at small ones, and is ahead of nobody after
        every pause in which it waits for a figure: a smooth maximum.
        """
        longer, shorter = max(self.device, self.launching), min(self.device, self.launching)
        sharp: float = constant("host_overlap")
        return longer * (1 + (shorter / longer) ** sharp) ** (1 / sharp) if longer else 0.0


@dataclass(frozen=True, slots=True)
class StepTime:
    """One optimizer step. `samples_per_second` counts all devices; `utilisation` is of the stated peak.

    `bound` is compute, memory, host, communication or loader: what a faster one of would help most. `parts` are the likely
    seconds of each.
    """

    seconds: Range
    samples_per_second: Range
    bound: str
    utilisation: float
    parts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much there is to do: optimizer steps and FLOPs; None where the job does not say."""

    steps: float | None
    flops_per_step: float

    @property
    def flops_total(self) -> float | None:
        """FLOPs of the whole job."""
        return None if self.steps is None else self.steps * self.flops_per_step

    def seconds(self, step: StepTime) -> Range | None:
        """Seconds of the whole job."""
        return None if self.steps is None else step.seconds.scaled(self.steps)


def work_of(work: Workload, device: Device) -> Extent:
    """The extent of the whole job on all devices."""
    per_step = work.batch_size * work.gradient_accumulation * device.count
    steps = work.steps if work.steps is not None else work.samples / per_step if work.samples else None
    return Extent(steps, flops_per_sample(work) * per_step)


def flops_per_sample(work: Workload) -> float:
    """FLOPs of products that a sample costs, recomputation not counted."""
    return sum(b.repeats * (b.forward_flops + b.backward_flops) for b in work.blocks)


def train_hours(work: Workload, device: Device) -> Range | None:
    """Hours of the whole job, without what surrounds it; None where its length is not stated."""
    seconds = work_of(work, device).seconds(step_time(work, device))
    return None if seconds is None else seconds.scaled(1 / 3600)


def step_time(work: Workload, device: Device) -> StepTime:
    """Time of one optimizer step on `device`."""
    once = micro_batch(work, device)
    accumulated = work.gradient_accumulation
    computing = accumulated * once.beside
    exposed = communication(work, device, once)
    updating = optimizer_seconds(work, device)
    loading = accumulated * loader_seconds(work, device)
    likely = max(computing + exposed + updating, loading)
    parts = {
        "compute": accumulated * (once.products + once.attention),
        "memory": accumulated * (once.moving + once.dequantising) + updating,
        "host": accumulated * once.launching,
        "communication": exposed,
        "loader": loading,
    }
    down, up = time_spread(work, device)
    samples = work.batch_size * accumulated * device.count
    figure = numbers(work.precision, work.method, work.sharding).peak
    peak = peak_flops(device, figure if figure != "fp8_tflops" else "bf16_tflops")
    return StepTime(
        seconds=Range.around(likely, down, up),
        samples_per_second=Range(samples / (likely * (1 + up)), samples / likely, samples / (likely * (1 - down))),
        bound=_bound(parts, likely, computing, once),
        utilisation=flops_per_sample(work) * samples / device.count / (likely * peak),
        parts=parts,
    )


def _bound(parts: dict[str, float], likely: float, computing: float, once: Passes) -> str:
    if parts["loader"] >= likely:
        return "loader"
    if parts["communication"] > computing:
        return "communication"
    if once.launching > once.device:
        return "host"
    return "compute" if parts["compute"] >= parts["memory"] else "memory"


def validation_seconds(work: Workload, device: Device, samples: float) -> float:
    """Seconds of looking at so many samples without training: forward passes of the same batches, shared out over devices."""
    looking = replace(work, task="inference")
    each = max(micro_batch(looking, device).beside, loader_seconds(looking, device))
    return each * samples / (work.batch_size * device.count)


def micro_batch(work: Workload, device: Device) -> Passes:
    """One forward and backward pass of one micro-batch on one device."""
    found = Passes()
    setting = numbers(work.precision, work.method, work.sharding)
    for block in work.blocks:
        forward = _forward(work, block, device, setting)
        total = forward + _backward(work, block, device, setting) if work.training else forward
        if work.training and work.checkpointing is True and block.input_bytes:
            total = total + forward
        elif work.training and work.checkpointing == "selective" and block.selective_bytes:
            total = total + forward.times(0.5)
        found = found + total.times(block.repeats)
    return found


def _forward(work: Workload, block: Block, device: Device, setting: Numbers) -> Passes:
    return Passes(
        products=_products(work, block, device, setting, block.forward_flops - block.attention_flops, 1.0),
        attention=_attention(work, block, block.attention_flops, device, setting),
        moving=work.batch_size * block.moved_bytes / bandwidth(device) + _casting(block, device) + _waking(block, device),
        dequantising=0.0 if setting.native else _dequantising(block, device),
        launching=_launching(work, block.kernels, device),
    )


def _backward(work: Workload, block: Block, device: Device, setting: Numbers) -> Passes:
    attention = 2 * block.attention_flops if block.backward_flops else 0.0
    passes = 2.0 if block.trainable > block.adapters else 1.0
    return Passes(
        products=_products(work, block, device, setting, block.backward_flops - attention, passes),
        attention=_attention(work, block, (RECOMPUTED if block.fused_attention else 1.0) * attention, device, setting),
        moving=work.batch_size * block.moved_bytes * block.backward_moved / bandwidth(device) + 2 * _waking(block, device),
        dequantising=0.0 if setting.native else _dequantising(block, device),
        launching=_launching(work, block.kernels * (1 + passes / 2), device),
    )


def _products(work: Workload, block: Block, device: Device, setting: Numbers, flops: float, passes: float) -> float:
    """Seconds of matrix products: arithmetic at the speed that their size allows, and filling and draining their tiles.

    A product's arithmetic hardly starts before its first operands arrive, nor do its results leave before it ends: bytes add.
    """
    if flops <= 0:
        return 0.0
    rows = block.rows * work.batch_size
    speed = product_flops(device, setting.peak) * block.efficiency * filling(device, rows, block.width)
    weights = setting.operand * block.parameters if block.kind != "lookup" else 0.0
    moved = passes * (weights + work.batch_size * block.matmul_bytes)
    return work.batch_size * flops / speed + moved / bandwidth(device)


def _attention(work: Workload, block: Block, flops: float, device: Device, setting: Numbers) -> float:
    """Seconds of attention cores, which stay in 16 bit where the projections run in 8."""
    if flops <= 0:
        return 0.0
    figure = "bf16_tflops" if setting.peak == "fp8_tflops" else setting.peak
    share = constant("attention_share") / constant("products_share")
    if block.fused_attention:
        share *= attention_path(device)
    return work.batch_size * flops / (product_flops(device, figure) * share)


def _casting(block: Block, device: Device) -> float:
    """Autocast reads every fp32 weight and writes its 16-bit copy."""
    return 6.0 * block.cast / bandwidth(device)


def _dequantising(block: Block, device: Device) -> float:
    """A 4-bit weight is read and written in 16 bit before each product."""
    return 2.5 * block.quantised / (bandwidth(device) * constant("dequantise_share"))


def _waking(block: Block, device: Device) -> float:
    """A processor's cores wake and wait for each other around every operation."""
    return block.kernels * constant("cpu_kernel") if device.kind == "cpu" else 0.0


def _launching(work: Workload, kernels: float, device: Device) -> float:
    """The host's time for a block's kernels; a sharded unit is gathered, viewed and freed around them."""
    if device.kind == "cpu":
        return 0.0
    gathering = constant("unit_launches") if work.sharding in ("zero3", "fsdp") and device.count > 1 else 0.0
    return (kernels + gathering) * constant("host_kernel")


def optimizer_seconds(work: Workload, device: Device) -> float:
    """Reading and writing weights, gradients and state once a step."""
    if not work.training:
        return 0.0
    number = numbers(work.precision, work.method, work.sharding).gradient
    held = work.trainable / (device.count if work.sharding != "none" else 1)
    return held * number * OPTIMIZERS[work.optimizer].passes / bandwidth(device)


def communication(work: Workload, device: Device, once: Passes) -> float:
    """Seconds of a step that devices wait for each other: what computing does not hide."""
    if device.count == 1 or device.accelerator is None or not work.training:
        return 0.0
    setting = numbers(work.precision, work.method, work.sharding)
    share = (device.count - 1) / device.count
    accumulated = work.gradient_accumulation
    if work.sharding in ("zero3", "fsdp"):
        gathers = 2 * accumulated * work.parameters * min(2.0, setting.weight)
        moved = gathers + accumulated * work.trainable * min(2.0, setting.gradient)
        hidden = accumulated * once.device
    elif work.sharding == "none":
        moved = 2 * work.trainable * setting.gradient
        hidden = once.device * 2 / 3
    else:
        moved = work.parameters * 2.0 + accumulated * work.trainable * 2.0
        hidden = accumulated * once.device * 2 / 3
    seconds = moved * share / link(device)
    return max(0.05 * seconds, seconds - constant("overlap") * hidden)


def loader_seconds(work: Workload, device: Device) -> float:
    """Seconds in which the host prepares one micro-batch for every device."""
    if not work.host_seconds:
        return 0.0
    asked = work.workers * device.count if work.workers else LOADERS * device.count
    workers = max(1.0, min(float(asked), device.usable_cores))
    return work.host_seconds * work.batch_size * device.count / workers
