"""Drives one run on a computer over SSH, in a process of its own: begun where it is not yet, else taken up."""

from __future__ import annotations

import sys
from pathlib import Path

from dispatcher.backends.ssh import SshBackend
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Run
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute, resume
from dispatcher.engine.outcome import exit_code
from dispatcher.events import Event, LogBytes, Warned
from dispatcher.jobfile.settings import ListedHost
from dispatcher.store.store import Store

DESK = Offer(where="ssh:desk", machine=None, device="cpu", market="owned")


def tell(event: Event) -> None:
    if not isinstance(event, LogBytes):
        print(event.message if isinstance(event, Warned) else event, flush=True)


def main(folder: Path, run_id: str, command: str, outputs: str) -> int:
    backend = SshBackend({"desk": ListedHost(ssh="desk")}, runs=folder / "runs")
    job = JobInstructions(
        command, folder / "work", outputs=tuple(outputs.split()), keep_awake=False, stop_grace=1.0, deadline_seconds=7200
    )
    with Store.open(folder / "data" / "runs.sqlite3") as store:
        ctx = Context(store, lambda _where: backend, emit=tell, runs=folder / "runs")
        known = any(one.id == run_id and one.attempts for one in store.recent())
        run = resume(run_id, ctx) if known else execute(Run(run_id, "job"), [DESK], ctx, job)
        return exit_code(run)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:5]))
