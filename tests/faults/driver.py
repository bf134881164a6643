"""Drives one run in a process of its own, and is killed where it is told to be."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from dispatcher.backends.base import Backend
from dispatcher.backends.local import LocalBackend
from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import Run
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute
from dispatcher.engine.outcome import exit_code
from dispatcher.store.store import Store
from tests.fakes import EagerClock, FakeCloud
from tests.unit.engine.conftest import HERE

COMMAND = "echo begun >> count; echo hello; echo made > out.txt; exit 3"


def backend_of(kind: str, folder: Path) -> Backend:
    return FakeCloud(folder / "cloud") if kind == "fake" else LocalBackend(folder / "runs")


def instructions(folder: Path, command: str = COMMAND) -> JobInstructions:
    counting = command.replace("count", str(folder / "count"))
    return JobInstructions(counting, folder / "work", outputs=("out.txt",), keep_awake=False, stop_grace=1.0)


def offers(kind: str, backend: Backend) -> list:
    return [HERE] if kind == "local" else list(backend.offers(Requirements()))


def main(kind: str, folder: Path, run_id: str, fatal: str) -> int:
    def checkpoint(name: str) -> None:
        with (folder / "checkpoints").open("a") as seen:
            seen.write(name + "\n")
        if name == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    backend = backend_of(kind, folder)
    with Store.open(folder / "data" / "runs.sqlite3") as store:
        ctx = Context(store, lambda _where: backend, clock=EagerClock(), checkpoint=checkpoint)
        return exit_code(execute(Run(run_id, "job"), offers(kind, backend), ctx, instructions(folder)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]))
