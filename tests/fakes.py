"""Stand-ins with behaviour: a clock that obeys, a cloud that bills."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.backends.processes import end
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, HostUnreachable, NoCapacity, Quota
from dispatcher.hosts.local import LocalHost
from dispatcher.retries import Clock, SystemClock


class FakeClock:
    """Time that passes only when told to, or while somebody sleeps on it."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self._now += max(0.0, seconds)
        return cancel is not None and cancel.is_set()

    def pass_time(self, seconds: float) -> None:
        self._now += seconds


class EagerClock(SystemClock):
    """The system's time, on which nobody sleeps long: a cloud's minutes are this test's milliseconds."""

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        return super().sleep(min(seconds, 0.02), cancel)


FAULTS = {
    "before": HostUnreachable("the request did not leave"),
    "after": HostUnreachable("the answer was lost"),
    "refused": CloudRefused("no"),
    "capacity": NoCapacity("none left"),
    "quota": Quota("not for you"),
}


class FakeCloud:
    """A cloud of folders. What it holds is in files, so that one process can be killed and another find it all.

    `faults` names, per verb, what its next calls meet: `before` and `after` the effect, `refused`, `capacity`, `quota`;
    "" lets a call pass. A terminated machine is still shown for `slow_to_end` looks. `zones` are where an offer can be had,
    `full` what provisioning meets there.
    """

    name = "fake"
    owner = "tester"

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        faults: dict[str, list[str]] | None = None,
        slow_to_end: int = 0,
        price: float = 1.0,
        zones: tuple[str, ...] = (),
        full: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        self.faults = faults or {}
        self.slow_to_end = slow_to_end
        self.price = price
        self.zones = zones
        self.full = full or {}
        (folder / "instances").mkdir(parents=True, exist_ok=True)

    def offers(self, need: Requirements) -> Iterable[Offer]:
        if need.ram_gib > 64:
            return []
        return [Offer(where=self.name, machine="m1", device="cpu", ram_gib=64, market="on-demand", price_per_hour=self.price)]

    def placements(self, offer: Offer) -> Iterable[Offer]:
        return [replace(offer, zone=zone) for zone in self.zones] or [offer]

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        if offer.zone in self.full or offer.region in self.full:
            raise FAULTS[self.full.get(offer.zone) or self.full[offer.region]]
        with self._meeting("provision"):
            if self._state(label) is None:
                (self.folder / "hosts" / str(label)).mkdir(parents=True)
                self._write(
                    label,
                    {
                        "launched": self.clock.now(),
                        "ended": None,
                        "looks": self.slow_to_end,
                        "owner": self.owner,
                        "max_seconds": terms.max_seconds,
                        "client": terms.client,
                        "name": terms.run_name,
                    },
                )
        return self._machine(label)

    def find(self, label: Label) -> ProvisionedMachine | None:
        with self._meeting("find"):
            return self._machine(label) if self._shown(label) else None

    def connect(self, machine: ProvisionedMachine) -> LocalHost:
        with self._meeting("connect"):
            return LocalHost(Path(machine.address))

    def terminate(self, label: Label) -> None:
        with self._meeting("terminate"):
            state = self._state(label)
            if state and state["ended"] is None:
                assert end(label, SystemClock()) == []
                shutil.rmtree(self.folder / "hosts" / str(label))
                self._write(label, state | {"ended": self.clock.now()})

    def leftovers(self) -> Iterator[Leftover]:
        with self._meeting("leftovers"):
            for label in self.labels():
                if self._shown(label):
                    state = self._state(label)
                    age = self.clock.now() - state["launched"]
                    yield Leftover(
                        self.name, "instance", f"i-{label}", label, state["owner"], age_seconds=age, usd_per_hour=self.price,
                        tags=self.tags(label, state),
                    )  # fmt: skip

    def tags(self, label: Label, state: dict) -> dict[str, str]:
        """As a provider keeps them."""
        known = {"mlrun-client": state.get("client"), "mlrun-name": state.get("name")}
        return {"mlrun-run": label.run, "mlrun-max-seconds": str(state.get("max_seconds", 3600))} | {
            name: text for name, text in known.items() if text
        }

    def labels(self) -> list[Label]:
        """Every machine there ever was."""
        return sorted((Label.parse(file.stem) for file in (self.folder / "instances").glob("*.json")), key=str)

    def alive(self) -> list[Label]:
        """The machines that are billed for now: the truth, whatever the listing shows."""
        return [label for label in self.labels() if self._state(label)["ended"] is None]

    def billed(self) -> dict[str, float]:
        """Seconds billed so far, per label."""
        states = {str(label): self._state(label) for label in self.labels()}
        return {label: (state["ended"] or self.clock.now()) - state["launched"] for label, state in states.items()}

    def adopt_stranger(self, label: Label, owner: str) -> None:
        """A machine with our kind of label that somebody else made."""
        self.provision(Offer(where=self.name, machine="m1", device="cpu"), label, Terms())
        self._write(label, self._state(label) | {"owner": owner})

    def age(self, label: Label, seconds: float) -> None:
        """Make a machine older than it is."""
        state = self._state(label)
        self._write(label, state | {"launched": state["launched"] - seconds})

    def _meeting(self, verb: str) -> _Meeting:
        waiting = self.faults.get(verb)
        return _Meeting(waiting.pop(0) if waiting else "")

    def _machine(self, label: Label) -> ProvisionedMachine:
        return ProvisionedMachine(label, self.name, "m1", address=str(self.folder / "hosts" / str(label)))

    def _shown(self, label: Label) -> bool:
        state = self._state(label)
        if state is None or (state["ended"] is not None and state["looks"] <= 0):
            return False
        if state["ended"] is not None:
            self._write(label, state | {"looks": state["looks"] - 1})
        return True

    def _state(self, label: Label) -> dict | None:
        try:
            return json.loads((self.folder / "instances" / f"{label}.json").read_text())
        except FileNotFoundError:
            return None

    def _write(self, label: Label, state: dict) -> None:
        part = self.folder / "instances" / f"{label}.part"
        part.write_text(json.dumps(state))
        part.replace(part.with_suffix(".json"))


class _Meeting:
    """A call that meets a fault before or after its effect."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def __enter__(self) -> None:
        if self._fault and self._fault != "after":
            raise FAULTS[self._fault]

    def __exit__(self, *error: object) -> None:
        if self._fault == "after" and error[0] is None:
            raise FAULTS["after"]


def wait_for(path: Path, seconds: float = 10.0) -> None:
    """Wait until a job has made a file."""
    give_up = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < give_up, f"{path} did not come"
        time.sleep(0.01)
