"""The user's other computers as places to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.jobfile.settings import Settings

DeviceOf = Callable[[Offer], Device | None]

if TYPE_CHECKING:  # a plan without such computers loads no backend
    from dispatcher.backends.base import Backend

    class Owned(Backend, Protocol):
        """A backend that also knows what formulas compute on, on computers that no catalog has."""

        def troubles(self) -> dict[str, str]:
            """Why computers are no offers, by their place."""

        def device_of(self, offer: Offer) -> Device | None:
            """The device of an offer; None where the computer was not seen."""


def owned_offers(where: str, settings: Settings) -> tuple[list[Offer], DeviceOf, dict[str, str]]:
    """Computers that may be used, each with what it has free, what formulas compute on there, and why others are no offers.

    Raises HostError where one was asked for by its name, and does not answer.
    """
    if not where.startswith("ssh") and (where != "auto" or not settings.hosts):
        return [], lambda _offer: None, {}
    from dispatcher.backends import registry

    backend = cast("Owned", registry.load(where if where.startswith("ssh:") else "ssh"))
    offers = list(backend.offers(Requirements(where=where)))
    if where.startswith("ssh:") and not offers:
        list(backend.leftovers())  # raises why it cannot be asked
    return offers, backend.device_of, backend.troubles()
