"""The work in one line: samples, repetitions, arithmetic."""

from __future__ import annotations

from dispatcher.domain.job import JobConfig
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.workload import infer_family
from dispatcher.units import show_count, show_flop

MOST_WRITTEN = 1e15
"""Numbers below it are written out."""
NOUNS = {"vision": "images", "detection": "images", "diffusion": "images", "transformer": "sequences", "tabular": "rows"}


def work_words(job: JobConfig, need: Assessment) -> str:
    """50,000 images × 20 epochs = 24 PFLOP · 23.7 million parameters."""
    parts = [_extent(job)] if _extent(job) else []
    if need.flops_total:
        parts[-1:] = [f"{parts[-1]} = {show_flop(need.flops_total)}" if parts else show_flop(need.flops_total)]
    elif need.flops_per_step:
        parts.append(f"{show_flop(need.flops_per_step)} per step")
    if need.parameters:
        parts.append(f"{show_count(need.parameters)} parameters")
    if need.trainable is not None and need.parameters and need.trainable < need.parameters:
        parts.append(f"{show_count(need.trainable)} trainable")
    return " · ".join(parts)


def _search(job: JobConfig) -> str:
    """× 12 candidates × 5 folds: what a grid search or cross-validation repeats."""
    search = job.model.search if job.model else None
    if search is None:
        return ""
    candidates = f" × {search.candidates:,} candidates" if search.candidates and search.candidates > 1 else ""
    folds = f" × {search.folds:,} folds" if search.folds and search.folds > 1 else ""
    return candidates + folds


def _extent(job: JobConfig) -> str:
    data, training, model = job.dataset, job.training, job.model
    noun = NOUNS.get(infer_family(job), "samples") if model else "samples"
    if training.steps:
        return f"{training.steps:,} steps"
    if training.tokens:
        return f"{show_count(training.tokens)} tokens"
    if data is None or data.samples is None:
        return ""
    size = f"{data.samples:,} {'rows' if data.columns else noun}" + (f" × {data.columns:,} columns" if data.columns else "")
    size += _search(job)
    return size + (f" × {_number(training.epochs)} {'epoch' if training.epochs == 1 else 'epochs'}" if training.epochs else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and value < MOST_WRITTEN else f"{value:g}"
