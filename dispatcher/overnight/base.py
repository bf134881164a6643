"""What a cloud does for nights, and what it tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dispatcher.domain.plan import Offer
from dispatcher.overnight.bundle import Bundle
from dispatcher.overnight.night import Night


@dataclass(frozen=True, slots=True)
class Trigger:
    """A schedule of ours that stands in a cloud: its name, the night's id, and when it fires, as the cloud says it."""

    name: str
    night: str
    region: str
    when: str
    zone: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """How a night stands.

    `phase`: waiting (its time has not come, or the trigger still stands), running, over (its machine said how), gone (it had a
    machine, that did not), never (none was started), unknown (nobody can say yet). `words` say why; `alive` while a machine of
    it exists; `place` is where in the bucket its machine writes.
    """

    phase: str
    words: str = ""
    reason: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    partial: dict[str, Any] = field(default_factory=dict)
    place: str = ""
    alive: bool = False
    stands: bool = False


class Nights(Protocol):
    """One cloud's side of it. Nothing here is written down on this computer."""

    def lacking(self, region: str) -> list[str]:
        """What the account needs once and has not, in words."""

    def unset_secrets(self, region: str, names: Iterable[str]) -> dict[str, str]:
        """Secrets that the cloud does not hold, and the command that puts each there."""

    def prepare(self, night: Night, offers: Sequence[Offer]) -> Night:
        """The night with its bucket, its ladder, its prices: looked up, nothing made."""

    def arm(self, night: Night, bundle: Bundle, offers: Sequence[Offer], keys: Path) -> Night:
        """Upload, make the template, have permissions checked, and create the trigger; undone where one of them fails."""

    def triggers(self, regions: Sequence[str]) -> list[Trigger]:
        """Every trigger of ours, whichever computer made it."""

    def recall(self, trigger: Trigger) -> Night | None:
        """The record of a trigger's night, as its bucket keeps it."""

    def disarm(self, night: Night) -> None:
        """Delete trigger and template. Raises TeardownUnconfirmed where the trigger may still fire."""

    def start_now(self, night: Night) -> None:
        """Start it at once, by the token with which the trigger would: together they make one machine."""

    def look(self, night: Night, now: float) -> Seen:
        """How it stands."""

    def part(self, night: Night, seen: Seen, number: int) -> Seen:
        """How one of its jobs in turn went, counted from 1."""

    def bring_log(self, seen: Seen, night: Night, folder: Path) -> None:
        """Its output, and setup's, into a folder."""

    def bring_files(self, seen: Seen, night: Night, rows: Sequence[dict[str, Any]], folder: Path) -> None:
        """Outputs, verified, below a folder."""
