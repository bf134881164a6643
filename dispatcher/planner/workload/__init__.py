"""From a job to its work, one module per family."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dispatcher.catalog.models import find_model
from dispatcher.catalog.networks import find_network, similar_anything
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import TableWorkload, Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.workload.work import batch_of

if TYPE_CHECKING:
    from dispatcher.domain.traced import Traced

MODULES = {
    "transformer": "transformer",
    "vision": "vision",
    "detection": "detection",
    "diffusion": "diffusion",
    "tabular": "tabular",
    "custom": "custom",
}
"""The module of each family, loaded when a job is of it."""


def workload(
    job: JobConfig, device: Device, *, for_time: bool = False, traced: Traced | None = None
) -> Workload | TableWorkload:
    """What the job computes on `device`, from its trace where there is one. Raises UnknownError for a missing setting."""
    family = infer_family(job)
    if traced is not None:
        from dispatcher.planner.workload import traced as from_trace

        if from_trace.applies(traced, job):
            return from_trace.build(job, device, traced, family, for_time=for_time)
    if family == "torch":
        raise UnknownError(
            "The model is the job's own code, and only a trace of it tells what it needs.",
            fix="Add --trace, which loads that code and computes nothing; or give model.family: custom with its figures.",
        )
    module: Any = import_module(f"{__name__}.{MODULES[family]}")
    if family == "tabular":
        table: TableWorkload = module.build(job, device)
        return table
    work: Workload = module.build(job, device, for_time=for_time)
    return work


def lacking(job: JobConfig) -> tuple[UnknownError, ...]:
    """Everything that keeps the job's work from being computed, as far as one can tell at once."""
    try:
        family = infer_family(job)
    except UnknownError as why:
        return (why,)
    if family not in MODULES:
        return ()
    module: Any = import_module(f"{__name__}.{MODULES[family]}")
    found = []
    for ask in getattr(module, "ASKED", (batch_of,)):
        try:
            ask(job)
        except UnknownError as why:
            found.append(why)
    return tuple(found)


def infer_family(job: JobConfig) -> str:
    """The family stated, else that of the model's known name, else the one whose keys are set. Raises UnknownError."""
    model = job.model
    if model is None:
        raise UnknownError("The job names no model.", fix="Add `model:` with a known name, or with a family and its sizes.")
    network = find_network(model.name) if model.name else None
    if network and model.family in (None, "vision"):
        return network.family
    if model.family:
        return model.family
    if model.library or model.algorithm:
        return "tabular"
    if model.factory:
        return "torch"
    if model.flops_per_sample:
        return "custom"
    if model.layers or model.config or (model.name and find_model(model.name)):
        return "transformer"
    near = similar_anything(model.name) if model.name else ()
    raise UnknownError(
        f"{model.name!r} is no model the catalog knows." if model.name else "The model's family is not stated.",
        fix=(f"Near: {', '.join(near[:3])}. " if near else "") + "Or add model.family: transformer, vision, tabular, custom ….",
    )
