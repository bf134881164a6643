"""Learning from runs: what is kept of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.observation import GPU_MEMORY, RAM, SECONDS, Key, Observation
from dispatcher.domain.plan import Plan
from dispatcher.domain.run import Outcome, Run
from dispatcher.events import Event, Finished, Listener
from dispatcher.planner import devices
from dispatcher.planner.calibrate import key_of, model_of

if TYPE_CHECKING:
    from dispatcher.store.store import Store

SHORTEST_SECONDS = 1.0
"""Of a shorter job, the start of Python is most."""
SIZES = {
    "model": ("name", "layers", "hidden", "trees", "depth", "leaves", "sequence_length", "image_size"),
    "dataset": ("samples", "columns", "dtype"),
    "training": ("batch_size", "precision", "optimizer", "steps", "epochs"),
}
"""Settings that an observation keeps, so that people can see what it was about."""


def subject(job: JobConfig, plan: Plan) -> dict[str, Any]:
    """What a run's record needs for its end to be learned from; empty where nothing can be."""
    chosen, machine = plan.chosen, plan.here.machine
    if chosen is None or machine is None or chosen.offer.where != "local" or not _predicted(chosen.hours_basis):
        return {}
    key = key_of(job, devices.here(machine))
    if key is None:
        return {}
    about = {"subject": key.subject, "method": key.method, "device": key.device, "model": model_of(job)}
    return {**about, "sizes": _sizes(job), "factors": dict(chosen.learned)}


def listening(store: Store, emit: Listener) -> Listener:
    """The listener, after what a run's end shows was kept."""

    def hear(event: Event) -> None:
        if isinstance(event, Finished):
            keep(store, event.record)
        emit(event)

    return hear


def keep(store: Store, run: Run) -> None:
    """Remember what a run showed, if it succeeded and was planned by formulas. Twice is once."""
    found = tuple(observed(run))
    if found:
        store.observe(found)


def observed(run: Run) -> Iterator[Observation]:
    """A run's figures: the formula's own, without what was learned before, beside what was measured."""
    about = run.job.get("learning")
    if run.open or run.outcome is not Outcome.SUCCEEDED or not about:
        return
    key = Key(about["subject"], about["method"], about["device"])
    for quantity, (told, measured) in _figures(run).items():
        if told and measured:
            formula = told / about["factors"].get(quantity, 1.0)
            yield Observation(
                run.id, quantity, key, formula, measured, run.ended or 0.0, about["model"], told=told, sizes=about["sizes"]
            )


def _figures(run: Run) -> dict[str, tuple[float | None, float | None]]:
    """What the plan told and what was measured. Beside a GPU, a plan has the RAM of the job as written, not as changed."""
    estimate, chosen = run.plan["estimate"], run.plan["candidates"][run.plan["choice"]]
    memory = (chosen["memory_gib"] or {}).get("likely")
    on_gpu = estimate["gpu_memory_gib"] is not None
    ram = None if on_gpu and chosen["changes"] else estimate["ram_gib"]["likely"] if on_gpu else memory
    seconds = run.phases_seconds.get("run")
    return {
        SECONDS: (chosen["phases_seconds"].get("run"), seconds if seconds and seconds >= SHORTEST_SECONDS else None),
        RAM: (ram, run.peak.ram_gib),
        GPU_MEMORY: (memory if on_gpu else None, run.peak.gpu_memory_gib),
    }


def _predicted(basis: str) -> bool:
    """Whether a formula is behind it: what a probe or earlier runs put on it is known as a factor."""
    return basis.startswith(("formula", "measured"))


def _sizes(job: JobConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for section, names in SIZES.items():
        part = getattr(job, section)
        values = {name: getattr(part, name) for name in names} if part else {}
        found |= {name: value for name, value in values.items() if value is not None}
    return found
