"""Settings that would make a job fit here, each assessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dispatcher.catalog.models import find_model
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Offer, Suggestion
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.assess import assess
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.candidates import Terms, judged
from dispatcher.planner.compatibility import BITSANDBYTES, forbidden
from dispatcher.planner.fit import Verdict
from dispatcher.planner.workload import infer_family, workload
from dispatcher.units import show_gib, show_seconds

Change = dict[str, Any]
WORDS = {"dataset.in_memory": "the table read in chunks", "model.search.jobs": "one fit at a time"}
"""Changes that a name and a value would not explain."""
SAMPLED = (2, 4, 10)
"""Shares of a table's rows that are tried as samples: one in so many."""
FEWEST_ROWS = 1000
MOST = 4
"""Suggestions shown; more confuse."""


@dataclass(frozen=True, slots=True)
class Idea:
    """A suggestion with the job it makes, and what that job needs."""

    suggestion: Suggestion
    job: JobConfig
    need: Assessment
    ruling: Verdict


def ideas(job: JobConfig, here: tuple[Device, Offer], terms: Terms, bound: frozenset[str]) -> tuple[Idea, ...]:
    """Changes under which the job fits here, least intrusive first; else the first under which it probably does."""
    device, offer = here
    if job.model is None:
        return ()
    before = assess(job, device, learned=terms.learned, traced=terms.traced, probed=terms.probed)
    found: list[Idea] = []
    perhaps: list[Idea] = []
    for change, results in _ladder(job, device):
        trial = apply(job, change)
        need = assess(trial, device, learned=terms.learned, traced=terms.traced, probed=terms.probed)
        ruling = judged(need, offer, terms)
        if ruling.fits and not _in_vain(change, need, found):
            one = Idea(_suggestion(change, results, before, need, bound, ruling), trial, need, ruling)
            (found if ruling.surely else perhaps).append(one)
        if len(found) >= MOST:
            break
    return tuple(found or perhaps[:1])


def _in_vain(change: Change, need: Assessment, found: list[Idea]) -> bool:
    """Whether a change does no more than one of fewer settings that was found already."""
    memory = (need.gpu or need.ram).range.likely
    return any(
        one.suggestion.change.items() <= change.items() and memory >= 0.99 * (one.need.gpu or one.need.ram).range.likely
        for one in found
    )


def apply(job: JobConfig, change: Change) -> JobConfig:
    """The job with dotted settings replaced."""
    for key, value in change.items():
        job = _replaced(job, key.split("."), value)
    return job


def _replaced(settings: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    return settings.model_copy(update={first: _replaced(getattr(settings, first), rest, value) if rest else value})


def _ladder(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    """Changes to try, and what each does to results: single ones first, then together."""
    if infer_family(job) == "tabular":
        yield from _for_tables(job, device)
        return
    together: Change = {}
    notes: list[str] = []
    for step in (_precision, _smaller_batch, _checkpointing, _small_optimizer, _adapters, _offload):
        for change, results in step(job, device):
            yield change, results
            if together:
                yield together | change, "; ".join(filter(None, [*notes, results]))
        last = list(step(job, device))[-1:]
        for change, results in last:
            together |= change
            notes.append(results)


def _precision(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    wide = {"bf16": "amp-fp16", "amp-bf16": "amp-fp16", "fp8": "amp"}.get(job.training.precision or "")
    if wide and forbidden(job.training, device):
        yield (
            {"training.precision": wide},
            "fp16 needs loss scaling, which frameworks' autocast brings" if wide != "amp" else "",
        )
    if job.training.precision in (None, "fp32", "tf32") and device.kind in ("cuda", "rocm"):
        spec = device.accelerator
        modern = device.kind == "rocm" or (spec is not None and spec.compute_capability >= 8.0)
        yield {"training.precision": "amp-bf16" if modern else "amp-fp16"}, "rounding differs slightly"


def _smaller_batch(job: JobConfig, _device: Device) -> Iterator[tuple[Change, str]]:
    batch = job.training.batch_size or 1
    steps = job.training.gradient_accumulation
    factor = 2
    while batch // factor >= 1 and batch % factor == 0 and factor <= 64:
        small = batch // factor
        note = f"BatchNorm will see {small} at a time" if _has_batch_norm(job) else ""
        yield {"training.batch_size": small, "training.gradient_accumulation": steps * factor}, note
        factor *= 2


def _checkpointing(job: JobConfig, _device: Device) -> Iterator[tuple[Change, str]]:
    if job.training.gradient_checkpointing is not True and job.task != "inference":
        yield {"training.gradient_checkpointing": True}, ""


def _small_optimizer(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    if (job.training.optimizer or "adamw") in ("adam", "adamw") and device.kind == "cuda" and job.training.method == "full":
        yield {"training.optimizer": "adamw-8bit"}, "optimizer state is rounded to 8 bit"


def _adapters(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    model = job.model
    if model is None or not _has_base(job) or infer_family(job) not in ("transformer", "diffusion"):
        return
    if job.training.method == "full":
        yield {"training.method": "lora"}, "only adapters are trained" + ("" if job.task else ", on the published weights")
    quantisable = device.kind == "cuda" and job.training.optimizer not in BITSANDBYTES
    if job.training.method != "qlora" and quantisable and model.family != "diffusion":
        yield {"training.method": "qlora"}, "only adapters are trained, on a 4-bit base"


def _has_base(job: JobConfig) -> bool:
    """Whether there are weights to put adapters on: those that are tuned, or, where the task is not said, published ones."""
    if job.task is None:
        return job.training.method != "full" or bool(job.model and job.model.name and find_model(job.model.name))
    return job.task == "finetune"


def _offload(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    if job.training.offload == "none" and device.kind == "cuda" and job.training.method == "full":
        yield {"training.offload": "optimizer"}, ""


def _for_tables(job: JobConfig, device: Device) -> Iterator[tuple[Change, str]]:
    from dispatcher.planner.tables import leaner

    work = workload(job, device)
    assert isinstance(work, TableWorkload)
    for lean in leaner(work):
        yield lean.change, lean.results
    rows = job.dataset.samples if job.dataset else None
    for share in SAMPLED:
        if rows and rows >= share * FEWEST_ROWS:
            yield {"dataset.samples": rows // share}, f"a 1-in-{share} sample of the rows"


def _has_batch_norm(job: JobConfig) -> bool:
    return bool(job.model and job.model.family in ("vision", "detection"))


def _suggestion(
    change: Change, results: str, before: Assessment, need: Assessment, bound: frozenset[str], ruling: Verdict
) -> Suggestion:
    slowdown = need.run.likely / before.run.likely if need.run and before.run and before.run.likely else 1.0
    if not need.run and need.step and before.step and before.step.likely:
        slowdown = need.step.likely / before.step.likely
    able = set(change) <= bound
    names = ", ".join(WORDS.get(key) or _worded(key, value) for key, value in change.items())
    memory = need.gpu or need.ram
    time = f", about {show_seconds(need.run.likely)}" if need.run else ""
    return Suggestion(
        change={key: _value(value) for key, value in change.items()},
        bound=able,
        effect=f"{'Fits' if ruling.surely else 'Probably fits'} with {names}: {show_gib(memory.range.likely)}{time}.",
        gpu_memory_gib=need.gpu.range.likely if need.gpu else None,
        ram_gib=need.ram.range.likely,
        slowdown=round(slowdown, 3),
        changes_results=results[:1].upper() + results[1:],
        edit="" if able else f"Not bound: change {', '.join(key for key in change if key not in bound)} in the script.",
    )


def _worded(key: str, value: Any) -> str:
    """Gradient checkpointing; batch size 4."""
    return _said(key) if value is True else f"{_said(key)} {_value(value)}"


def _said(key: str) -> str:
    return key.rpartition(".")[2].replace("_", " ")


def _value(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else value
