"""The plan as data: needs, places, time and cost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from dispatcher.domain.hardware import Machine

SCHEMA = "1.0"


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with its uncertainty; `low` to `high` is meant to hold nine times in ten."""

    low: float
    likely: float
    high: float

    @classmethod
    def around(cls, likely: float, down: float, up: float) -> Range:
        """The range likely·(1−down) … likely·(1+up)."""
        return cls(likely * (1 - down), likely, likely * (1 + up))

    def scaled(self, factor: float) -> Range:
        """The same range in another unit."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)

    def as_dict(self) -> dict[str, float]:
        """Low, likely and high, rounded to six figures."""
        return {"low": figures(self.low), "likely": figures(self.likely), "high": figures(self.high)}


@dataclass(frozen=True, slots=True)
class Amount:
    """An estimated amount with the terms it is the sum of, and how it is known: formula, traced, measured or stated.

    `range.likely` equals the sum of `terms`. GiB for memory, GB for disk.
    """

    range: Range
    terms: dict[str, float] = field(default_factory=dict)
    basis: str = "formula"

    @property
    def known(self) -> bool:
        """Whether anybody said or computed it: a job that is not described has needs that are unknown, not zero."""
        return self.basis != "stated" or bool(self.terms)

    def as_dict(self, unit: str = "gib") -> dict[str, Any]:
        """The range, its basis, and the terms under `terms_<unit>`; what nobody knows is None, not nothing."""
        if not self.known:
            return {"low": None, "likely": None, "high": None, "basis": "unknown", f"terms_{unit}": {}}
        terms = {name: figures(value) for name, value in self.terms.items()}
        return {**self.range.as_dict(), "basis": self.basis, f"terms_{unit}": terms}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the job needs, on the device it was asked for. Zero or None where the work has no such figure.

    `gpu_memory` is that of each of `gpu_count` accelerators of the kind `gpu_device`.
    """

    gpu_memory: Amount | None
    ram: Amount
    disk: Amount
    flops_total: float | None = None
    flops_per_step: float | None = None
    parameters: float | None = None
    trainable_parameters: float | None = None
    gpu_device: str = ""
    gpu_count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The document's `estimate`."""
        return {
            "gpu_memory_gib": self.gpu_memory.as_dict() if self.gpu_memory else None,
            "gpu_device": self.gpu_device or None,
            "gpu_count": self.gpu_count if self.gpu_memory else 0,
            "ram_gib": self.ram.as_dict(),
            "disk_gb": self.disk.as_dict("gb"),
            "flops_total": _maybe(self.flops_total),
            "flops_per_step": _maybe(self.flops_per_step),
            "parameters": _maybe(self.parameters),
            "trainable_parameters": _maybe(self.trainable_parameters),
        }


@dataclass(frozen=True, slots=True)
class GpuRequest:
    """One acceptable kind of GPU: a name, or a span of memory (GiB, nameplate), and how many of them."""

    name: str | None = None
    min_memory_gib: float = 0.0
    max_memory_gib: float | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a machine must have. `gpus` empty with `gpu_count` 0 means CPU only; GiB, disk in GB."""

    gpu_count: int = 0
    gpu_memory_gib: float = 0.0
    gpus: tuple[GpuRequest, ...] = ()
    min_compute_capability: float = 0.0
    cpus: float = 0.0
    ram_gib: float = 0.0
    disk_gb: float = 0.0
    arch: str | None = None
    spot: bool | None = None
    max_hourly_usd: float | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None
    where: str = "auto"


@dataclass(frozen=True, slots=True)
class Offer:
    """A machine that could be had. USD per hour; None for a price nobody states (never 0 for unknown).

    `where` is local, aws, gcp or ssh:<host>; `market` is on-demand, spot or owned. `usable` is False for a cloud without
    credentials: priced, never chosen. `price_spread` is the relative uncertainty of the price.
    """

    where: str
    machine: str | None
    device: str
    count: int = 0
    device_memory_gib: float = 0.0
    device_memory_free_gib: float | None = None
    region: str | None = None
    zone: str | None = None
    market: str = "owned"
    vcpus: float = 0.0
    cores: float = 0.0
    ram_gib: float = 0.0
    ram_available_gib: float | None = None
    disk_gb: float | None = None
    arch: str = "x86_64"
    price_per_hour: float | None = 0.0
    price_as_of: str = ""
    price_source: str = ""
    price_confidence: str = "seen"
    price_spread: float = 0.0
    usable: bool = True
    why_unusable: str = ""

    @property
    def place(self) -> str:
        """aws g5.xlarge; ssh:desk, as a computer of one's own has no type."""
        return f"{self.where} {self.machine}" if self.machine else self.where


@dataclass(frozen=True, slots=True)
class Tariff:
    """What runs beside a machine's price: USD per GB-month of disk, per hour of address, per GB downloaded."""

    disk_gb_month: float = 0.0
    address_hour: float = 0.0
    egress_gb: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Money for the whole job in USD; `worst_case` runs from create to confirmed deletion.

    `range` is None where the job's time is unknown: the hard stop still bounds the cost. `beside_per_hour` is what disk and
    address cost, USD per hour, beside the machine.
    """

    range: Range | None
    worst_case: float
    parts: dict[str, float] = field(default_factory=dict)
    beside_per_hour: float = 0.0

    @property
    def likely(self) -> float | None:
        """The likely cost; None where the job's time is unknown."""
        return self.range.likely if self.range else None

    def as_dict(self) -> dict[str, float | None]:
        """Low, likely, high and worst_case."""
        span = self.range.as_dict() if self.range else dict.fromkeys(("low", "likely", "high"))
        return {**span, "worst_case": figures(self.worst_case)}


ENDS = ("low", "likely", "high")
OVER_BUDGET = "not within the budget: "


@dataclass(frozen=True, slots=True)
class Candidate:
    """One offer with what the job would need, take and cost there.

    `fits` says that the likely need does, `surely` that the high end does too. `hours` spans create to confirmed deletion;
    `headroom` is the share of the memory left free at the likely peak. `changes` are settings that must differ from the job
    as written for it to run here, `learned` the factors that past runs put on its seconds and memory.

    Whatever happens, the machine ends `hard_stop_seconds` after launch, which the limit `stopped_by` set ("" for none), and
    `grace_seconds` later at most. Of the run, `fetching_seconds` go by while it fetches its data and weights.
    """

    offer: Offer
    fits: bool
    memory: Amount | None
    memory_available_gib: float
    headroom: float
    hours: Range | None = None
    hours_basis: str = "formula"
    step_seconds: Range | None = None
    samples_per_second: Range | None = None
    cost: Cost | None = None
    hard_stop_seconds: float | None = None
    grace_seconds: float = 3600.0
    stopped_by: str = ""
    phases_seconds: dict[str, float] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    surely: bool = True
    notes: tuple[str, ...] = ()
    learned: dict[str, float] = field(default_factory=dict)
    fetching_seconds: float = 0.0

    @property
    def over_budget(self) -> bool:
        """Whether it was asked for by name, and the job's own limits rule it out."""
        return any(note.startswith(OVER_BUDGET) for note in self.notes)

    def as_dict(self) -> dict[str, Any]:
        """One entry of the document's `candidates`."""
        offer = self.offer
        span = {key: value for key, value in self.memory.as_dict().items() if key in ENDS} if self.memory else None
        memory = {**span, "available": figures(self.memory_available_gib)} if span else None
        hours = {**self.hours.as_dict(), "basis": self.hours_basis} if self.hours else None
        return {
            "where": offer.where,
            "machine": offer.machine,
            "device": offer.device,
            "count": offer.count,
            "region": offer.region,
            "market": offer.market,
            "fits": self.fits,
            "surely": self.surely,
            "headroom": figures(self.headroom),
            "memory_gib": memory,
            "hours": hours,
            "step_seconds": self.step_seconds.as_dict() if self.step_seconds else None,
            "samples_per_second": self.samples_per_second.as_dict() if self.samples_per_second else None,
            "price_per_hour": offer.price_per_hour,
            "price_as_of": offer.price_as_of,
            "price_source": offer.price_source,
            "cost_usd": self.cost.as_dict() if self.cost else None,
            "phases_seconds": {name: figures(value) for name, value in self.phases_seconds.items()},
            "fetching_seconds": figures(self.fetching_seconds),
            "stopped_by": self.stopped_by or None,
            "changes": self.changes,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an offer is not among the candidates."""

    where: str
    machine: str | None
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """One entry of the document's `rejected`."""
        return {"where": self.where, "machine": self.machine, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change of settings that helps. `bound` says whether mlrun can make it; `effect` says it in words."""

    change: dict[str, Any]
    bound: bool
    effect: str
    gpu_memory_gib: float | None = None
    ram_gib: float | None = None
    slowdown: float = 1.0
    changes_results: str = ""
    edit: str = ""

    def as_dict(self) -> dict[str, Any]:
        """One entry of the document's `suggestions`."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Here:
    """This machine's verdict, with its reasons as sentences."""

    capable: bool
    reasons: tuple[str, ...]
    machine: Machine | None = None
    checks: tuple[tuple[str, float, float], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The document's `here`."""
        return {"capable": self.capable, "reasons": list(self.reasons), "machine": _flat(self.machine)}


@dataclass(frozen=True, slots=True)
class JobSummary:
    """Which job a plan is for: enough to refuse the plan when the job has changed."""

    name: str
    file: str | None
    sha256: str
    origins: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job's needs, this machine's verdict, ranked candidates and the choice. Nothing has been done yet.

    `by_hand`: the choice is the user's own, and has to be said again to be run. `probe` is what a short run here showed, empty
    without one.
    """

    job: JobSummary
    estimate: Estimate
    here: Here
    candidates: tuple[Candidate, ...] = ()
    choice: int | None = None
    by_hand: bool = False
    rejected: tuple[Rejection, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    warnings: tuple[str, ...] = ()
    not_included: tuple[str, ...] = ("tax",)
    work: str = ""
    prefer: str = "cheap"
    sends: dict[str, Any] = field(default_factory=dict)
    explain: tuple[str, ...] = ()
    probe: dict[str, Any] = field(default_factory=dict)

    @property
    def chosen(self) -> Candidate | None:
        """The candidate that a run would execute."""
        return None if self.choice is None else self.candidates[self.choice]

    @property
    def with_changes(self) -> int | None:
        """The first option that could be started at once, with settings that mlrun changes; None where there is none."""
        return next((i for i, one in enumerate(self.candidates) if one.changes and one.surely and one.offer.usable), None)

    def picked(self, index: int) -> Plan:
        """The same plan with another choice. Raises IndexError."""
        if not 0 <= index < len(self.candidates):
            raise IndexError(index)
        return replace(self, choice=index)

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of interface version 1.0."""
        job = self.job
        return {
            "schema": SCHEMA,
            "job": {"name": job.name, "file": job.file, "sha256": job.sha256, "origins": job.origins},
            "estimate": self.estimate.as_dict(),
            "here": self.here.as_dict(),
            "candidates": [candidate.as_dict() for candidate in self.candidates],
            "choice": self.choice,
            "rejected": [rejection.as_dict() for rejection in self.rejected],
            "suggestions": [suggestion.as_dict() for suggestion in self.suggestions],
            "warnings": list(self.warnings),
            "not_included": list(self.not_included),
            "work": self.work,
            "sends": self.sends,
            "explain": list(self.explain),
            "probe": self.probe or None,
        }


def figures(value: float, digits: int = 6) -> float:
    """`value` with so many significant figures: documents stay readable and comparable."""
    return float(f"{value:.{digits}g}")


def _maybe(value: float | None) -> float | None:
    return None if value is None else figures(value)


def _flat(machine: Machine | None) -> dict[str, Any]:
    if machine is None:
        return {}
    from dataclasses import asdict

    return asdict(machine)
