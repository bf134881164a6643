"""The job's output as it comes, its end, and what it leaves."""

from __future__ import annotations

from dispatcher.domain.run import Output, Peak
from dispatcher.engine.context import Context, Work
from dispatcher.engine.watch import Watch
from dispatcher.events import LogBytes
from dispatcher.hosts.collect import collect
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobStatus


def follow_to_the_end(ctx: Context, work: Work) -> None:
    """Tell every byte of the log, then keep the job's last status. The user may leave: then there is none."""
    with Watch(ctx, work):
        for piece in follow(work.reached(), str(work.label), work.offset, clock=ctx.clock, cancel=ctx.detach):
            if isinstance(piece, JobStatus):
                work.status = piece
                continue
            ctx.tell(LogBytes(work.run.id, ctx.clock.now(), work.offset, piece))
            work.offset += len(piece)


def record_end(work: Work, status: JobStatus) -> None:
    """What the agent measured goes into the run's record."""
    run = work.run
    run.started = status.started or run.started
    run.ended = status.ended or run.ended
    run.peak = Peak(status.ram_peak_gib, status.gpu_peak_gib)
    if status.started and status.ended:
        run.phases_seconds["run"] = round(status.ended - status.started, 3)


def collected(work: Work) -> list[Output]:
    """The outputs, verified: recorded where they stand, or brought home."""
    return collect(work.reached(), work.cwd, work.job.outputs, work.job.workdir, in_place=in_place(work))


def in_place(work: Work) -> bool:
    """Whether the machine works in the user's own folder."""
    return bool(work.machine and work.machine.details.get("in_place"))
