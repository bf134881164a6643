"""A plan from a job and a world: nothing is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dispatcher.catalog.offers import NOT_LAUNCHED
from dispatcher.domain.hardware import Device, Machine
from dispatcher.domain.job import Budget, JobConfig
from dispatcher.domain.plan import OVER_BUDGET, Candidate, Estimate, Here, JobSummary, Offer, Plan, Rejection
from dispatcher.errors import NothingFits
from dispatcher.planner.assess import assess
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.candidates import Terms, candidate, judged, over_budget
from dispatcher.planner.choose import choose, ranked
from dispatcher.planner.here import elsewhere, here_verdict
from dispatcher.planner.market import Survey, survey
from dispatcher.planner.matching import foreign
from dispatcher.planner.work import work_words
from dispatcher.units import show_bytes

if TYPE_CHECKING:  # loaded where something does not fit
    from dispatcher.planner.suggest import Idea


DOWNLOADS = "what machines of your own download"
"""What no figure holds: nobody knows what is there already, nor how fast the wire is."""
WORTH_FETCHING_GB = 1.0
"""So much to download is worth a sentence."""


@dataclass(frozen=True, slots=True)
class World:
    """What a plan looks at beside the job: this computer, what could be rented, tariffs, the wire.

    `device_of` turns an offer into the device that formulas compute on; `here` is this computer's. `closed` names the places
    that can only be priced, and why; `rejected` are those that are no offers at all.
    """

    machine: Machine | None
    here: tuple[Device, Offer] | None
    offers: Iterable[Offer]
    device_of: Callable[[Offer], Device | None]
    terms: Terms
    sends: dict[str, Any] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    rejected: tuple[Rejection, ...] = ()
    notes: tuple[str, ...] = ()


def plan_for(
    job: JobConfig,
    summary: JobSummary,
    device: Device,
    offer: Offer,
    terms: Terms,
    *,
    bound: frozenset[str] = frozenset(),
    explained: bool = False,
) -> Plan:
    """Needs and time on one device or machine that was asked for by name, offered or not, and what would make it fit there."""
    need = assess(job, device, explained=explained, learned=terms.learned, traced=terms.traced, probed=terms.probed)
    alien = foreign(offer)
    need = replace(need, forbidden=(*need.forbidden, f"It is {alien}.")) if alien else need
    one, rejected = _within(job, need, offer, terms)
    helpful = () if alien or judged(need, offer, terms).surely else _ideas(job, (device, offer), terms, bound)
    return Plan(
        job=summary,
        estimate=_estimate(need, need),
        here=Here(capable=False, reasons=()),
        candidates=(one,),
        choice=0 if one.surely else None,
        rejected=rejected,
        suggestions=tuple(idea.suggestion for idea in helpful),
        warnings=(*need.forbidden, *need.warnings),
        work=work_words(job, need),
        explain=need.explain,
        probe=_probe(terms),
    )


def _within(job: JobConfig, need: Assessment, offer: Offer, terms: Terms) -> tuple[Candidate, tuple[Rejection, ...]]:
    """The answer about one machine. Where the job's limits rule it out: what it would take without them, and why it may not."""
    ruling = judged(need, offer, terms)
    one = candidate(job, need, offer, ruling, terms)
    reason = over_budget(job, one)
    if not reason:
        return one, ()
    free = job.model_copy(update={"budget": Budget(prefer=job.budget.prefer)})
    whole = candidate(free, need, offer, ruling, replace(terms, seconds_left=None))
    ruled_out = replace(whole, fits=False, surely=False, notes=(*whole.notes, f"{OVER_BUDGET}{reason}"))
    return ruled_out, (Rejection(offer.where, offer.machine, reason),)


def plan_all(
    job: JobConfig,
    summary: JobSummary,
    world: World,
    *,
    bound: frozenset[str],
    everything: bool = False,
    explained: bool = False,
) -> Plan:
    """The whole plan: needs, this machine's verdict, ranked candidates, the choice, and what would make it fit."""
    rejected: list[Rejection] = []
    found: list[Candidate] = []
    local = _local(job, world)
    too_much = over_budget(job, local[1]) if local else None
    if local and too_much:
        rejected.append(Rejection("local", None, too_much))
    elif local and job.where in ("auto", "local"):
        found.append(local[1])
    helpful = _ideas(job, world.here, world.terms, bound) if world.here and local and not local[1].surely else ()
    found += _changed(world, helpful)
    survey_result = survey(job, world.offers, world.device_of, world.terms, everything=everything)
    found += survey_result.candidates
    rejected += [*world.rejected, *survey_result.rejected]
    order = ranked([_closed(one, world.closed) for one in found], job.budget.prefer)
    choice = choose(order, job.budget.prefer)
    reference = _reference(order, choice, local, survey_result)
    if explained:
        terms = world.terms
        reference = assess(
            job, reference.device, explained=True, learned=terms.learned, traced=terms.traced, probed=terms.probed
        )
    on_gpu = reference if reference.gpu else _on_gpu(order, survey_result)
    told = (*elsewhere(order, choice), *_otherwise(order, survey_result))
    slow = _slow_wire(reference, order[choice] if choice is not None else None)
    left_out = f"is left out by where: {job.where}" if job.where not in ("auto", "local") else None
    here = here_verdict(world.machine, local, too_much or left_out)
    return Plan(
        job=summary,
        estimate=_estimate(reference, on_gpu),
        here=here,
        candidates=tuple(order),
        choice=choice,
        rejected=tuple(rejected),
        suggestions=tuple(idea.suggestion for idea in helpful),
        warnings=_once((*reference.warnings, *slow, *told, *world.notes)),
        not_included=("tax", *([DOWNLOADS] if reference.fetched_gb else [])),
        work=work_words(job, reference),
        prefer=job.budget.prefer,
        sends=world.sends,
        explain=reference.explain,
        probe=_probe(world.terms),
    )


def _slow_wire(need: Assessment, chosen: Candidate | None) -> tuple[str, ...]:
    """What a machine of the user's own has to download, which takes time that nobody knows."""
    if chosen is None or chosen.offer.market != "owned" or need.fetched_gb < WORTH_FETCHING_GB:
        return ()
    return (f"It fetches {show_bytes(need.fetched_gb * 1e9)} of weights and data where they are not there yet: not counted.",)


def _probe(terms: Terms) -> dict[str, Any]:
    if terms.probed is None:
        return {}
    from dispatcher.planner.probed import document

    return document(terms.probed)


def _local(job: JobConfig, world: World) -> tuple[Assessment, Candidate, tuple[str, ...]] | None:
    if world.here is None:
        return None
    device, offer = world.here
    need = assess(job, device, learned=world.terms.learned, traced=world.terms.traced, probed=world.terms.probed)
    ruling = judged(need, offer, world.terms)
    return need, candidate(job, need, offer, ruling, world.terms), ruling.reasons


def _ideas(job: JobConfig, at: tuple[Device, Offer], terms: Terms, bound: frozenset[str]) -> tuple[Idea, ...]:
    from dispatcher.planner.suggest import ideas

    return ideas(job, at, terms, bound)


def _changed(world: World, helpful: tuple[Idea, ...]) -> list[Candidate]:
    """The least change that makes it fit here and that mlrun can make itself, as an option to pick."""
    if world.here is None:
        return []
    able = [idea for idea in helpful if idea.suggestion.bound][:1]
    return [candidate(i.job, i.need, world.here[1], i.ruling, world.terms, i.suggestion.change) for i in able]


def _otherwise(order: list[Candidate], found: Survey) -> tuple[str, ...]:
    return () if any(one.surely for one in order) else found.instead


def _closed(one: Candidate, closed: dict[str, str]) -> Candidate:
    why = "" if one.offer.why_unusable == NOT_LAUNCHED else closed.get(one.offer.where)
    return replace(one, offer=replace(one.offer, usable=False, why_unusable=why)) if why else one


def _reference(
    order: list[Candidate],
    choice: int | None,
    local: tuple[Assessment, Candidate, tuple[str, ...]] | None,
    found: Survey,
) -> Assessment:
    """The assessment that the headline shows: the choice's, else that of the first that surely fits.

    Where nothing fits it is this machine's, but for work of GPUs on a machine without one: then that of the nearest to fit.
    """
    fitting = [one.offer for one in order if one.surely and not one.changes]
    shown = order[choice].offer if choice is not None else next(iter(fitting), None)
    if shown and shown.where != "local":
        return found.needs[shown.where, shown.machine]
    if local and (local[0].gpu or local[1].surely or not found.nearest):
        return local[0]
    if found.nearest:
        return found.nearest.need
    if found.needs:
        return next(iter(found.needs.values()))
    raise NothingFits(
        "; ".join(f"{one.where} {one.machine or ''}: {one.reason}" for one in found.rejected[:3]) or "Nothing was offered."
    )


def _on_gpu(order: list[Candidate], found: Survey) -> Assessment | None:
    """What the job needs of the first GPU that it fits, or almost fits: told where it runs, or would, without one."""
    fitting = (found.needs.get((one.offer.where, one.offer.machine)) for one in order if one.surely)
    nearest = found.nearest.need if found.nearest else None
    dearer = (found.needs[one.offer.where, one.offer.machine] for one, _ in found.dearer)
    return next((need for need in (*fitting, nearest, *dearer) if need and need.gpu), None)


def _estimate(need: Assessment, on_gpu: Assessment | None) -> Estimate:
    """The figures of `need`, with the GPU memory of what it would be on a GPU."""
    return Estimate(
        on_gpu.gpu if on_gpu else None,
        need.ram,
        need.disk,
        need.flops_total,
        need.flops_per_step,
        need.parameters,
        need.trainable,
        on_gpu.device.name if on_gpu and on_gpu.gpu else "",
        on_gpu.device.count if on_gpu else 1,
    )


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def picked(plan: Plan, index: int) -> Plan:
    """The plan with the user's own pick, counted from 0."""
    return replace(plan, choice=index)
