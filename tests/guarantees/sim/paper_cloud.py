"""A cloud of one class, quick enough for thousands of runs: late listings, lost answers, machines that end themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.domain.plan import Offer, Requirements
from dispatcher.domain.run import Label
from dispatcher.errors import HostUnreachable, LoginNeeded, NoCapacity, TeardownUnconfirmed
from dispatcher.hosts.base import End, Entry, Exit, Tree
from tests.guarantees.sim.computers import OUTPUT, Answer, Computer, Computers
from tests.lab.clock import PaperClock

OFFERS = tuple(
    Offer("paper", "m1", "cpu", region=region, market="on-demand", ram_gib=64, price_per_hour=1.0)
    for region in ("north", "south")
)
QUIET = 900.0
LAG = 30.0


@dataclass
class Machine:
    """What was made, when, and what it was told."""

    label: Label
    born: float
    terms: Terms
    owner: str
    ended: float | None = None
    contacted: bool = False
    job_ended: float | None = None


@dataclass
class Truth:
    """The cloud itself: it outlives every process of ours. `weather` is what the next calls meet."""

    clock: PaperClock
    machines: list[Machine] = field(default_factory=list)
    weather: list[str] = field(default_factory=list)
    signed_in: bool = True
    computers: Computers = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.computers = Computers(self.clock, self._contacted, self._job_ended)
        self.computers.seconds = 900.0

    def of(self, label: Label) -> list[Machine]:
        return [one for one in self.machines if one.label == label]

    def make(self, label: Label, terms: Terms) -> None:
        if self.of(label):
            return
        made = Machine(label, self.clock.now(), terms, "me")
        self.machines.append(made)
        self.computers.known[str(label)] = Computer(str(label), "key")
        self.clock.later(terms.max_seconds, lambda: self.end(made))
        self.clock.later(1200.0, lambda: None if made.contacted else self.end(made))

    def end(self, machine: Machine) -> None:
        if machine.ended is None:
            machine.ended = self.clock.now()

    def alive(self, label: Label | None = None) -> list[Machine]:
        return [one for one in self.machines if one.ended is None and label in (None, one.label)]

    def _contacted(self, host: str) -> None:
        for one in self.machines:
            one.contacted |= str(one.label) == host

    def _job_ended(self, host: str) -> None:
        for one in self.machines:
            if str(one.label) == host:
                one.job_ended = self.clock.now()
                self.clock.later(one.terms.grace_seconds, lambda one=one: self.end(one))


class PaperCloud:
    """A Backend, as one process of ours has it. `effect` hears of every call before it is made, and may not return.

    `notes` are what this computer's disk keeps of launches; they outlive the process.
    """

    name, owner = "paper", "me"

    def __init__(self, truth: Truth, clock: Any, effect: Callable[[str], None], notes: dict[Label, float]) -> None:
        self.truth, self.clock, self.effect, self.notes = truth, clock, effect, notes

    def offers(self, need: Requirements) -> Iterable[Offer]:
        return OFFERS

    def placements(self, offer: Offer) -> Iterable[Offer]:
        return [replace(offer, zone=zone) for zone in ("a", "b")]

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        self._ask("provision")
        met = self._met()
        self.effect("note")
        self.notes[label] = self.truth.clock.now()
        self.effect("send")
        if met == "no capacity":
            del self.notes[label]
            raise NoCapacity("nothing left")
        if met == "late":
            self.truth.clock.later(90.0, lambda: self.truth.make(label, terms))
        else:
            self.truth.make(label, terms)
        if met in ("late", "lost"):
            raise HostUnreachable("the answer was lost")
        self.clock.sleep(LAG)
        return self._machine(label)

    def find(self, label: Label) -> ProvisionedMachine | None:
        self._ask("find")
        now = self.truth.clock.now()
        seen = [one for one in self.truth.of(label) if now - one.born >= LAG]
        if any(one.ended is None for one in seen):
            return self._machine(label)
        if not seen and now - self.notes.get(label, -QUIET) < QUIET:
            raise HostUnreachable("it may not be shown yet")
        return None

    def connect(self, machine: ProvisionedMachine) -> PaperHost:
        self._ask("connect")
        host = PaperHost(self, machine.label)
        host.run(["touch", "/contact"])
        return host

    def terminate(self, label: Label) -> None:
        self._ask("terminate")
        met = self._met()
        self.effect("terminate")
        if met == "lost":
            raise TeardownUnconfirmed("the answer was lost")
        while not self.truth.of(label) and self.truth.clock.now() - self.notes.get(label, -QUIET) < QUIET:
            self.clock.sleep(30.0)
        for one in self.truth.alive(label):
            self.truth.end(one)

    def leftovers(self) -> Iterator[Leftover]:
        self._ask("leftovers")
        now = self.truth.clock.now()
        for one in self.truth.alive():
            if now - one.born >= LAG:
                tags = {"mlrun-max-seconds": str(one.terms.max_seconds), "mlrun-client": one.terms.client}
                yield Leftover("paper", "instance", str(one.label), one.label, one.owner, age_seconds=now - one.born, tags=tags)

    def _ask(self, verb: str) -> None:
        self.effect(f"ask {verb}")
        if not self.truth.signed_in:
            raise LoginNeeded("your login has expired")

    def _met(self) -> str:
        return self.truth.weather.pop(0) if self.truth.weather else ""

    @staticmethod
    def _machine(label: Label) -> ProvisionedMachine:
        return ProvisionedMachine(label, "paper", "m1", str(label))


class PaperHost:
    """A computer of that cloud."""

    agent = ("python3", "/agent")
    root = "/runs"

    def __init__(self, cloud: PaperCloud, label: Label) -> None:
        self.cloud, self.label, self.name = cloud, label, str(label)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", on_output: object = None) -> Exit:
        if any(word in argv for word in ("start", "stop", "touch")):
            self.cloud.effect("host")
        self._reach()
        done: Answer = self.cloud.truth.computers.shell(self.name, list(argv), stdin)
        return Exit(done.code or 0, done.stdout, done.stderr)

    def push(self, tree: Tree, remote: str) -> None:
        self.cloud.effect("files")
        self._reach()

    def read(self, remote: str, offset: int) -> Iterator[bytes]:
        while True:
            self._reach()
            yield b""

    def follow(self, label: str, offset: int) -> Iterator[bytes | End | None]:
        while True:
            self._reach()
            fresh, ended, size = self.cloud.truth.computers.log(self.name, label, offset)
            if fresh:
                offset += len(fresh)
                yield fresh
            elif ended:
                yield End(ended, size)
            else:
                self.cloud.clock.sleep(60.0)
                yield None

    def pull(self, entries: Sequence[Entry], remote: str, local: Path) -> None:
        self._reach()
        for entry in entries:
            (local / entry.path).write_bytes(OUTPUT)

    def close(self) -> None:
        """There is no connection."""

    def _reach(self) -> None:
        self.cloud.effect("reach")
        if not self.cloud.truth.alive(self.label):
            raise HostUnreachable(f"{self.name} does not answer")
