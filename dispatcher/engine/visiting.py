"""Talking to an open run's machine without driving the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from dispatcher.domain.run import Run, RunState
from dispatcher.engine import holding
from dispatcher.engine.borrowed import place
from dispatcher.engine.context import Context, JobInstructions, Work
from dispatcher.engine.elsewhere import keep_setup_log
from dispatcher.engine.following import collected, fetch_seen, tell_of_outputs
from dispatcher.engine.glance import waiting
from dispatcher.engine.keptlog import kept_log
from dispatcher.engine.lifecycle import resume
from dispatcher.engine.results import place_of
from dispatcher.engine.steps import workplace
from dispatcher.errors import UsageError
from dispatcher.events import but_output
from dispatcher.hosts import job as jobs


@contextmanager
def visit(run: Run, ctx: Context) -> Iterator[Work]:
    """The run's machine, connected. Raises UsageError where it has none any more."""
    attempt = run.attempt
    if not run.open or attempt is None:
        raise UsageError(
            f"{run.name} ({run.id}) has no machine any more: it is {run.outcome or run.state}.", fix="mlrun report"
        )
    backend = place(ctx, run, attempt.where)
    machine = backend.find(attempt.label)
    if machine is None:
        raise UsageError(f"The machine of {run.name} ({run.id}) is gone.", fix=f"mlrun attach {run.id}")
    job = JobInstructions.from_record(run.job["instructions"])
    host = backend.connect(machine)
    try:
        yield Work(run, attempt, backend, job, adopting=True, machine=machine, host=host)
    finally:
        host.close()


def fetch(run_id: str, ctx: Context) -> Run:
    """Bring home what stands there. A machine whose job has ended is given back then, unless it is kept by somebody's wish.

    That of a run which another computer began is left to it.
    """
    run = ctx.store.find(run_id)
    quiet = replace(ctx, emit=but_output(ctx.emit))
    if waiting(run) or (place_of(run) and _gone(run, ctx)):
        return resume(run.id, quiet)
    with ctx.store.lease(run.id), visit(run, ctx) as work:
        work.cwd = workplace(work)
        work.status = jobs.status(work.reached(), str(work.label))
        if "seen" in run.job:
            fetch_seen(ctx, work)
            return run
        over = work.status.phase == "ended" and run.state is RunState.RUNNING
        if not over:
            found = collected(ctx, work)
            run.outputs = found.outputs
            ctx.store.save(run)
            tell_of_outputs(ctx, work, found)
    return resume(run.id, quiet) if over else run


def _gone(run: Run, ctx: Context) -> bool:
    """Whether nothing answers to the run's label any more: its bucket may have everything."""
    attempt = run.attempt
    return run.open and attempt is not None and place(ctx, run, attempt.where).find(attempt.label) is None


def hold(run_id: str, ctx: Context, seconds: float) -> Run:
    """Have the machine wait for so long from now, at most to its own end."""
    run = ctx.store.find(run_id)
    with ctx.store.lease(run.id), visit(run, ctx) as work:
        run.held_until = holding.hold(work.reached(), run, seconds, ctx.clock.now())
        ctx.store.save(run)
    return run


def catch_up(run_id: str, ctx: Context) -> None:
    """Have here what the job has written so far; nothing is said of it."""
    run = ctx.store.find(run_id)
    with ctx.store.lease(run.id), visit(run, ctx) as work, kept_log(ctx, work) as log:
        size = jobs.status(work.reached(), str(work.label)).log_size
        chunks = work.reached().read(f"{work.label}/log", log.size)
        while log.size < size and (chunk := next(chunks)):
            log.add(chunk)
        keep_setup_log(ctx, work)
