"""Several jobs in turn on one rented machine: planned together, armed, summed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dispatcher.app import overnight
from dispatcher.app.plans import plan_loaded
from dispatcher.app.schedules import Planned
from dispatcher.app.submit import compact
from dispatcher.app.world import data_paths
from dispatcher.domain.job import Budget
from dispatcher.domain.plan import Candidate, Cost, Plan, Range
from dispatcher.domain.run import Label, Run
from dispatcher.errors import NothingFits, UsageError
from dispatcher.hosts.base import Tree
from dispatcher.hosts.sync import manifest
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.settings import Settings
from dispatcher.notices.addresses import record_of, text_without
from dispatcher.overnight.bundle import Bundle, job_of, pack_all
from dispatcher.overnight.night import Night, part_id
from dispatcher.planner.cost import Spending, hard_stop
from dispatcher.store.store import Store
from dispatcher.units import show_seconds, show_usd

MOST_TYPES = 8
"""So many machine types that suit the most demanding job are tried for the others."""
LONGEST_NAME = 39
LOOKED_THROUGH = 1000
"""Among so many of the newest runs a queue's are looked for."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Jobs in turn on one machine. `plans` are each job's there, `whole` is the machine's: its end, its cost, at worst too."""

    loaded: tuple[LoadedJob, ...]
    plans: tuple[Plan, ...]
    whole: Plan
    ends: tuple[float | None, ...]
    budget: float | None

    @property
    def machine(self) -> Candidate:
        """What is rented."""
        assert self.whole.chosen is not None
        return self.whole.chosen


def together(made: Planned, budget: float | None) -> Queue:
    """One machine for all of them, the cheapest for all that is known to suit each, and its end within the budget.

    Raises UsageError for jobs of several places, NothingFits where no machine suits all, or the budget buys too little.
    """
    if made.cron:
        raise UsageError("Several jobs in turn start once: --cron is for one job in a cloud.", fix="--at; or --where local.")
    places = sorted({plan.chosen.offer.where for plan in made.plans if plan.chosen})
    if len(places) > 1:
        raise UsageError(
            f"These jobs would run on {' and '.join(places)}: a queue has one machine.", fix="--where aws, or local"
        )
    plans = _on_one_machine(made)
    whole = _whole(plans, made, budget)
    return Queue(made.loaded, plans, whole, made.ends, budget)


def arm(queue: Queue, made: Planned, settings: Settings, store: Store, now: float) -> Night:
    """Freeze all of them, send them, and have the cloud start their machine at that time. Raises why that cannot be."""
    names = sorted({name for one in queue.loaded for name in one.config.secrets})
    rows = tuple(_row(*pair) for pair in zip(queue.loaded, queue.plans, queue.ends, strict=True))

    def frozen(night: Night) -> Night:
        return replace(
            night, name=_name(queue.loaded), queue=rows, budget=queue.budget, secrets=dict.fromkeys(names, ""), outputs=(),
            latest=None, cost_likely=_sum(plan.chosen.cost.likely for plan in queue.plans if plan.chosen and plan.chosen.cost),
        )  # fmt: skip

    def packed(night: Night, file: Path) -> Bundle:
        return _packed(night, file, queue, settings)

    return overnight.sent(queue.loaded[0], queue.whole, made.due, settings, store, now, names, frozen, packed)


def siblings(run: Run, store: Store) -> list[Run]:
    """The runs of a run's queue that are known here, in their order; empty where it was in none."""
    told = run.job.get("queue")
    if not isinstance(told, Mapping):
        return []
    rented = [store.get(part_id(str(told["id"]), number)) for number in range(1, int(told["of"]) + 1)]
    if any(rented):
        return [one for one in rented if one is not None]
    near = (one for one in store.recent(LOOKED_THROUGH) if _queue_of(one).get("id") == told["id"])  # it ran here
    return sorted(near, key=lambda one: int(_queue_of(one)["part"]))


def _queue_of(run: Run) -> Mapping[str, Any]:
    told = run.job.get("queue")
    return told if isinstance(told, Mapping) else {}


def _on_one_machine(made: Planned) -> tuple[Plan, ...]:
    """The jobs' plans on the first machine type that suits all: types by what they cost the job that needs the dearest."""
    lead = max(made.plans, key=lambda plan: (plan.chosen.offer.price_per_hour if plan.chosen else 0.0) or 0.0)
    assert lead.chosen is not None
    able = [lead.chosen, *(one for one in lead.candidates if one.surely and one.offer.usable and not one.changes)]
    kinds = [f"{one.offer.where}:{one.offer.machine}" for one in able if one.offer.where == lead.chosen.offer.where]
    for kind in list(dict.fromkeys(kinds))[:MOST_TYPES]:
        if plans := _all_on(kind, made):
            return plans
    what = ", ".join(one.name for one in made.loaded)
    raise NothingFits(f"No machine was found that suits all of {what}.", fix="A schedule for each; mlrun plan JOB shows why.")


def _all_on(kind: str, made: Planned) -> tuple[Plan, ...]:
    """All jobs on this machine type, in the region and market that are cheapest together; empty where one does not fit."""
    try:
        plans = [plan_loaded(one, machine=kind, renting=True, starts=made.due) for one in made.loaded]
    except NothingFits:
        return ()
    there = [{_place(one): at for at, one in enumerate(plan.candidates) if one.surely and one.offer.usable} for plan in plans]
    common = set(there[0]).intersection(*there[1:])
    if not common:
        return ()

    def dear(place: tuple[str | None, str]) -> tuple[float, str]:
        chosen = [plan.candidates[at[place]] for plan, at in zip(plans, there, strict=True)]
        return sum((one.cost.likely or one.cost.worst_case) if one.cost else 0.0 for one in chosen), str(place)

    best = min(common, key=dear)
    return tuple(plan.picked(at[best]) for plan, at in zip(plans, there, strict=True))


def _place(one: Candidate) -> tuple[str | None, str]:
    return one.offer.region, one.offer.market


def _whole(plans: Sequence[Plan], made: Planned, budget: float | None) -> Plan:
    """The machine's own plan: it ends when all may have ended, when the budget is spent, or at the last `finish_by`."""
    chosen = [plan.chosen for plan in plans if plan.chosen]
    stops = sum(one.hard_stop_seconds or 0.0 for one in chosen)
    once = sum(_once(one) for one in chosen)
    hourly = max(_hourly(one) for one in chosen)
    left = max(one for one in made.ends if one) - made.due.timestamp() if all(made.ends) else None
    stop = hard_stop(None, 0.0, Budget(max_time=stops, max_cost=budget), Spending(hourly, once), left)
    likely = sum(one.hours.likely * 3600 for one in chosen if one.hours)
    if stop.seconds < max(likely, overnight.LEAST_SECONDS):
        what = f"together they are likely to take {show_seconds(likely)}" if likely else "nothing can be done in less"
        by = f"--budget {show_usd(budget)}" if budget and stop.by == "max_cost" else "the last finish_by"
        raise NothingFits(f"{by} leaves {show_seconds(stop.seconds)} on {chosen[0].offer.place}; {what}.", fix="A larger one.")
    worst = (stop.seconds + stop.grace) / 3600 * hourly + once
    spans = [one.cost.range for one in chosen if one.cost and one.cost.range]
    span = (
        Range(*(sum(getattr(one, end) for one in spans) for end in ("low", "likely", "high")))
        if len(spans) == len(chosen)
        else None
    )
    first = chosen[0]
    beside = max(one.cost.beside_per_hour for one in chosen if one.cost)
    offer = replace(first.offer, disk_gb=max((one.offer.disk_gb or 0.0) for one in chosen) or None)
    machine = replace(
        first, offer=offer, cost=Cost(span, worst, beside_per_hour=beside), hard_stop_seconds=stop.seconds,
        grace_seconds=stop.grace, stopped_by=stop.by, hours=None,
    )  # fmt: skip
    return replace(plans[0], candidates=(machine,), choice=0)


def _once(one: Candidate) -> float:
    """What its downloads cost at most, as the plan has it."""
    return 2 * one.cost.parts.get("download", 0.0) if one.cost else 0.0


def _hourly(one: Candidate) -> float:
    """What an hour of it costs at most, as its cost at worst has it."""
    assert one.cost is not None
    return (one.cost.worst_case - _once(one)) / ((one.hard_stop_seconds or 0.0) + one.grace_seconds) * 3600


def _row(loaded: LoadedJob, plan: Plan, latest: float | None) -> dict[str, Any]:
    """What is a job's own in the night's record: fields of a night."""
    assert plan.chosen is not None
    cost = plan.chosen.cost
    return {
        "name": loaded.name,
        "latest": latest,
        "outputs": list(loaded.config.outputs),
        "workdir": str(loaded.workdir),
        "cost_likely": (cost.likely or 0.0) if cost else 0.0,
        "cost_worst": cost.worst_case if cost else 0.0,
        "plan": compact(plan),
        "job": {"file": plan.job.file, "sha256": plan.job.sha256, "run": loaded.config.run, "text": text_without(loaded)}
        | record_of(loaded),
    }


def _packed(night: Night, file: Path, queue: Queue, settings: Settings) -> Bundle:
    """Jobs of one folder share it on the machine, as they would here."""
    folders = list(dict.fromkeys(one.workdir for one in queue.loaded))
    names = {folder: f"{Label(night.id, number)}.work" for number, folder in enumerate(folders, 1)}
    works = {name: _tree(folder, queue.loaded) for folder, name in names.items()}
    jobs = []
    for number, (loaded, plan, latest) in enumerate(zip(queue.loaded, queue.plans, queue.ends, strict=True), 1):
        assert plan.chosen is not None
        spec = overnight.spec_of(night, loaded, settings, Label(night.id, number), names[loaded.workdir])
        own = {"seconds": plan.chosen.hard_stop_seconds, "secrets": list(loaded.config.secrets), "latest": latest}
        jobs.append(job_of(spec, loaded.config.outputs) | own)
    return pack_all(file, works, {"queue": jobs})


def _tree(folder: Path, jobs: Iterable[LoadedJob]) -> Tree:
    data = dict.fromkeys(path for one in jobs if one.workdir == folder for path in data_paths(one))
    return manifest(folder, data=tuple(data)).tree


def _name(jobs: Sequence[LoadedJob]) -> str:
    more = f"-and-{len(jobs) - 1}-more"
    return jobs[0].name[: LONGEST_NAME - len(more)] + more


def _sum(amounts: Iterator[float | None]) -> float:
    return sum(one or 0.0 for one in amounts)
