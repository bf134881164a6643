"""What every family reads of a job in the same way."""

from __future__ import annotations

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.precision import resolve


def task_of(job: JobConfig) -> str:
    """What is done: training, where the job does not say."""
    if job.task:
        return job.task
    return "finetune" if job.training.method != "full" else "train"


def precision_of(job: JobConfig, device: Device) -> str:
    """The precision that the job runs in on this device."""
    return resolve(job.training.precision, device, training=task_of(job) != "inference")


def batch_of(job: JobConfig) -> int:
    """Samples per device and pass. Raises UnknownError: it sets memory and speed, and has no usual value."""
    if job.training.batch_size is None:
        raise UnknownError(
            "The batch size is not stated, and memory and time hang on it.",
            fix="Add training.batch_size: the samples per device and pass.",
        )
    return job.training.batch_size


def amounts(job: JobConfig, devices: int, tokens_per_sample: float = 1.0) -> tuple[float | None, float | None]:
    """The samples that the whole job sees, and its optimizer steps; None where the job does not say."""
    train = job.training
    per_step = (train.batch_size or 1) * train.gradient_accumulation * devices
    if train.steps:
        return float(train.steps) * per_step, float(train.steps)
    if train.tokens:
        samples = train.tokens / tokens_per_sample
    elif job.dataset and job.dataset.samples:
        samples = job.dataset.samples * (train.epochs or (1.0 if task_of(job) == "inference" else 0.0))
    else:
        return None, None
    return (samples, samples / per_step) if samples else (None, None)


def noted(job: JobConfig) -> tuple[str, ...]:
    """The defaults that were taken for what the job leaves out."""
    train, found = job.training, []
    if amounts(job, 1) == (None, None):
        lacks = (
            "dataset.samples"
            if train.epochs or task_of(job) == "inference"
            else "training.steps, or epochs with dataset.samples"
        )
        found.append(f"How long it takes is not known: state {lacks}.")
    if train.precision is None:
        found.append("Precision is not stated: taken as fp32, the frameworks' default.")
    if train.optimizer is None and task_of(job) != "inference":
        found.append("The optimizer is not stated: taken as AdamW.")
    return tuple(found)


def around(
    job: JobConfig, device: Device, blocks: tuple[Block, ...], *, family: str, name: str, tokens: float = 1.0
) -> Workload:
    """A network's blocks with what every family takes from the job in the same way; the rest is the family's to add."""
    train = job.training
    samples, steps = amounts(job, device.count, tokens)
    return Workload(
        family=family,
        name=name,
        task=task_of(job),
        method=train.method,
        precision=precision_of(job, device),
        optimizer=train.optimizer or "adamw",
        batch_size=batch_of(job),
        gradient_accumulation=train.gradient_accumulation,
        blocks=blocks,
        checkpointing=train.gradient_checkpointing,
        sharding=train.sharding,
        offload=train.offload,
        compiled=train.compile,
        optimizer_in_backward=train.optimizer_in_backward,
        tokens_per_sample=tokens,
        samples=samples,
        steps=steps,
        workers=train.workers,
        notes=noted(job),
    )
