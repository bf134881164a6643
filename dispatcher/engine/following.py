"""The job's output as it comes, its end, and what it leaves."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dispatcher.domain.run import Peak
from dispatcher.engine import seen
from dispatcher.engine.checkpoints import kept_home
from dispatcher.engine.context import Context, Work
from dispatcher.engine.elsewhere import follow_elsewhere
from dispatcher.engine.outcome import LOG_CUT
from dispatcher.engine.patience import GivenUp, waited
from dispatcher.engine.watch import Watch
from dispatcher.errors import HostError
from dispatcher.events import LogBytes, Progress, Span, Warned
from dispatcher.hosts.collect import Collected, collect
from dispatcher.hosts.follow import follow, follow_spans
from dispatcher.hosts.job import JobStatus
from dispatcher.hosts.local import LocalHost
from dispatcher.units import GIB, show_gib

MOST_REFUSALS = 5
"""So many are told one by one."""


def follow_to_the_end(ctx: Context, work: Work) -> None:
    """Tell every byte of the log, then keep the job's last status. The user may leave: then there is none."""
    _follow(ctx, work)
    if work.status and work.status.log_cut:
        fix = "Free space there" + (", or set DISPATCHER_HOME to a folder on another disk." if work.in_place else ".")
        words = "The disk was full while the job ran: what it wrote then is not in its log, which is incomplete."
        _warn(ctx, work, words, fix)


def _follow(ctx: Context, work: Work) -> None:
    with Watch(ctx, work), kept_home(ctx, work):
        if not work.in_place:
            follow_elsewhere(ctx, work)
            return
        for piece in _pieces(ctx, work):
            if isinstance(piece, JobStatus):
                work.status = piece
                continue
            ctx.tell(LogBytes(work.run.id, ctx.clock.now(), work.offset, piece))
            work.offset += len(piece)


def _pieces(ctx: Context, work: Work) -> Iterator[bytes | Span | JobStatus]:
    host, label = work.reached(), str(work.label)
    if ctx.spans and isinstance(host, LocalHost):
        return follow_spans(host, label, work.offset, clock=ctx.clock, cancel=ctx.detach)
    return follow(host, label, work.offset, clock=ctx.clock, cancel=ctx.detach)


def record_end(work: Work, status: JobStatus) -> None:
    """What the agent measured goes into the run's record."""
    run = work.run
    run.started = status.started or run.started
    run.ended = status.ended or run.ended
    if status.memory_limit_gib:
        work.attempt.reason = (
            f"out of memory: the job may have {show_gib(status.memory_limit_gib)} of address space (ulimit -v) and used it up;"
            " this computer's RAM was not full"
        )
    elif status.reason == "oom-host" and work.in_place and (most := container_memory()):
        work.attempt.reason = f"out of memory: the {show_gib(most / GIB)} of RAM that this container may use were full"
    if status.log_cut:
        if status.reason in ("exited", "signal"):
            work.attempt.reason = work.attempt.reason or LOG_CUT
        run.job["log_cut"] = True
    run.peak = Peak(status.ram_peak_gib, status.gpu_peak_gib)
    if status.started and status.ended:
        before = status.setup_seconds or 0.0  # the agent makes the environment, then starts the job
        run.phases_seconds["run"] = round(max(0.0, status.ended - status.started - before), 3)
        if before and "setup_counted" not in run.job:  # an end may be looked at more than once
            run.job["setup_counted"] = True
            run.phases_seconds["setup"] = round(run.phases_seconds.get("setup", 0.0) + before, 3)


def container_memory() -> float | None:
    """Bytes that mlrun and its jobs may use here, where that is less than the computer has."""
    from dispatcher.hosts.probe import cgroup

    most = cgroup.limits().memory
    return most if most and most < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") else None


def collected(ctx: Context, work: Work) -> Collected:
    """The outputs, verified: recorded where they stand, or brought home. Whoever is in a hurry leaves them there for now."""
    since = (work.status.started if work.status else None) or work.run.started or 0.0

    def bring() -> Collected:
        return collect(work.reached(), work.cwd, work.job.outputs, work.job.workdir, in_place=work.in_place, since=since)

    if work.in_place:
        if work.job.outputs and work.status and work.status.reason != "setup-failed":
            ctx.tell(Progress(work.run.id, ctx.clock.now(), "collect", "collecting outputs"))
        return bring()
    try:
        return waited(bring, ctx.hurry.is_set)
    except GivenUp:
        raise HostError("You left before all of them were here", fix=f"mlrun fetch {work.run.id}") from None


def fetch_seen(ctx: Context, work: Work) -> None:
    """The outputs of a run that another computer began, copied here as well."""
    work.job = seen.told(work)
    found = collected(ctx, work)
    work.run.outputs = found.outputs
    ctx.store.save(work.run)
    tell_of_outputs(ctx, work, found)
    if found.outputs:
        words = f"its outputs are in {work.job.workdir}"
        ctx.tell(Progress(work.run.id, ctx.clock.now(), "collect", words))


def tell_of_outputs(ctx: Context, work: Work, found: Collected) -> None:
    """What is not among the outputs, and why; a job that failed owes none."""
    for path, why in found.refused[:MOST_REFUSALS]:
        _warn(ctx, work, f"The output {path!r} is not recorded: {why}.", "Name a regular file below the work folder.")
    if (more := len(found.refused) - MOST_REFUSALS) > 0:
        _warn(ctx, work, f"{more} more outputs are not recorded, for such reasons.", "")
    if found.missing and work.status and work.status.exit_code == 0:
        names = ", ".join(found.missing)
        fix = "Correct `outputs` in the job file, or where the job writes."
        _warn(ctx, work, f"This run wrote no file under these outputs: {names}.", fix)


def _warn(ctx: Context, work: Work, message: str, fix: str) -> None:
    ctx.tell(Warned(work.run.id, ctx.clock.now(), message, fix))
