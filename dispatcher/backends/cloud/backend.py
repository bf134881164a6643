"""What the backends of clouds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from dispatcher import catalog, paths
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.caller import caller
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.launch import Launch
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.jobfile.settings import sound_settings
from dispatcher.retries import Clock, SystemClock


class Regional(Protocol):
    """Settings that name regions to look in; none for all."""

    @property
    def regions(self) -> tuple[str, ...]:
        """As the cloud names them."""


S = TypeVar("S", bound=Regional)


class CloudBackend(ABC, Generic[S]):
    """A cloud as a place to run. Every machine is told its own end in the call that makes it."""

    name: str

    def __init__(self, settings: S | None = None, *, runs: Path | None = None, clock: Clock | None = None) -> None:
        self._given = settings
        self._runs = runs
        self._clock = clock or SystemClock()
        self._folders: dict[Label, Path] = {}
        self._let_in: dict[Hashable, tuple[str, ...]] = {}

    @cached_property
    def settings(self) -> S:
        """The user's settings for this cloud."""
        found: S = self._given if self._given is not None else getattr(sound_settings()[0], self.name)
        return found

    def offers(self, need: Requirements) -> Iterable[Offer]:
        """What the catalog knows that this cloud rents; unusable where nobody is signed in."""
        place, _, region = need.where.partition("/")
        if place not in ("auto", "cloud", self.name):
            return []
        why = "" if self._signed_in() else "needs an account"
        regions = {self.name: (region,) if region else self.settings.regions}
        found = catalog.offers(replace(need, where=self.name), regions=regions)
        return [replace(one, usable=one.usable and not why, why_unusable=one.why_unusable or why) for one in found]

    def _noted(self, label: Label, terms: Terms) -> tuple[Keyring, Launch | None]:
        """Where the label's keys are, and its launch where one was written down."""
        if terms.keys:
            self._folders[label] = terms.keys
        keyring = self._keyring(label)
        return keyring, keyring.launch()

    @abstractmethod
    def _signed_in(self) -> bool:
        """Whether there are credentials at all; whether they still work is learned by asking."""

    @abstractmethod
    def _in_lab(self) -> bool:
        """Whether a stand-in is asked."""

    def _networks(self) -> tuple[str, ...]:
        """From where this computer is seen. Raises where that cannot be learned."""
        return caller(lab=self._in_lab())

    def _admitted(self, door: Hashable, let_in: Callable[[tuple[str, ...]], None]) -> None:
        """Have this computer let in through a door, from where it is now."""
        networks = self._networks()
        if self._let_in.get(door) != networks:
            let_in(networks)
            self._let_in[door] = networks

    def _keyring(self, label: Label) -> Keyring:
        return Keyring(self._folders.get(label) or (self._runs or paths.runs_dir()) / label.run, label)
