"""A rented machine's way, state by state, with time and cost."""

from __future__ import annotations

from dispatcher.app.reminders import place, price
from dispatcher.domain.run import Attempt, RunState
from dispatcher.engine.borrowed import HELD_MARKET
from dispatcher.events import AttemptStarted, Event, Sampled, StateChanged
from dispatcher.units import show_clock, show_usd

WORDS = {
    RunState.PROVISIONING: "creating the machine",
    RunState.CONNECTING: "booting; waiting until it lets us in",
    RunState.SYNCING: "sending files",
    RunState.PREPARING: "preparing its environment",
    RunState.RUNNING: "starting the job",
    RunState.COLLECTING: "bringing outputs home",
    RunState.HELD: "held",
    RunState.TERMINATING: "giving the machine back",
    RunState.FINISHED: "it is gone, and that is confirmed",
}
HELD_WORDS = WORDS | {
    RunState.PROVISIONING: "looking for the machine that is held",
    RunState.CONNECTING: "connecting",
    RunState.TERMINATING: "clearing away what the job left; the machine stays as it is",
    RunState.FINISHED: "cleared away",
}
"""On a machine that an earlier run holds."""
OWNED_WORDS = WORDS | {
    RunState.PROVISIONING: "making a folder there",
    RunState.CONNECTING: "connecting",
    RunState.HELD: "what it left waits there",
    RunState.TERMINATING: "clearing away what the job left",
    RunState.FINISHED: "cleared away, and that is confirmed",
}
"""On a computer of one's own."""
NOTHING_MADE = {
    RunState.TERMINATING: "nothing was made; what the request may have left is looked for",
    RunState.FINISHED: "nothing is left, and that is confirmed",
}
"""After a request for a machine that was refused."""
EVERY_SECONDS = 600.0
"""Between two words about a job that goes on."""


class Journey:
    """Words for the events of a run whose attempt is on another machine; none for runs here."""

    def __init__(self) -> None:
        self._attempt: Attempt | None = None
        self._state: RunState | None = None
        self._told = 0.0

    @property
    def away(self) -> bool:
        """Whether the attempt is on another machine."""
        return self._attempt is not None and self._attempt.where != "local"

    def take_up(self, attempt: Attempt | None) -> None:
        """An attempt that an earlier mlrun began."""
        self._attempt = attempt

    def words(self, event: Event) -> str:
        """What to say of an event, or ""."""
        if isinstance(event, AttemptStarted):
            self._attempt = event.attempt
            return self._offered() if self.away else ""
        if not self.away:
            return ""
        if isinstance(event, StateChanged):
            self._state, self._told = event.state, event.time
            return self._line(event.time, self._said(event.state))
        if isinstance(event, Sampled) and self._state is RunState.RUNNING and event.time - self._told > EVERY_SECONDS:
            self._told = event.time
            return self._line(event.time, "running")
        return ""

    def _said(self, state: RunState) -> str:
        attempt = self._attempt
        if attempt is not None and attempt.rented and attempt.launched is None and attempt.market != HELD_MARKET:
            return NOTHING_MADE.get(state) or self._words().get(state, str(state))
        return self._words().get(state, str(state))

    def _words(self) -> dict[RunState, str]:
        attempt = self._attempt
        assert attempt is not None
        return HELD_WORDS if attempt.market == HELD_MARKET else WORDS if attempt.rented else OWNED_WORDS

    def _offered(self) -> str:
        attempt = self._attempt
        assert attempt is not None
        if attempt.market == HELD_MARKET:
            return f"attempt {attempt.label.attempt}: {place(attempt)}, held by an earlier run"
        zone = attempt.offer.get("zone")
        market = f", {attempt.market}" if attempt.rented else ""
        cost = f", {price(attempt)} with disk and address" if attempt.rented else ""
        return f"attempt {attempt.label.attempt}: {place(attempt)}{f' {zone}' if zone else ''}{market}{cost}"

    def _line(self, now: float, words: str) -> str:
        attempt = self._attempt
        assert attempt is not None
        seconds = max(0.0, now - (attempt.launched or now))
        cost = seconds / 3600 * ((attempt.price_per_hour or 0.0) + attempt.beside_per_hour)
        spent = f"  {show_usd(cost)}" if attempt.rented and attempt.market != HELD_MARKET else ""
        return f"{show_clock(seconds):>5}{spent}  {words}"
