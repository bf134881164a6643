"""Keeping a rented machine after its job, until its end."""

from __future__ import annotations

from dispatcher.domain.run import Run
from dispatcher.engine.context import Context, JobInstructions, Work
from dispatcher.errors import HostError
from dispatcher.hosts.base import Host

DEFAULT_LIFE_SECONDS = 3600.0
"""A machine whose job has no limit of its own is rented for an hour."""
WISH, OUTPUTS = "wish", "outputs"
"""Why a machine is kept."""
HOLD = """
import os, sys
path = os.path.join(sys.argv[1], "hold")
with open("/proc/uptime") as file:
    until = float(file.read().split()[0]) + float(sys.argv[2])
with open(path + ".part", "w") as file:
    file.write("%d\\n" % until)
os.replace(path + ".part", path)
"""
"""Run on the machine: what ends it there reads this file, in seconds since its boot."""


def life_seconds(job: JobInstructions) -> float:
    """Seconds from its creation after which a rented machine ends by itself: the hard stop, then time to fetch."""
    return (job.deadline_seconds or DEFAULT_LIFE_SECONDS) + job.grace_seconds


def hold(host: Host, run: Run, seconds: float, now: float) -> float:
    """Have the machine wait for so long, at most to its own end. Returns until when, in Unix seconds."""
    until = min(now + seconds, run.ends_itself or now + seconds)
    if run.attempt is not None and run.attempt.rented:
        done = host.run(["python3", "-c", HOLD, host.root, str(max(0.0, until - now))])
        if done.code:
            said = done.stderr.decode("utf-8", "replace").strip()[-200:]
            raise HostError(f"{host.name} could not be told to wait: {said}", fix=f"mlrun fetch {run.id}")
    return until


def wanted(ctx: Context, work: Work) -> float | None:
    """How long the machine is to be kept after this job, if at all."""
    if ctx.keep is not None:
        return ctx.keep
    failed = work.status is not None and work.status.exit_code != 0
    return work.job.keep_seconds if failed and work.attempt.rented and not ctx.cancel.is_set() else None


def keep(ctx: Context, work: Work, seconds: float) -> None:
    """Hold the machine, and note it."""
    work.run.held_until = hold(work.reached(), work.run, seconds, ctx.clock.now())
    work.run.held_for = WISH


def keep_outputs(ctx: Context, work: Work) -> None:
    """What could not be brought home waits there until the grace ends."""
    run = work.run
    until = (run.ended or ctx.clock.now()) + work.job.grace_seconds
    run.held_until, run.held_for = min(until, run.ends_itself or until), OUTPUTS
