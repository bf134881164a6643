"""Planning: gather the world, hand it to the planner."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher import catalog
from dispatcher.app.access import CLOUDS
from dispatcher.app.limits import foreseen
from dispatcher.app.named import CPU, asked_for, offers_there
from dispatcher.app.tracing import Tell, nobody, traced, wants_trace
from dispatcher.app.world import tariff, world_for
from dispatcher.catalog.spelling import nearest
from dispatcher.domain.plan import JobSummary, Plan
from dispatcher.domain.values import short
from dispatcher.errors import JobFileError, NothingFits, Problem, UnknownError, UsageError
from dispatcher.jobfile.load import LoadedJob, from_mapping, load
from dispatcher.jobfile.settings import Settings, load_settings
from dispatcher.planner.candidates import Terms
from dispatcher.planner.make import World, plan_all, plan_for
from dispatcher.planner.market import survey
from dispatcher.planner.phases import Transfers
from dispatcher.planner.workload import lacking

if TYPE_CHECKING:  # loaded by the plans that rest on one
    from dispatcher.domain.traced import Traced
    from dispatcher.planner.probed import Evidence

LISTED = 5
"""Options of a kept plan that an error names."""
PRICE_RISE = 0.05
"""A kept plan is not run when its price rose by more than this share."""


def plan(
    job: str | Path | Mapping[str, Any],
    *,
    device: str | None = None,
    machine: str | None = None,
    live: bool = False,
    trace: bool = False,
    probe: bool = False,
) -> Plan:
    """What a job needs, where it could run, and what that costs. Nothing is started, nothing fetched.

    `job` is a path or the mapping that the YAML would be. `device` ("A100-80GB:8") asks for needs and time on that device,
    offered or not; `machine` ("aws:g5.xlarge") on that machine type. `live` refreshes prices first. `trace` loads the model's
    code and runs it on fake tensors, which `family: torch` needs. `probe` runs the job itself for up to 90 s, on a copy of its
    folder, and measures.

    Raises JobFileError for an invalid job, UsageError for an unknown device or machine.
    """
    loaded = from_mapping(job) if isinstance(job, Mapping) else load(Path(job))
    return plan_loaded(loaded, device=device, machine=machine, live=live, trace=trace, probing=probe)


def plan_loaded(
    loaded: LoadedJob,
    *,
    settings: Settings | None = None,
    device: str | None = None,
    machine: str | None = None,
    live: bool = False,
    everything: bool = False,
    explained: bool = False,
    trace: bool = False,
    probing: bool = False,
    tell: Tell = nobody,
    starts: datetime | None = None,
    renting: bool = False,
) -> Plan:
    """`plan` for a job that was loaded already. `trace` is the consent to load its code, and runs it on fake tensors first;
    `probing` the consent to run it for a while on a copy of its folder.

    `starts` is when it is to begin, where that is not now. `renting`: `machine` is no question, but the one to rent.
    """
    settings = settings or load_settings()
    refuse_unknown_region(loaded, settings)
    if live:
        from dispatcher.app.prices import refresh

        told = refresh(settings, loaded.config.where)
        loaded = replace(loaded, notes=(*loaded.notes, *told))
    try:
        left = seconds_left(loaded, starts)
        found, said = traced(loaded, tell, consent=trace) if trace or wants_trace(loaded.config) else (None, ())
        seen, more = _probe(loaded, settings, tell, found) if probing else (None, ())
        loaded = replace(loaded, notes=(*loaded.notes, *said, *more))
        if machine is not None and renting:
            return _rented(loaded, settings, machine, left, found, seen)
        return _planned(loaded, settings, device, machine, left, found, seen, everything=everything, explained=explained)
    except UnknownError as why:
        raise _asking(loaded, why) from None


def _asking(loaded: LoadedJob, why: UnknownError) -> UnknownError:
    """The error for all that lacks, with the file that it lacks in, and what kept it from being read in the data."""
    path = short(loaded.config.dataset.path) if loaded.config.dataset and loaded.config.dataset.path else ""
    trouble = (note for note in loaded.notes if path and note.startswith(path))
    also = [one for one in lacking(loaded.config) if one.message != why.message]
    place = f"{loaded.path.name}: " if loaded.path else ""
    words = " ".join((why.message, *(one.message for one in also), *trouble))
    return UnknownError(f"{place}{words}", fix=" ".join(filter(None, (why.fix, *(one.fix for one in also)))))


def _probe(loaded: LoadedJob, settings: Settings, tell: Tell, found: Traced | None) -> tuple[Evidence | None, tuple[str, ...]]:
    from dispatcher.app import probing

    return probing.evidence(loaded, settings, tell, found)


def _planned(
    loaded: LoadedJob,
    settings: Settings,
    device: str | None,
    machine: str | None,
    left: float | None,
    found: Traced | None,
    seen: Evidence | None,
    *,
    everything: bool,
    explained: bool,
) -> Plan:
    if device is not None or machine is not None:
        spec, offer = asked_for(device, machine, loaded.config, settings)
        if (device or "").lower() == CPU:
            said = f"cpu is this computer's: {spec.cpu.name}, {spec.usable_cores:g} threads."
            loaded = replace(loaded, notes=(*loaded.notes, said))
        terms = Terms(tariff, Transfers(), left, traced=found, probed=seen)
        made = plan_for(loaded.config, summary(loaded), spec, offer, terms, bound=loaded.bound, explained=explained)
        return replace(made, warnings=(*made.warnings, *loaded.notes))
    world = _with(world_for(loaded, settings, left, everything=everything), found, seen)
    made = plan_all(loaded.config, summary(loaded), world, bound=loaded.bound, everything=everything, explained=explained)
    return replace(made, warnings=(*made.warnings, *foreseen(made, settings.limits), *loaded.notes))


def _with(world: World, found: Traced | None, seen: Evidence | None) -> World:
    return replace(world, terms=replace(world.terms, traced=found, probed=seen)) if found or seen else world


def _rented(
    loaded: LoadedJob, settings: Settings, machine: str, left: float | None, found: Traced | None, seen: Evidence | None
) -> Plan:
    """The plan whose options are one machine type's, in every region and market that may be used."""
    offers = offers_there(machine, loaded.config, settings)
    world = replace(_with(world_for(loaded, settings, left), found, seen), here=None, offers=offers)
    looked = survey(loaded.config, offers, world.device_of, world.terms, everything=False)
    if not looked.needs:
        why = looked.rejected[0].reason if looked.rejected else "not in the markets that the job allows."
        raise NothingFits(f"{machine} will not do: {why}", fix=f"mlrun plan {loaded.path or 'JOB'} --machine {machine}")
    made = plan_all(loaded.config, summary(loaded), world, bound=loaded.bound)
    return replace(made, warnings=(*made.warnings, *loaded.notes))


def refuse_unknown_region(loaded: LoadedJob, settings: Settings) -> None:
    """Raise JobFileError where `where` names a region that its cloud is not known to have."""
    cloud, _, region = loaded.config.where.partition("/")
    if not region or cloud not in CLOUDS:
        return
    known = (*catalog.regions(cloud), *{"aws": settings.aws.regions, "gcp": settings.gcp.regions}[cloud])
    if region not in known:
        near = ", ".join(f"{cloud}/{one}" for one in nearest(region, known)) or f"{cloud}/{known[0]}"
        problem = Problem(f"{cloud} has no region {short(region)}.", path="where", fix=f"Near: {near}. All: mlrun catalog show")
        raise JobFileError(_file(loaded), [problem])


def same_plan(fresh: Plan, kept: Path, pick: int | None = None) -> Plan:
    """The fresh plan with the choice that was kept in a file, or with option `pick` of that file, counted from 1.

    Refused when the job changed or the option's price rose over 5 %.
    """
    try:
        old = json.loads(kept.read_text(encoding="utf-8"))
        job, options = old["job"], old["candidates"]
        index = pick - 1 if pick else old["choice"]
        choice = options[index] if index is not None and (index < len(options) or not pick) else None
    except OSError as why:
        raise UsageError(f"The plan {kept} cannot be read: {why.strerror}.") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise UsageError(f"{kept} holds no plan.", fix="Make one: mlrun plan JOB -o plan.json") from None
    if job["sha256"] != fresh.job.sha256:
        raise NothingFits(
            "The job has changed since that plan was made.", fix=f"mlrun plan {fresh.job.file or 'JOB'} -o {kept}"
        )
    if choice is None and pick:
        raise UsageError(f"--pick {pick}: the plan in {kept} has {len(options)} options.", fix=_listed(options))
    if choice is None:
        name = fresh.job.file or "JOB"
        raise NothingFits(
            f"The plan in {kept} leaves the choice open: none of its {len(options)} options could be chosen when it was made.",
            fix=f"mlrun {name} --plan {kept} --pick N{f', where N is: {_listed(options)}' if options else ''}",
        )
    return _found_again(fresh, choice, kept)


def _listed(options: list[dict[str, Any]]) -> str:
    """The first options of a kept plan, by number."""
    words = (" ".join(filter(None, (one["where"], one["machine"], one["region"], one["market"]))) for one in options)
    return "; ".join(f"{number} {text}" for number, text in zip(range(1, LISTED + 1), words, strict=False))


def _found_again(fresh: Plan, choice: dict[str, Any], kept: Path) -> Plan:
    def key(data: dict[str, Any]) -> tuple[Any, ...]:
        return (*(data[name] for name in ("where", "machine", "region", "market")), str(data.get("changes")))

    for index, candidate in enumerate(fresh.candidates):
        now = candidate.as_dict()
        if key(now) == key(choice):
            _price_held(choice, now)
            return fresh.picked(index)
    raise NothingFits("What that plan chose is not offered any more.", fix=f"mlrun plan {fresh.job.file or 'JOB'} -o {kept}")


def _price_held(old: dict[str, Any], now: dict[str, Any]) -> None:
    before, after = old["price_per_hour"] or 0.0, now["price_per_hour"] or 0.0
    if after > before * (1 + PRICE_RISE):
        raise NothingFits(
            f"{now['machine']} now costs ${after:.3f} per hour, ${before:.3f} when that plan was made.",
            fix="Plan again, and look.",
        )


def summary(loaded: LoadedJob) -> JobSummary:
    """Which job the plan is for."""
    return JobSummary(loaded.name, str(loaded.path) if loaded.path else None, loaded.sha256, dict(loaded.origins))


def seconds_left(loaded: LoadedJob, starts: datetime | None = None) -> float | None:
    """Seconds from its start to the job's `finish_by`; None where it has none."""
    text = loaded.config.budget.finish_by
    if text is None:
        return None
    from dispatcher.moments import read_moment, seconds_between, zone_named

    start = starts or datetime.now(zone_named(None))
    try:
        return seconds_between(start, read_moment(text, start, start.tzinfo or UTC))
    except ValueError as why:
        fix = "Write a time to come, or leave it out."
        raise JobFileError(_file(loaded), [Problem(f"{str(why).rstrip('.')}.", fix, path="budget.finish_by")]) from None


def _file(loaded: LoadedJob) -> str:
    """The job's file as errors name it."""
    return loaded.path.name if loaded.path else loaded.name
