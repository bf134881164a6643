"""A job on one device: memory, time and work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Amount, GpuRequest, Offer, Range
from dispatcher.domain.workload import TableWorkload, Workload
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.compatibility import disappointing, forbidden
from dispatcher.planner.constants import constant
from dispatcher.planner.duration import Extent, step_time, validation_seconds, work_of
from dispatcher.planner.host_memory import ram
from dispatcher.planner.matching import accepts
from dispatcher.planner.memory import device_memory
from dispatcher.planner.optimizers import state_bytes
from dispatcher.planner.workload import workload
from dispatcher.units import show_seconds

if TYPE_CHECKING:  # loaded where they are used: most plans rest on neither
    from dispatcher.domain.traced import Traced
    from dispatcher.planner.calibrate import Learned
    from dispatcher.planner.probed import Evidence

EVERY = 600.0
"""Seconds between checkpoints where the job does not say."""
GIB_TO_GB = 2**30 / 1e9


def assess(
    job: JobConfig,
    device: Device,
    *,
    explained: bool = False,
    learned: Learned | None = None,
    traced: Traced | None = None,
    probed: Evidence | None = None,
) -> Assessment:
    """The job's needs and times on `device`, with what a trace, and a probe or else earlier runs, showed.

    Raises UnknownError for a missing setting.
    """
    found = _assess(job, device, traced, explained=explained)
    if probed is not None:
        from dispatcher.planner import probed as probes

        return probes.probed(found, probed)
    if learned is None:
        return found
    from dispatcher.planner.calibrate import corrected

    return corrected(found, job, learned)


def _assess(job: JobConfig, device: Device, traced: Traced | None, *, explained: bool) -> Assessment:
    if job.model is None:
        return _stated(job, device)
    work = workload(job, device, traced=traced)
    if isinstance(work, TableWorkload):
        return _table(job, work, device)
    found = _network(job, work, device, traced, explained=explained)
    return replace(found, explain=(*_modules(work, traced), *found.explain)) if explained else found


def _modules(work: Workload, traced: Traced | None) -> tuple[str, ...]:
    if traced is None or work.basis != "traced":
        return ()
    from dispatcher.planner.workload.traced import largest_modules

    return largest_modules(traced)


def _explained(work: Workload, timed: Workload, device: Device) -> tuple[str, ...]:
    from dispatcher.planner.explain import explain

    return explain(work, timed, device)


def _network(job: JobConfig, work: Workload, device: Device, traced: Traced | None, *, explained: bool) -> Assessment:
    timed = workload(job, device, for_time=True, traced=traced)
    assert isinstance(timed, Workload)
    memory = device_memory(work, device)
    host = ram(work, job, device)
    step = step_time(timed, device)
    amount = work_of(timed, device)
    checkpoint = work.trainable * 4 / 1e9
    run, looking = amount.seconds(step), _validating(job, timed, device, amount)
    base = _base_gb(work)
    return Assessment(
        device=device,
        gpu=None if device.kind == "cpu" else memory,
        ram=host,
        disk=_disk(job, {"weights": base, "checkpoints": 2 * checkpoint}),
        run=run and _saving(_longer(run, looking), work, job),
        step=step.seconds,
        rate=step.samples_per_second,
        flops_total=amount.flops_total,
        flops_per_step=amount.flops_per_step,
        parameters=work.parameters,
        trainable=work.trainable,
        checkpoint_gb=checkpoint,
        fetched_gb=base + _distant_gb(job),
        forbidden=forbidden(job.training, device),
        warnings=(*disappointing(job.training, device), *work.notes),
        explain=(*_explained(work, timed, device), *_said(looking)) if explained else (),
    )


def _validating(job: JobConfig, timed: Workload, device: Device, amount: Extent) -> float:
    """Seconds of all the job's validations; 0 where it names none."""
    data = job.dataset
    if data is None or not data.validation or not timed.training:
        return 0.0
    epochs = job.training.epochs
    if epochs is None and amount.steps and data.samples:
        epochs = amount.steps * timed.batch_size * timed.gradient_accumulation * device.count / data.samples
    return max(1.0, epochs or 1.0) * validation_seconds(timed, device, data.validation)


def _longer(run: Range, looking: float) -> Range:
    return Range(run.low + 0.6 * looking, run.likely + looking, run.high + 1.6 * looking)


def _said(looking: float) -> tuple[str, ...]:
    return (f"validation {show_seconds(looking)}: forward passes over dataset.validation after every epoch",) if looking else ()


def _base_gb(work: Workload) -> float:
    """GB of the weights that a job starts from, as they are published: in 16 bit for language and image generation."""
    if not work.pretrained or work.family == "custom":
        return 0.0
    return work.parameters * (2 if work.family in ("transformer", "diffusion") else 4) / 1e9


def _distant_gb(job: JobConfig) -> float:
    """GB of data that are stored elsewhere, or of which nobody says where they are: the machine fetches them."""
    data = job.dataset
    return data.size / 1e9 if data and data.size and (not data.path or "://" in data.path) else 0.0


def _saving(run: Range, work: Workload, job: JobConfig) -> Range:
    """The run with the time that it stands still while weights and optimizer state are written."""
    if job.checkpoint is None or not work.training:
        return run
    bytes_each = work.trainable * (4.0 + state_bytes(work.optimizer, 4.0))
    share = bytes_each / (constant("checkpoint_rate") * 1e9) / (job.checkpoint.every or EVERY)
    return Range(run.low * (1 + share / 3), run.likely * (1 + share), run.high * (1 + 2 * share))


def _table(job: JobConfig, work: TableWorkload, device: Device) -> Assessment:
    from dispatcher.planner import tables

    gpu, host = tables.memory(work, device)
    return Assessment(
        device=device,
        gpu=gpu,
        ram=host,
        disk=_disk(job, {"model": tables.model_gb(work)}, work.rows * work.columns * work.dtype_bytes),
        run=tables.seconds(work, device),
        checkpoint_gb=tables.model_gb(work),
        fetched_gb=_distant_gb(job),
        forbidden=tables.forbidden(work, device),
        warnings=work.notes,
        explain=tables.explain(work, device),
    )


def _stated(job: JobConfig, device: Device) -> Assessment:
    """Without a model, what `resources` asks for is what there is to go by."""
    wanted = job.resources
    asked = wanted.memory.minimum if wanted.memory else 0.0
    memory = Amount(Range(asked, asked, asked), {"stated": asked} if asked else {}, "stated")
    gpu = None
    if device.kind != "cpu" and wanted.gpu:
        least = _asked_gib(wanted.gpu, device)
        gpu = Amount(Range(least, least, least), {"stated": least} if least else {}, "stated")
    disk = _disk(job, {})
    if not disk.terms:
        disk = Amount(disk.range, {}, "stated")
    lacking = ("The job file asks for a GPU, and there is none.",) if device.kind == "cpu" and wanted.gpu else ()
    return Assessment(device=device, gpu=gpu, ram=memory, disk=disk, basis="stated", forbidden=lacking)


def _asked_gib(requests: tuple[GpuRequest, ...], device: Device) -> float:
    """GiB that are asked of this GPU: by the request that names it, or is the least; else by the least that names a size."""
    this = Offer("any", None, device.name, device.count, device.memory_gib)
    met = [one.min_memory_gib for one in requests if accepts(one, this)]
    return min(met or [one.min_memory_gib for one in requests if one.min_memory_gib], default=0.0)


def _disk(job: JobConfig, terms: dict[str, float], unsaid: float = 0.0) -> Amount:
    """GB on disk: data (`unsaid` bytes where the job does not say), and what the family adds."""
    data = ((job.dataset.size if job.dataset else None) or unsaid) / 1e9
    known = {name: gb for name, gb in {"data": data, **terms}.items() if gb > 0}
    likely = sum(known.values())
    return Amount(Range(0.8 * likely, likely, 1.5 * likely), known)
