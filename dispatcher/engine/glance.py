"""A short look at jobs elsewhere that nobody follows: which have ended?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from dispatcher.domain.run import Run, RunState
from dispatcher.engine import holding
from dispatcher.engine.borrowed import place
from dispatcher.engine.context import Context, JobInstructions, Work
from dispatcher.engine.following import record_end
from dispatcher.engine.lifecycle import resume
from dispatcher.engine.outcome import conclude
from dispatcher.errors import MlrunError, RunBusy
from dispatcher.hosts import job as jobs
from dispatcher.hosts.job import JobStatus

GONE = JobStatus("absent")
"""What stands for a machine that its provider knows to be gone."""


def glance(ctx: Context, seconds: float, meant: Callable[[Run], bool] = lambda _run: False) -> list[Run]:
    """Ask the machines of all such runs at once, for at most so long. Returns those whose job is found to have ended.

    They are noted as waiting to be fetched; those whose machine is gone are seen to their end. Runs that are `meant` are looked
    at by the command itself. What does not answer in time is as it was.
    """
    runs = [run for run in ctx.store.open_runs() if _unwatched(run, ctx) and not meant(run)]
    found: dict[str, JobStatus] = {}
    works = [_work(run, ctx) for run in runs]
    threads = [threading.Thread(target=_ask, args=(work, found), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    end = ctx.clock.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - ctx.clock.monotonic()))
    for run in runs:
        if found.get(run.id) is GONE:
            _bury(run.id, ctx)
    return [run for run in runs if run.id in found and _noted(run.id, found[run.id], ctx)]


def waiting(run: Run) -> bool:
    """Whether its job has ended, and what it left waits on its machine."""
    return run.held_for == holding.OUTPUTS and run.state in (RunState.COLLECTING, RunState.HELD)


def _unwatched(run: Run, ctx: Context) -> bool:
    attempt = run.attempt
    if run.state is not RunState.RUNNING or attempt is None or attempt.where == "local" or "seen" in run.job:
        return False
    return run.started is not None and not run.doubt and not ctx.store.driver(run.id)


def _work(run: Run, ctx: Context) -> Work:
    attempt = run.attempt
    assert attempt is not None
    job = JobInstructions.from_record(run.job["instructions"])
    return Work(run, attempt, place(ctx, run, attempt.where), job, adopting=True)


def _ask(work: Work, found: dict[str, JobStatus]) -> None:
    """Any trouble means only that nothing is known: whoever takes the run up meets it again, and tells it."""
    with suppress(MlrunError, OSError):
        machine = work.backend.find(work.label)
        if machine is None:
            found[work.run.id] = GONE
            return
        host = work.backend.connect(machine)
        try:
            found[work.run.id] = jobs.status(host, str(work.label))
        finally:
            host.close()


def _bury(run_id: str, ctx: Context) -> None:
    with suppress(MlrunError):
        resume(run_id, ctx)


def _noted(run_id: str, status: JobStatus, ctx: Context) -> bool:
    if status.phase != "ended":
        return False
    try:
        with ctx.store.lease(run_id):
            run = ctx.store.find(run_id)
            if run.state is not RunState.RUNNING:
                return False
            work = _work(run, ctx)
            work.status = status
            record_end(work, status)
            holding.keep_outputs(ctx, work)
            verdict = conclude(status, None)
            changes = {"outcome": verdict.outcome, "reason": verdict.reason, "exit_code": verdict.exit_code}
            ctx.move(run, RunState.COLLECTING, **changes)
    except RunBusy:
        return False
    return True
