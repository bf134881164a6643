"""A network of which only its totals are told."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.precision import numbers
from dispatcher.planner.workload.work import around, precision_of, task_of

LAYERS = 16
"""The totals are spread over so many equal layers: memory's peak lies between them."""
NEEDED = ("parameters", "flops_per_sample", "activation_bytes_per_sample")


def build(job: JobConfig, device: Device, *, for_time: bool = False) -> Workload:  # noqa: ARG001 - one signature for all families
    """The work of a network given by `parameters`, `flops_per_sample` (one forward pass) and `activation_bytes_per_sample`."""
    model, train = job.model, job.training
    assert model is not None
    missing = [key for key in NEEDED if getattr(model, key) is None]
    if missing:
        raise UnknownError(
            f"A custom model needs {', '.join(missing)}.", fix=f"Add {', '.join('model.' + key for key in missing)}."
        )
    assert model.parameters
    assert model.flops_per_sample
    assert model.activation_bytes_per_sample
    precision, training = precision_of(job, device), task_of(job) != "inference"
    kept = model.activation_bytes_per_sample / LAYERS
    each = model.parameters / LAYERS
    layer = Block(
        name="layers",
        repeats=LAYERS,
        parameters=each,
        trainable=each if training else 0.0,
        cast=each if numbers(precision, train.method, train.sharding).autocast else 0.0,
        saved_bytes=kept if training else 0.0,
        input_bytes=kept / 10,
        selective_bytes=kept / 2,
        working_bytes=kept / 4,
        backward_bytes=kept / 4,
        forward_flops=model.flops_per_sample / LAYERS,
        backward_flops=2 * model.flops_per_sample / LAYERS if training else 0.0,
        rows=256,
        inner=1024,
        width=1024,
        moved_bytes=2 * kept,
        kernels=10,
    )
    return around(job, device, (layer,), family="custom", name=model.name or "custom")
