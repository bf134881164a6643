"""Each figure's formula, inputs and source, in sentences."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.workload import Workload
from dispatcher.planner.constants import constants
from dispatcher.planner.duration import step_time, work_of
from dispatcher.planner.memory import Moment, context_gib, context_names, peak_moment, reserve_gib
from dispatcher.planner.optimizers import state_bytes
from dispatcher.planner.precision import numbers
from dispatcher.units import GIB, show_count, show_flop, show_gib, show_seconds


def explain(work: Workload, timed: Workload, device: Device) -> tuple[str, ...]:
    """The lines for memory at its peak and for the time of a step."""
    return (*explain_memory(work, device), *explain_time(timed, device))


def explain_memory(work: Workload, device: Device) -> tuple[str, ...]:
    """One line per term of the accelerator's memory."""
    peak = peak_moment(work, device)
    allocated = peak.total / GIB
    lines = [
        f"memory peaks at the {peak.when}",
        _weights(work, peak),
        *_training(work, peak),
        _activations(work, peak),
        f"workspace {_gib(peak.workspace)}: scratch of products, the largest weight unpacked, a state's copy while Adam steps",
    ]
    if device.kind != "cpu":
        lines.append(f"reserve {show_gib(reserve_gib(allocated, device))}: {_said('reserve_share')}")
        lines.append(f"context {show_gib(context_gib(device))}: {'; '.join(map(_said, context_names(device)))}")
    return tuple(lines)


def explain_time(timed: Workload, device: Device) -> tuple[str, ...]:
    """The parts of a step's time, and what bounds it."""
    step, extent = step_time(timed, device), work_of(timed, device)
    amount, where = show_flop(extent.flops_per_step), f"{device.count} × {device.name}"
    lines = [
        f"a step of {amount} takes {where} {_seconds(step.seconds.likely)}: {step.utilisation:.0%} of its peak",
        f"it is bound by {step.bound}",
        f"compute {_seconds(step.parts['compute'])}: FLOPs over the speed of products so large; {_said('products_share')}",
        f"memory {_seconds(step.parts['memory'])}: bytes of element-wise work and of the optimizer; {_said('bandwidth_share')}",
        f"host {_seconds(step.parts['host'])}: launching kernels, beside the device's work; {_said('host_kernel')}",
    ]
    lines += [
        f"{name} {_seconds(step.parts[name])}: {why}"
        for name, why in (
            ("communication", _said("overlap")),
            ("loader", "preparing samples on the host, beside the device's work"),
        )
        if step.parts[name] > 0
    ]
    if timed.samples:
        each = f" of {timed.tokens_per_sample:g} tokens each" if timed.tokens_per_sample > 1 else ""
        lines.append(f"{show_count(timed.samples)} samples{each}")
    return tuple(lines)


def _weights(work: Workload, peak: Moment) -> str:
    found = numbers(work.precision, work.method, work.sharding)
    quantised = sum(b.repeats * b.quantised for b in work.blocks)
    parts = [f"{show_count(work.parameters - quantised)} × {found.weight:g} bytes"]
    if quantised:
        parts.append(f"{show_count(quantised)} × {found.quantised:.3g} bytes")
    if found.autocast:
        parts.append("the 16-bit copies that autocast keeps")
    return f"weights {_gib(peak.weights)}: {' + '.join(parts)}" + _spread(work)


def _training(work: Workload, peak: Moment) -> list[str]:
    if not work.training:
        return []
    found = numbers(work.precision, work.method, work.sharding)
    trained, state = show_count(work.trainable), state_bytes(work.optimizer, found.gradient)
    return [
        f"gradients {_gib(peak.gradients)}: those there at that moment of {trained} × {found.gradient:g} bytes" + _spread(work),
        f"optimizer {_gib(peak.optimizer)}: {work.optimizer} keeps {state:.3g} bytes for each of {trained}" + _spread(work),
    ]


def _activations(work: Workload, peak: Moment) -> str:
    if not work.training:
        return f"activations {_gib(peak.activations)}: keys and values kept, and the widest layer, × batch {work.batch_size}"
    kept = {
        True: "each layer's input, and one layer's working set",
        "selective": "each layer's products, and one layer's working set",
    }
    what = kept.get(work.checkpointing, "the tensors each operation keeps for its backward pass, counted per layer")
    widest = max(work.blocks, key=lambda b: b.repeats * b.saved_bytes)
    each = f"{widest.name} keep {widest.saved_bytes / 1e6:.3g} MB per sample each"
    return f"activations {_gib(peak.activations)}: {what}, × batch {work.batch_size}; {each}"


def _spread(work: Workload) -> str:
    return "" if work.sharding == "none" else f", shared out by {work.sharding}"


def _said(name: str) -> str:
    known = constants()[name]
    return f"{known.meaning}: {known.value:g} {known.unit} ({known.source})"


def _gib(count: float) -> str:
    return show_gib(count / GIB)


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 90 else show_seconds(seconds)
