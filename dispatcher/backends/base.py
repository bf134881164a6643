"""Backend: where computers come from. The contract that every place to run fulfils."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.hosts.base import Host


@dataclass(frozen=True, slots=True)
class ProvisionedMachine:
    """A machine that answers to a label: where it is and how to reach it."""

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

    def provision(self, offer: Offer, label: Label) -> ProvisionedMachine:
        """Make the machine, or find the one this label has made already."""

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The machine with this label; raises when the provider's answer is not complete."""

    def connect(self, machine: ProvisionedMachine) -> Host:
        """Talk to the machine."""

    def terminate(self, label: Label) -> None:
        """Destroy everything with this label, and confirm it. Raises TeardownUnconfirmed."""

    def leftovers(self) -> Iterable[Leftover]:
        """Everything that carries a label of ours, as the provider sees it."""
