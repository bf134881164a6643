"""A store, a place to run and listeners, for tests of the engine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dispatcher.backends.local import LocalBackend
from dispatcher.backends.processes import marked
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Run, new_run_id
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute
from dispatcher.events import Event, LogBytes
from dispatcher.store.store import Store

HERE = Offer(where="local", machine=None, device="cpu")


@dataclass
class Stage:
    """Everything a run needs, in one temporary folder."""

    home: Path
    store: Store
    backend: LocalBackend
    workdir: Path
    events: list[Event] = field(default_factory=list)

    def context(self, **more) -> Context:
        given = {
            "store": self.store,
            "backend": lambda _where: self.backend,
            "emit": self.events.append,
            "runs": self.backend.runs,
        }
        return Context(**(given | more))

    def job(self, command: str, **more) -> JobInstructions:
        given = {"command": command, "workdir": self.workdir, "keep_awake": False, "stop_grace": 2.0}
        return JobInstructions(**(given | more))

    def run(self, command: str, ctx: Context | None = None, offers=(HERE,), **more) -> Run:
        return execute(Run(id=new_run_id(), name="job"), offers, ctx or self.context(), self.job(command, **more))

    def log(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, LogBytes))

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def stage(tmp_path: Path):
    workdir = tmp_path / "work folder; 'quoted'"
    workdir.mkdir()
    with Store.open(tmp_path / "data" / "runs.sqlite3") as store:
        backend = LocalBackend(tmp_path / "runs")
        yield Stage(tmp_path, store, backend, workdir)
        ours = [one for one in marked() if one.client == backend.owner]
        for one in ours:
            os.kill(one.pid, 9)
    assert [] == ours
