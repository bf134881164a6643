"""The product in this process, against a world: for what needs no kill."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from dispatcher.backends.base import Backend
from dispatcher.backends.cloud import reach
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Run, new_run_id
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute
from dispatcher.events import Event, Warned
from dispatcher.store.store import Store
from tests.guarantees.sim.desk import DeskClock, opener, sdks_on
from tests.guarantees.sim.driver import DEADLINE, GRACE, OFFERS, _loader, backend_of
from tests.guarantees.sim.world import World, world

LAUNCH = {"aws": "RunInstances", "gcp": "instances.insert"}
TERMINATE = {"aws": "TerminateInstances", "gcp": "instances.delete"}


class Direct:
    """The desk, without a way to go."""

    def __init__(self, there: World) -> None:
        self.there = there

    def ask(self, name: str, *arguments: Any) -> Any:
        return getattr(self.there, name)(*arguments)


@dataclass
class Inside:
    """A world, a computer with mlrun on it, and what it said."""

    world: World
    folder: Path
    clock: DeskClock
    store: Store
    backend: Backend
    said: list[Event] = field(default_factory=list)

    @property
    def offer(self) -> Offer:
        return OFFERS[self.world.cloud]

    def context(self, **more: Any) -> Context:
        given = {"store": self.store, "backend": lambda _where: self.backend, "clock": self.clock, "emit": self.said.append}
        return Context(**(given | {"runs": self.folder / "runs"} | more))

    def job(self, **more: Any) -> JobInstructions:
        given = {"command": "train", "workdir": self.folder / "work", "outputs": ("out.txt",)}
        return JobInstructions(**(given | {"deadline_seconds": DEADLINE, "grace_seconds": GRACE} | more))

    def run(self, offers: Sequence[Offer] = (), ctx: Context | None = None, **job: Any) -> Run:
        return execute(Run(new_run_id(), "job"), offers or [self.offer], ctx or self.context(), self.job(**job))

    def warnings(self) -> str:
        return " ".join(one.message for one in self.said if isinstance(one, Warned))

    def reset(self) -> None:
        """Another lab; the record stays."""
        self.world.reset()
        self.said.clear()
        self.backend = backend_of(self.world.cloud, self.folder / "runs", self.clock)


@contextlib.contextmanager
def inside(cloud: str, skew: Callable[[float], float] = lambda _true: 0.0) -> Iterator[Inside]:
    """Gone at the end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-sim-", ignore_cleanup_errors=True)))
        there = stack.enter_context(world(cloud, folder))
        stack.enter_context(mock.patch.dict(os.environ, there.environment()))
        stack.enter_context(mock.patch("botocore.session.create_loader", _loader))
        clock = DeskClock(Direct(there), skew)  # type: ignore[arg-type]
        stack.enter_context(sdks_on(clock, cloud))
        opened = type("Opened", (), {"open": staticmethod(opener(clock.desk, clock, lambda _effect: None))})
        stack.enter_context(mock.patch.object(reach, "SshHost", opened))
        (folder / "work").mkdir()
        (folder / "work" / "train.py").write_text("print('trained')\n")
        store = stack.enter_context(Store.open(folder / "data" / "runs.sqlite3", clock))
        yield Inside(there, folder, clock, store, backend_of(cloud, folder / "runs", clock))
