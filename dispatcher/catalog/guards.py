"""What every table must hold: each guard tells the rows that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dispatcher.catalog.accelerators import accelerators, find_accelerator
from dispatcher.catalog.cpus import cpus, find_cpu
from dispatcher.catalog.instances import cpu_model, find_instance, instances
from dispatcher.catalog.models import KnownModel, models
from dispatcher.catalog.prices import PROVIDERS, Quote, price_source, quotes
from dispatcher.domain.hardware import Accelerator, Cpu, InstanceType

HOME = {"aws": "us-east-1", "gcp": "us-central1"}
"""The region that other regions' prices are compared with."""
RATIO = (0.5, 2.0)
DEAREST = 500.0
"""USD per hour above which a price is a placeholder: eight B300 list at 142."""
CHEAPEST_SPOT = 0.03
"""The least share of the on-demand price that a spot price can be."""
PARAMETER_TOLERANCE = 0.01
Prices = Mapping[str, Sequence[Quote]]


def findings() -> list[str]:
    """Everything that is wrong with the embedded tables; empty where nothing is."""
    found = [*bad_accelerators(accelerators()), *bad_cpus(cpus()), *bad_instances(instances()), *bad_models(models())]
    for provider in PROVIDERS:
        found += [fault for guard in PRICE_GUARDS for fault in guard(quotes(provider))]
    return found


def spot_not_below(prices: Prices) -> Iterator[str]:
    """Spot prices that do not undercut on demand, or do so beyond belief."""
    for machine, found in prices.items():
        listed = {quote.region: quote.usd for quote in found if quote.market == "on-demand"}
        for quote in found:
            if quote.market == "spot" and quote.region in listed:
                share = quote.usd / listed[quote.region]
                if not CHEAPEST_SPOT <= share < 1:
                    yield f"{machine} in {quote.region}: spot is {share:.0%} of the on-demand price"


def placeholders(prices: Prices) -> Iterator[str]:
    """Prices of nothing, and prices that no machine has."""
    for quote in _all(prices):
        if not 0 < quote.usd < DEAREST:
            yield f"{quote.machine} in {quote.region}: {quote.usd} USD per hour is a placeholder"


def far_from_home(prices: Prices) -> Iterator[str]:
    """On-demand prices too far from the same machine's price in the home region."""
    for machine, found in prices.items():
        listed = {quote.region: quote for quote in found if quote.market == "on-demand"}
        home = next((listed[region] for region in HOME.values() if region in listed), None)
        for quote in listed.values() if home else ():
            if home and not RATIO[0] <= quote.usd / home.usd <= RATIO[1]:
                yield f"{machine} in {quote.region}: {quote.usd / home.usd:.2f} times the price in {home.region}"


def homeless(prices: Prices) -> Iterator[str]:
    """Prices of machine types that the catalog does not describe."""
    for machine, found in prices.items():
        if found and find_instance(found[0].provider, machine) is None:
            yield f"{machine} has prices but no description"


def unsourced(prices: Prices) -> Iterator[str]:
    """Prices without a source or a date."""
    for quote in _all(prices):
        source = price_source(quote)
        if not source.source or not source.as_of:
            yield f"{quote.machine} in {quote.region}: no source or date"


PRICE_GUARDS: tuple[Callable[[Prices], Iterator[str]], ...] = (spot_not_below, placeholders, far_from_home, homeless, unsourced)


def bad_instances(kinds: Iterable[InstanceType]) -> Iterator[str]:
    """Machine types whose accelerator or processor is unknown, or whose sizes cannot be."""
    for kind in kinds:
        if kind.accelerator and (find_accelerator(kind.accelerator) is None or kind.accelerator_count <= 0):
            yield f"{kind.name}: accelerator {kind.accelerator!r} × {kind.accelerator_count} is not in the catalog"
        if cpu_model(kind) and find_cpu(cpu_model(kind)) is None:
            yield f"{kind.name}: processor {cpu_model(kind)!r} is not in the catalog"
        if not (0 < kind.cores <= kind.vcpus and kind.ram_gib > 0):
            yield f"{kind.name}: {kind.cores} cores, {kind.vcpus} threads, {kind.ram_gib} GiB cannot be"
        if not kind.source or not kind.as_of:
            yield f"{kind.name}: no source or date"


def bad_accelerators(parts: Iterable[Accelerator]) -> Iterator[str]:
    """Accelerators without source, or with figures that contradict each other."""
    names: dict[str, int] = {}
    for part in parts:
        names[part.name] = names.get(part.name, 0) + 1
        if not part.source or not part.as_of or not part.confidence:
            yield f"{part.name}: no source, date or confidence"
        if not part.memory_gib and not part.unified:
            yield f"{part.name}: no memory"
        if 0 < part.fp16_tflops < part.fp32_tflops * 0.9:
            yield f"{part.name}: fp16 is slower than fp32"
        if part.fp16_tflops and part.bf16_tflops and not 0.4 <= part.bf16_tflops / part.fp16_tflops <= 1.1:
            yield f"{part.name}: bf16 and fp16 do not go together"
    yield from (f"{name} occurs {count} times" for name, count in names.items() if count > 1)


def bad_cpus(parts: Iterable[Cpu]) -> Iterator[str]:
    """Processors without source, or whose peak is not what their cores and clock allow."""
    for part in parts:
        per_cycle = part.gflops / part.cores / part.clock_ghz if part.cores and part.clock_ghz else 0.0
        if not 7 <= per_cycle <= 65:
            yield f"{part.name}: {per_cycle:.1f} FLOP per core and cycle cannot be"
        if not part.source or not part.as_of or part.bandwidth_gbs <= 0:
            yield f"{part.name}: no source, date or bandwidth"


def bad_models(known: Iterable[KnownModel]) -> Iterator[str]:
    """Models whose dimensions do not come to their number of parameters."""
    for model in known:
        off = model.formula_parameters / model.parameters - 1 if model.parameters else 1.0
        if abs(off) > PARAMETER_TOLERANCE:
            yield f"{model.name}: its dimensions come to {off:+.1%} of its parameters"
        if not model.source or not model.as_of:
            yield f"{model.name}: no source or date"


def _all(prices: Prices) -> Iterator[Quote]:
    for found in prices.values():
        yield from found
