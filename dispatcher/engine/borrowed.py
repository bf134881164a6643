"""A machine held from an earlier run, as the place of another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dispatcher.backends.base import Backend, Leftover, ProvisionedMachine, Terms
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label, Run
from dispatcher.engine.context import Context
from dispatcher.errors import HostError, UsageError
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Host

HELD_MARKET = "held"
"""The market of an attempt whose machine is billed to the run that rented it."""


def place(ctx: Context, run: Run, where: str) -> Backend:
    """Where this run's attempts have their machines: rented for it, or lent by another run."""
    backend = ctx.backend(where)
    lender = Label.parse(str(run.job.get("on") or ""))
    return Borrowed(backend, lender) if lender else backend


class Borrowed:
    """The backend of a machine that another label rented: it is lent for a job, and stays when the job is gone."""

    def __init__(self, inner: Backend, lender: Label) -> None:
        self._inner, self._lender = inner, lender
        self.name = f"{inner.name}, on the machine of {lender}"
        self._cleared: set[Label] = set()

    @property
    def owner(self) -> str:
        """Who rented it."""
        return self._inner.owner

    def offers(self, need: Requirements) -> Iterable[Offer]:
        """It is no offer: it was rented already."""
        return []

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """Where it stands."""
        return [offer]

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """The machine that is held; it must still be there."""
        machine = self.find(label)
        if machine is None:
            raise UsageError(f"The machine of run {self._lender.run} is gone", fix="Run the job without --on.")
        return machine

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The lender's machine, until this label's job was cleared from it."""
        machine = None if label in self._cleared else self._inner.find(self._lender)
        return replace(machine, details=machine.details | {"lender": str(self._lender)}) if machine else None

    def connect(self, machine: ProvisionedMachine) -> Host:
        """As its lender does."""
        return self._inner.connect(machine)

    def terminate(self, label: Label) -> None:
        """End this label's job, and remove its folder; the machine stays held. One that is gone holds nothing."""
        machine = self._inner.find(self._lender)
        if machine is None:
            self._cleared.add(label)
            return
        host = self._inner.connect(machine)
        try:
            status = jobs.status(host, str(label))
            if status.phase != "absent" and not status.over:
                jobs.stop(host, str(label), 5.0)
            jobs.forget(host, str(label))
            self._cleared.add(label)
        except HostError:
            if self._inner.find(self._lender) is not None:
                raise
        finally:
            host.close()

    def leftovers(self) -> Iterable[Leftover]:
        """Nothing at the provider carries this run's label."""
        return []
