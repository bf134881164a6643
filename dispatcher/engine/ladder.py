"""From one refusal to the next place: zone, region, type, market."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dispatcher.domain.plan import Offer
from dispatcher.engine.context import Context
from dispatcher.errors import MlrunError, NoCapacity, Preempted, Quota
from dispatcher.events import Warned

COOL_SECONDS = 1800.0
"""So long no machine is asked for where one was taken back."""
LADDER_SECONDS = 900.0
"""After so long no further place is tried: whoever waits wants an answer."""


class Ladder:
    """Offers, each in every place where it could be had, best first; what is known to refuse is left out.

    `error` is why it ended early, if it did.
    """

    def __init__(self, offers: Iterable[Offer], ctx: Context, run: str) -> None:
        self._offers, self._ctx, self._run = offers, ctx, run
        self._begun = ctx.clock.monotonic()
        self._full: set[tuple[str, str | None, str]] = set()
        self._taken: dict[tuple[str, str | None, str], float] = {}
        self._tried = 0
        self.error: MlrunError | None = None

    def __iter__(self) -> Iterator[Offer]:
        for offer in self._offers:
            for place in self._places(offer):
                if _kind(place) in self._full or self._hot(place):
                    continue
                if self._tried and self._ctx.clock.monotonic() - self._begun > LADDER_SECONDS:
                    self._say(f"No further place is tried after {LADDER_SECONDS / 60:.0f} minutes of refusals")
                    return
                self._tried += 1
                yield place

    def refused(self, offer: Offer, error: BaseException | None) -> None:
        """A quota holds for a whole region, in one market; a lack of capacity for the zone only, as machines taken back do."""
        now = self._ctx.clock.monotonic()
        if isinstance(error, Quota):
            self._full.add(_kind(offer))
        if isinstance(error, Preempted):
            self._taken[_spot(offer)] = self._begun = now

    def _hot(self, offer: Offer) -> bool:
        taken = self._taken.get(_spot(offer))
        return taken is not None and self._ctx.clock.monotonic() - taken < COOL_SECONDS

    def _places(self, offer: Offer) -> Iterator[Offer]:
        if self.error or _kind(offer) in self._full:
            return
        try:
            found = False
            for place in self._ctx.backend(offer.where).placements(offer):
                found = True
                yield place
            if not found:
                self._say(f"{offer.place} is not to be had in {offer.region}")
        except (NoCapacity, Quota) as error:
            self.error_of_place(offer, error)
        except MlrunError as error:
            self.error = error

    def error_of_place(self, offer: Offer, error: MlrunError) -> None:
        """The place said no before anything was asked of it."""
        self.refused(offer, error)
        self._say(f"{offer.place} in {offer.region}: {error.message}")

    def _say(self, words: str) -> None:
        self._ctx.tell(Warned(self._run, self._ctx.clock.now(), words))


def _kind(offer: Offer) -> tuple[str, str | None, str]:
    return offer.where, offer.region, offer.market


def _spot(offer: Offer) -> tuple[str, str | None, str]:
    return offer.where, offer.zone or offer.region, offer.market
