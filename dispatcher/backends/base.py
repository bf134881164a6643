"""Backend: where computers come from. The contract that every place to run fulfils."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.hosts.base import Host


@dataclass(frozen=True, slots=True)
class Terms:
    """What a rented machine is told at birth. It ends itself `max_seconds` after launch, whoever is left to see it.

    `grace_seconds`: how long it keeps what an ended job left, where nobody fetched it. `disk_gb` is decimal; `max_hourly` is
    the most that may be paid, USD. `keys` is the folder for the run's own SSH key, made where there is none. `run_name` and
    `client` go into the tags. `role` is what the machine may act as in its cloud, where it must write results there;
    `cancel` ends the waiting for it: Cancelled, and what was made is destroyed next.
    """

    max_seconds: int = 3600
    grace_seconds: int = 3600
    disk_gb: float | None = None
    max_hourly: float | None = None
    keys: Path | None = None
    run_name: str = ""
    client: str = ""
    role: str = ""
    cancel: threading.Event | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ProvisionedMachine:
    """A machine that answers to a label: where it is and how to reach it.

    `details` holds what only its backend understands, as JSON can hold it; by agreement `in_place` (it works in the user's own
    folder), `launched` (Unix seconds) and `id` (the provider's name for it).
    """

    label: Label
    where: str
    machine: str | None
    address: str = ""
    region: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something with one of our labels that the provider says exists. `usd_per_hour` is None where unknown."""

    where: str
    kind: str
    id: str
    label: Label | None
    owner: str = ""
    region: str | None = None
    age_seconds: float = 0.0
    usd_per_hour: float | None = 0.0
    tags: dict[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Laws, held by `tests/contract`: offers only reads, and is empty rather than raising when nothing fits · provision twice
    with one label makes one machine · terminate of the unknown, and twice, succeeds · after any failure of provision,
    terminate leaves no leftovers · everything made carries the label from birth · leftovers come from the provider, never
    from memory · connect gives a host whose identity was checked · NoCapacity and Quota mean "next offer".
    """

    name: str

    @property
    def owner(self) -> str:
        """Who we are to this provider, as our leftovers carry it: those of others are strangers."""

    def offers(self, need: Requirements) -> Iterable[Offer]:
        """Machines that could be had now."""

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """The offer once for each zone where it could be had, best first; the offer itself where there are no zones."""

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """Make the machine, or find the one this label has made already."""

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The machine with this label; raises when the provider's answer is not complete."""

    def connect(self, machine: ProvisionedMachine) -> Host:
        """Talk to the machine."""

    def terminate(self, label: Label) -> None:
        """Destroy everything with this label, and confirm it. Raises TeardownUnconfirmed."""

    def leftovers(self) -> Iterable[Leftover]:
        """Everything that carries a label of ours, as the provider sees it."""
