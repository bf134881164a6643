"""Looking through the catalog: by words, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from dispatcher.catalog.accelerators import accelerators, find_accelerator
from dispatcher.catalog.cpus import cpus, find_cpu
from dispatcher.catalog.instances import family, find_instance, instances
from dispatcher.catalog.models import KnownModel, find_model, models
from dispatcher.catalog.networks import SOURCES, Network, find_network, network_names
from dispatcher.catalog.offers import offers_of
from dispatcher.catalog.prices import PROVIDERS, price_source, quotes_of, regions
from dispatcher.domain.hardware import Accelerator, Cpu, InstanceType
from dispatcher.domain.plan import Offer

UNVERIFIED = ("recalled", "derived", "generic")
"""Confidences that rest on general knowledge alone: stated from it, or computed from it."""
Figure = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of the catalog as `catalog show` prints it. A figure that nobody states is None.

    `kind` is accelerator, machine, cpu, model or network. `verified` is False where the figures are general knowledge only.
    """

    kind: str
    name: str
    figures: dict[str, Figure]
    source: str
    as_of: str
    verified: bool = True
    prices: tuple[Offer, ...] = field(default=(), repr=False)

    def as_dict(self) -> dict[str, Any]:
        """The entry as one object of the JSON document."""
        found = {"kind": self.kind, "name": self.name, "figures": self.figures, "source": self.source, "as_of": self.as_of}
        return {**found, "verified": self.verified, "prices": [_price(offer) for offer in self.prices]}


def search(words: Iterable[str] = (), *, region: str | None = None) -> tuple[Entry, ...]:
    """Everything whose name or description holds all the words, in the tables' order."""
    wanted = [word.lower() for word in words]
    found = (entry for entry in _everything() if all(word in _text(entry) for word in wanted))
    return tuple(_priced(entry, region) for entry in found)


def compare(names: Iterable[str], *, region: str | None = None) -> tuple[Entry | None, ...]:
    """Each named thing, in this order; None for a name that is unknown."""
    return tuple(_named(name, region) for name in names)


def ages() -> tuple[tuple[str, str, str], ...]:
    """What the figures rest on: table, source and date, newest first."""
    tables: dict[str, Callable[[], Iterable[Any]]] = {
        "accelerators": accelerators,
        "cpus": cpus,
        "machines": instances,
        "models": models,
    }
    found = {(table, row.source, row.as_of) for table, rows in tables.items() for row in rows()}
    found |= {("networks", source, as_of) for source, as_of in SOURCES.values()}
    return tuple(sorted(found, key=lambda row: row[2], reverse=True))


def price_ages(entries: Iterable[Entry]) -> tuple[tuple[str, str], ...]:
    """Date and source of these machines' prices, newest first."""
    machines = [entry for entry in entries if entry.kind == "machine"]
    found = {
        (known.as_of, known.source)
        for entry in machines
        for quote in quotes_of(str(entry.figures["provider"]), entry.name)
        if (quote.market, quote.region) in {(offer.market, offer.region) for offer in entry.prices}
        for known in [price_source(quote)]
    }
    return tuple(sorted(found, reverse=True))


def known_regions() -> tuple[str, ...]:
    """Every region of which prices are known."""
    return tuple(dict.fromkeys(region for provider in PROVIDERS for region in regions(provider)))


def _everything() -> Iterator[Entry]:
    yield from (_part(part) for part in accelerators())
    yield from (_machine(kind) for kind in instances())
    yield from (_cpu(cpu) for cpu in cpus())
    yield from (_model(model) for model in models())
    yield from (_network(network) for network in map(find_network, network_names()) if network)


def _named(name: str, region: str | None) -> Entry | None:
    provider, _, machine = name.partition(":")
    for place in (provider,) if machine else PROVIDERS:
        if kind := find_instance(place, machine or name):
            return _priced(_machine(kind), region)
    if part := find_accelerator(name):
        return _part(part)
    if cpu := find_cpu(name):
        return _cpu(cpu)
    if model := find_model(name):
        return _model(model)
    network = find_network(name)
    return _network(network) if network else None


def _part(part: Accelerator) -> Entry:
    figures: dict[str, Figure] = {
        "vendor": part.vendor,
        "architecture": part.arch,
        "tier": part.tier,
        "memory_gib": part.memory_gib or None,
        "bandwidth_gbs": part.bandwidth_gbs or None,
        "fp32_tflops": part.fp32_tflops or None,
        "tf32_tflops": part.tf32_tflops or None,
        "fp16_tflops": part.fp16_tflops or None,
        "bf16_tflops": part.bf16_tflops or None,
        "fp8_tflops": part.fp8_tflops or None,
        "int8_tops": part.int8_tops or None,
        "compute_capability": part.compute_capability or None,
        "tdp_w": part.tdp_w or None,
        "year": part.year or None,
        "unified": part.unified,
    }
    return Entry("accelerator", part.name, figures, part.source, part.as_of, part.confidence not in UNVERIFIED)


def _machine(kind: InstanceType) -> Entry:
    kin = family(kind)
    figures: dict[str, Figure] = {
        "provider": kind.provider,
        "vcpus": kind.vcpus,
        "cores": kind.cores,
        "ram_gib": kind.ram_gib,
        "accelerator": kind.accelerator or None,
        "accelerators": kind.accelerator_count or None,
        "local_ssd_gb": kind.local_ssd_gb or None,
        "network_gbps": kind.network_gbps or None,
        "arch": kind.cpu_arch,
        "cpu": kin.cpu or None,
        "sold": kin.sold,
        "quota": kin.quota or None,
    }
    return Entry("machine", kind.name, figures, kind.source, kind.as_of)


def _priced(entry: Entry, region: str | None) -> Entry:
    kind = find_instance(str(entry.figures["provider"]), entry.name) if entry.kind == "machine" else None
    return replace(entry, prices=_prices(kind, region)) if kind else entry


def _prices(kind: InstanceType, region: str | None) -> tuple[Offer, ...]:
    """In this region; without one, the cheapest of each market."""
    found = offers_of(kind)
    if region:
        return tuple(offer for offer in found if offer.region == region)
    by_market = ([offer for offer in found if offer.market == market] for market in ("on-demand", "spot"))
    return tuple(min(sold, key=lambda offer: offer.price_per_hour or 0.0) for sold in by_market if sold)


def _cpu(cpu: Cpu) -> Entry:
    figures: dict[str, Figure] = {
        "vendor": cpu.vendor,
        "architecture": cpu.arch,
        "segment": cpu.segment,
        "cores": cpu.cores,
        "threads": cpu.threads,
        "gflops": cpu.gflops or None,
        "bandwidth_gbs": cpu.bandwidth_gbs or None,
        "clock_ghz": cpu.clock_ghz or None,
        "year": cpu.year or None,
    }
    return Entry("cpu", cpu.name, figures, cpu.source, cpu.as_of, verified=False)


def _model(model: KnownModel) -> Entry:
    figures: dict[str, Figure] = {
        "kind": model.kind,
        "parameters": model.parameters,
        "layers": model.layers,
        "hidden": model.hidden,
        "heads": model.heads,
        "kv_heads": model.kv_heads,
        "ffn": model.ffn,
        "vocab": model.vocab,
        "experts": model.experts or None,
        "decoder_layers": model.decoder_layers or None,
        "max_positions": model.max_positions or None,
    }
    return Entry("model", model.name, figures, model.source, model.as_of, "general knowledge" not in model.source)


def _network(network: Network) -> Entry:
    first = network.parts[0]
    figures: dict[str, Figure] = {
        "family": network.family,
        "parameters": network.parameters,
        "gmacs": round(network.gmacs, 3),
        "image_size": network.image_size,
        "kind": first.kind,
        "parts": len(network.parts),
    }
    source, as_of = SOURCES[first.source]
    return Entry("network", network.name, figures, source, as_of)


def _text(entry: Entry) -> str:
    said = (str(value) for value in entry.figures.values() if isinstance(value, str))
    return " ".join((entry.kind, entry.name, *said)).lower().replace("-", " ") + " " + entry.name.lower()


def _price(offer: Offer) -> dict[str, Any]:
    return {
        "region": offer.region,
        "market": offer.market,
        "usd_per_hour": offer.price_per_hour,
        "as_of": offer.price_as_of,
        "source": offer.price_source,
        "confidence": offer.price_confidence,
    }
