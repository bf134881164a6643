"""Offers of the clouds from known prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from dispatcher.catalog.accelerators import find_accelerator
from dispatcher.catalog.instances import family, those_with
from dispatcher.catalog.prices import PROVIDERS, PriceSource, Quote, price_source, quotes_of
from dispatcher.domain.hardware import Accelerator, InstanceType
from dispatcher.domain.plan import GpuRequest, Offer, Requirements

NO_OFFER = ("retired", "burstable")
"""Machine types that are not offered: no longer had, or slowed down once their credits are spent."""
FRAMEWORKS_RUN_ON = ("NVIDIA", "AMD")
"""Makers whose accelerators unchanged PyTorch, XGBoost and LightGBM run on; others are offered only by name."""
NOT_LAUNCHED = "TPU VMs are not launched by this version"
"""Why TPUs are priced and never chosen; beside that, code for CUDA does not run on them unchanged."""
MEMORY_TOLERANCE = 0.93
"""GPUs are sold by nameplate: 22.4 GiB of an L4 count as 24 GB."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A machine type with its accelerator; its prices are read when asked for."""

    instance: InstanceType
    accelerator: Accelerator | None

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """All its prices."""
        return quotes_of(self.instance.provider, self.instance.name)


def offers(
    need: Requirements | None = None,
    *,
    regions: Mapping[str, Iterable[str]] | None = None,
    cheapest: bool = False,
    others: bool = False,
) -> Iterator[Offer]:
    """What the clouds rent that meets the need: on demand and spot, in every region; empty where nothing does.

    `regions` keeps some per provider (none named: all). With `cheapest`, one region per machine type and market. With `others`,
    machine types that do not meet the need as well, each once: so that a reader can say why not.
    """
    kept = {provider: frozenset(names) for provider, names in (regions or {}).items()}
    for shelf in shelves() if need is None or others else _likely(accelerators=bool(need.gpus or need.gpu_count)):
        met = need is None or meets(shelf, need)
        if met or others:
            wanted = kept.get(shelf.instance.provider)
            found = [quote for quote in shelf.quotes if (not wanted or quote.region in wanted) and _asked(quote, need)]
            yield from _offers(shelf, found[:1] if not met else _cheapest(found) if cheapest else found)


def offers_of(instance: InstanceType) -> tuple[Offer, ...]:
    """Every known price of one machine type, also of one that is no longer offered."""
    return tuple(_offers(shelf_of(instance), shelf_of(instance).quotes))


@cache
def shelves() -> tuple[Shelf, ...]:
    """Every machine type that is offered."""
    return (*_likely(accelerators=False), *_likely(accelerators=True))


@cache
def _likely(*, accelerators: bool) -> tuple[Shelf, ...]:
    """The offered machine types with accelerators, or those without."""
    kinds = those_with(accelerators=accelerators)
    return tuple(shelf_of(kind) for kind in kinds if family(kind).sold not in NO_OFFER and _whole(kind))


def shelf_of(instance: InstanceType) -> Shelf:
    """A machine type with its accelerator and its prices."""
    return Shelf(instance, _accelerator(instance.accelerator) if instance.accelerator else None)


@cache
def _accelerator(name: str) -> Accelerator | None:
    return find_accelerator(name)


def offer(shelf: Shelf, quote: Quote) -> Offer:
    """One price of a machine type as an offer."""
    return next(_offers(shelf, (quote,)))


def meets(shelf: Shelf, need: Requirements) -> bool:
    """Whether a machine type has what a job needs, prices aside."""
    kind, part = shelf.instance, shelf.accelerator
    if need.where in PROVIDERS and kind.provider != need.where:
        return False
    if kind.vcpus < need.cpus or kind.ram_gib < need.ram_gib or (need.arch and kind.cpu_arch != need.arch):
        return False
    if need.gpus:
        return part is not None and any(_satisfies(part, kind.accelerator_count, request) for request in need.gpus)
    if part is None or not need.gpu_count:
        return part is None and not need.gpu_count
    return (
        part.vendor in FRAMEWORKS_RUN_ON
        and kind.accelerator_count >= need.gpu_count
        and part.memory_gib >= need.gpu_memory_gib
        and part.compute_capability >= need.min_compute_capability
    )


def _satisfies(part: Accelerator, count: float, request: GpuRequest) -> bool:
    named = find_accelerator(request.name) if request.name else None
    if (request.name and (named is None or named.name != part.name)) or count != request.count:
        return False
    most = request.max_memory_gib
    return part.memory_gib >= request.min_memory_gib * MEMORY_TOLERANCE and (most is None or part.memory_gib <= most)


def _whole(kind: InstanceType) -> bool:
    """Slices of a GPU are not offered: what of its speed they get is not published."""
    return float(kind.accelerator_count).is_integer()


def _asked(quote: Quote, need: Requirements | None) -> bool:
    if need is None:
        return True
    if need.spot is not None and (quote.market == "spot") != need.spot:
        return False
    provider, _, region = need.where.partition("/")
    if region and (quote.provider, quote.region) != (provider, region):
        return False
    return need.max_hourly_usd is None or quote.usd <= need.max_hourly_usd


def _cheapest(found: list[Quote]) -> Iterator[Quote]:
    for market in ("on-demand", "spot"):
        if sold := [quote for quote in found if quote.market == market]:
            yield min(sold, key=lambda quote: quote.usd)


def _offers(shelf: Shelf, found: Iterable[Quote]) -> Iterator[Offer]:
    kind, part = shelf.instance, shelf.accelerator
    known: dict[str, PriceSource] = {}
    why = NOT_LAUNCHED if part and part.vendor == "Google" else ""
    for quote in found:
        source = known.get(quote.source) or known.setdefault(quote.source, price_source(quote))
        yield Offer(
            where=kind.provider,
            machine=kind.name,
            device=part.name if part else "cpu",
            count=int(kind.accelerator_count),
            device_memory_gib=part.memory_gib if part else 0.0,
            region=quote.region,
            market=quote.market,
            vcpus=kind.vcpus,
            cores=kind.cores,
            ram_gib=kind.ram_gib,
            arch=kind.cpu_arch,
            price_per_hour=quote.usd,
            price_as_of=source.as_of,
            price_source="live" if source.source == "live" else "embedded",
            price_confidence=source.confidence,
            price_spread=source.spread,
            usable=not why,
            why_unusable=why,
        )
