"""What could be rented: grouped by type, pruned, assessed, priced."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Candidate, Offer, Rejection
from dispatcher.planner.assess import assess
from dispatcher.planner.assessment import Assessment
from dispatcher.planner.candidates import Terms, candidate, judged, over_budget
from dispatcher.planner.matching import accepts, unwanted

Key = tuple[str, str | None]
CPU_FAMILIES = ("tabular",)
HOSTS_PER_DEVICE = 3
"""How many hosts of the same accelerators are assessed: the cheapest; dearer ones only add cores."""
FEW_TYPES = 48
"""So many CPU machine types are all assessed; of more, the cheapest of each size."""
CHEAPEST_OF_A_SIZE = 2


class Near(NamedTuple):
    """A machine that almost fits: how many times what it has is needed, why, and the needs there."""

    lack: float
    offer: Offer
    why: str
    need: Assessment


@dataclass(slots=True)
class Survey:
    """What came of looking at every offer. `dearer` fit but break a limit; `nearest` lacks least of what is needed."""

    candidates: list[Candidate] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    needs: dict[Key, Assessment] = field(default_factory=dict)
    dearer: list[tuple[Candidate, str]] = field(default_factory=list)
    nearest: Near | None = None

    @property
    def instead(self) -> tuple[str, ...]:
        """Where nothing can be had: the cheapest that fits, with the limit it breaks, and the one that almost fits."""
        said = []
        if self.dearer:
            one, why = min(self.dearer, key=lambda pair: _likely(pair[0]))
            market = " spot" if one.offer.market == "spot" else ""
            region = f" in {one.offer.region}" if one.offer.region else ""
            said.append(f"The cheapest that fits is {one.offer.place}{market}{region}: {why}.")
        if self.nearest and not self.dearer:
            offer = self.nearest.offer
            device = f" ({offer.count}× {offer.device})" if offer.count else ""
            said.append(f"The nearest is {offer.place}{device}, which does not fit either. {self.nearest.why}")
        return tuple(said)


def survey(
    job: JobConfig, offers: Iterable[Offer], device_of: Callable[[Offer], Device | None], terms: Terms, *, everything: bool
) -> Survey:
    """Assess each machine type once, and make a candidate of its cheapest region in each market (of all, with `everything`)."""
    found = Survey()
    groups = _wanted(job, offers, found)
    cache: dict[tuple[str, int, float], Assessment] = {}
    for key, group in _pruned(groups, found, cpu_work=uses_cpu(job)):
        device = device_of(group[0])
        if device and device.kind == "tpu" and _named(job, group[0]):
            found.candidates += _priced_only(job, device, group, terms, everything=everything)
            continue
        if reason := _unplannable(device):
            found.rejected.append(Rejection(*key, reason))
            continue
        assert device is not None
        mark = (device.name, device.count, device.usable_cores)
        need = cache.get(mark) or cache.setdefault(
            mark, assess(job, device, learned=terms.learned, traced=terms.traced, probed=terms.probed)
        )
        _judge(job, need, group, terms, found, everything=everything)
    return found


def _named(job: JobConfig, offer: Offer) -> bool:
    """Whether the job asks for this device by its name."""
    return any(request.name and accepts(request, offer) for request in job.resources.gpu or ())


def _priced_only(job: JobConfig, device: Device, group: list[Offer], terms: Terms, *, everything: bool) -> list[Candidate]:
    """TPUs as what they are: offered, with a price. What the job takes there is not known before its code is changed."""
    need = assess(job.model_copy(update={"model": None}), device)
    ruling = replace(judged(need, group[0], terms), fits=False, surely=False)
    note = f"code for CUDA does not run on {device.name} unchanged"
    some = group if everything else _cheapest(group)
    return [replace(candidate(job, need, offer, ruling, terms), notes=(note,)) for offer in some]


def _unplannable(device: Device | None) -> str:
    if device is None:
        return "its device is not in the catalog"
    if device.kind in ("tpu", "xpu", "other"):
        return f"code for CUDA does not run on {device.name} unchanged"
    if device.accelerator and not device.accelerator.fp32_tflops:
        return f"the speed of {device.name} is not known"
    return ""


def uses_cpu(job: JobConfig) -> bool:
    """Whether a GPU would not help: tables without a GPU library, or a job that asks for none."""
    if job.resources.gpu == ():
        return True
    model = job.model
    if model is None:
        return job.resources.gpu is None
    tabular = model.family == "tabular" or model.library is not None
    return tabular and model.library != "cuml" and not job.resources.gpu


def gpu_counts(job: JobConfig) -> frozenset[int]:
    """How many GPUs the job as written uses: one, unless it shards or is asked to run on more."""
    asked = frozenset(request.count for request in job.resources.gpu or ())
    if asked:
        return asked
    return frozenset({2, 4, 8}) if job.training.sharding != "none" else frozenset({1})


def _wanted(job: JobConfig, offers: Iterable[Offer], found: Survey) -> dict[Key, list[Offer]]:
    """Offers of wanted machine types, by type; the rest is rejected once per type."""
    groups: dict[Key, list[Offer]] = {}
    refused: dict[Key, str] = {}
    counts, cpu_work = gpu_counts(job), uses_cpu(job)
    by_region = "/" in job.where
    for offer in offers:
        key = (offer.where, offer.machine)
        if key in groups and not by_region:
            groups[key].append(offer)
        elif key not in refused or by_region:
            reason = unwanted(offer, job, cpu_work=cpu_work, counts=counts)
            if reason:
                refused[key] = reason
            else:
                groups.setdefault(key, []).append(offer)
    found.rejected += [Rejection(*key, reason) for key, reason in refused.items() if key not in groups]
    return _on_market(job, groups)


def _on_market(job: JobConfig, groups: dict[Key, list[Offer]]) -> dict[Key, list[Offer]]:
    """Spot only where a restart loses little, unless the user said."""
    if job.spot == "auto":
        allowed = {"on-demand", "owned"} | ({"spot"} if job.checkpoint else set())
    else:
        allowed = {"spot"} if job.spot else {"on-demand", "owned"}
    kept = {key: [offer for offer in group if offer.market in allowed] for key, group in groups.items()}
    return {key: group for key, group in kept.items() if group}


def _pruned(groups: dict[Key, list[Offer]], found: Survey, *, cpu_work: bool) -> Iterable[tuple[Key, list[Offer]]]:
    """The types worth assessing, cheapest first."""
    order = sorted(groups.items(), key=lambda item: _price(item[1]))
    if cpu_work:
        if len(order) <= FEW_TYPES:
            return order
        return _sized(order, found)
    kept, seen = [], dict[tuple[str, str, int], int]()
    for key, group in order:
        kind = (group[0].where, group[0].device, group[0].count)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= HOSTS_PER_DEVICE:
            kept.append((key, group))
        else:
            found.rejected.append(Rejection(*key, "the same GPU in a dearer host"))
    return kept


def _sized(order: list[tuple[Key, list[Offer]]], found: Survey) -> list[tuple[Key, list[Offer]]]:
    """The two cheapest types of each size of RAM, and of each number of cores, of each place."""
    best: dict[Key, list[Offer]] = {}
    for size in ("ram_gib", "cores"):
        seen: dict[tuple[str, int], int] = {}
        for key, group in order:
            kind = (group[0].where, round(math.log2(max(1.0, getattr(group[0], size)))))
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= CHEAPEST_OF_A_SIZE:
                best.setdefault(key, group)
    found.rejected += [Rejection(*key, "dearer than others of its size") for key, _ in order if key not in best]
    return list(best.items())


def _judge(job: JobConfig, need: Assessment, group: list[Offer], terms: Terms, found: Survey, *, everything: bool) -> None:
    first = group[0]
    ruling = judged(need, first, terms)
    if not ruling.fits:
        found.rejected.append(Rejection(first.where, first.machine, ruling.reasons[0]))
        lack = math.inf if need.forbidden else ruling.lack  # what cannot run at all is near only where nothing else is
        if found.nearest is None or lack < found.nearest.lack:
            found.nearest = Near(lack, first, ruling.reasons[0], need)
        return
    found.needs[first.where, first.machine] = need
    for offer in group if everything else _cheapest(group):
        one = candidate(job, need, offer, ruling, terms)
        reason = over_budget(job, one)
        if reason:
            found.rejected.append(Rejection(offer.where, offer.machine, reason))
            found.dearer.append((one, reason))
        else:
            found.candidates.append(one)


def _cheapest(group: list[Offer]) -> list[Offer]:
    """The cheapest region in each market."""
    best: dict[str, Offer] = {}
    for offer in group:
        held = best.get(offer.market)
        if held is None or _cost(offer) < _cost(held):
            best[offer.market] = offer
    return list(best.values())


def _likely(one: Candidate) -> float:
    likely = one.cost.likely if one.cost else None
    return math.inf if likely is None else likely


def _price(group: list[Offer]) -> float:
    return min(_cost(offer) for offer in group)


def _cost(offer: Offer) -> float:
    return math.inf if offer.price_per_hour is None else offer.price_per_hour
