"""What happens to an attempt, in order: STEPS is the story."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from dispatcher.backends.base import Terms
from dispatcher.backends.processes import CLIENT_VARIABLE
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import RunState
from dispatcher.engine.context import Context, Work
from dispatcher.engine.following import collected, follow_to_the_end, in_place, record_end, tell_of_outputs
from dispatcher.engine.step import Held, Left, NeverStarted, Step
from dispatcher.engine.teardown import destroy
from dispatcher.engine.watch import SAMPLE_SECONDS
from dispatcher.errors import HostError, HostUnreachable, OutcomeUnknown, SyncFailed
from dispatcher.events import Progress, Warned
from dispatcher.hosts import job as jobs
from dispatcher.hosts.job import JobSpec

DEFAULT_LIFE_SECONDS = 3600.0
"""A machine whose job has no limit of its own is rented for an hour."""


class Provision:
    """Have a machine that answers to the label."""

    name, state, phase, cancellable = "provision", RunState.PROVISIONING, "provision", True

    def do(self, ctx: Context, work: Work) -> None:
        """Take up the machine that is there, or make it."""
        if work.adopting:
            work.machine = work.backend.find(work.label)
            if work.machine is None:
                raise _gone(work)
            return
        intent = ctx.store.intent(work.label, "provision", work.attempt.offer)
        ctx.checkpoint("provision:intended")
        work.machine = work.backend.provision(_offer(work), work.label, terms(ctx, work))
        ctx.checkpoint("provision:made")
        ctx.store.settle(intent, work.machine.address)

    def undo(self, ctx: Context, work: Work) -> None:
        """Destroy everything with the label, and see that it is gone."""
        destroy(ctx, work)


class Connect:
    """Talk to the machine."""

    name, state, phase, cancellable = "connect", RunState.CONNECTING, "provision", True

    def do(self, ctx: Context, work: Work) -> None:
        """Open the connection."""
        assert work.machine is not None
        work.host = work.backend.connect(work.machine)

    def undo(self, ctx: Context, work: Work) -> None:
        """Close it; nothing that runs there ends by that."""
        if work.host is not None:
            work.host.close()


class Sync:
    """Have the job's files there."""

    name, state, phase, cancellable = "sync", RunState.SYNCING, "sync", True

    def do(self, ctx: Context, work: Work) -> None:
        """Send the work folder, unless the machine works in it."""
        work.cwd = workplace(work)
        if work.adopting or in_place(work):
            return
        from dispatcher.hosts.sync import manifest

        sent = manifest(work.job.workdir)
        ctx.tell(Progress(work.run.id, ctx.clock.now(), "sync", f"{len(sent.entries)} files"))
        made = work.reached().run(["mkdir", "-p", work.cwd])  # a folder without files would not come to be
        if made.code:
            raise SyncFailed(
                f"{work.cwd} cannot be made on {work.attempt.where}: {made.stderr.decode(errors='replace').strip()}"
            )
        work.reached().push(sent.tree, work.cwd)

    def undo(self, ctx: Context, work: Work) -> None:
        """What was sent goes with the machine."""


class Prepare:
    """Have what the job needs before it is started."""

    name, state, phase, cancellable = "prepare", RunState.PREPARING, "setup", True

    def do(self, ctx: Context, work: Work) -> None:
        """Refuse a work folder that is not there: the shell's message would blame the wrong thing."""
        if not work.adopting and in_place(work) and not work.job.workdir.is_dir():
            raise HostError(f"The work folder {work.job.workdir} is not there", fix="Correct `workdir` in the job file.")

    def undo(self, ctx: Context, work: Work) -> None:
        """What was prepared goes with the machine."""


class Launch:
    """Start the job, detached from us."""

    name, state, phase, cancellable = "launch", RunState.RUNNING, "run", True

    def do(self, ctx: Context, work: Work) -> None:
        """Start it, unless an earlier process did."""
        if work.adopting:
            work.launched = True
            work.status = jobs.status(work.reached(), str(work.label))
            if work.status.phase == "absent":
                raise NeverStarted if work.run.started is None else _gone(work)
            return
        now = ctx.clock.now()
        spec = specify(work, now)
        work.run.hard_stop = now + spec.deadline_seconds if spec.deadline_seconds else work.run.hard_stop
        work.run.started = now
        intent = ctx.store.intent(work.label, "launch", {"command": work.job.command, "cwd": work.cwd})
        ctx.checkpoint("launch:intended")
        work.launched = True
        jobs.launch(work.reached(), spec)
        ctx.checkpoint("launch:made")
        ctx.store.settle(intent)
        ctx.store.save(work.run)

    def undo(self, ctx: Context, work: Work) -> None:
        """End the job if it still runs."""
        if work.host is not None and work.launched and (work.status is None or not work.status.over):
            work.status = jobs.stop(work.host, str(work.label), work.job.stop_grace)


class Follow:
    """Pass the job's output on until it ends, and learn how."""

    name, state, phase, cancellable = "follow", RunState.RUNNING, "", False

    def do(self, ctx: Context, work: Work) -> None:
        """Follow to the end, or leave the job running when the user does."""
        if ctx.detach.is_set():
            work.status = jobs.status(work.reached(), str(work.label))
        else:
            _or_leave(ctx, work)
        if work.status is None or not work.status.over:
            raise Left
        record_end(work, work.status)

    def undo(self, ctx: Context, work: Work) -> None:
        """Reading changed nothing."""


class Collect:
    """Bring home what the job left, verified, before anything is torn down."""

    name, state, phase, cancellable = "collect", RunState.COLLECTING, "fetch", False

    def do(self, ctx: Context, work: Work) -> None:
        """Record the outputs with their hashes; fetch them where they are elsewhere."""
        try:
            found = collected(work)
            work.run.outputs = found.outputs
            tell_of_outputs(ctx, work, found)
        except HostError as error:
            ctx.tell(Warned(work.run.id, ctx.clock.now(), f"Outputs could not be brought home: {error.message}", error.fix))
            if not in_place(work):
                raise Held from error

    def undo(self, ctx: Context, work: Work) -> None:
        """What is home stays."""


STARTED = frozenset({RunState.RUNNING, RunState.COLLECTING, RunState.HELD})
STEPS: tuple[Step, ...] = (Provision(), Connect(), Sync(), Prepare(), Launch(), Follow(), Collect())


def workplace(work: Work) -> str:
    """The folder in which the job runs, on its machine."""
    return str(work.job.workdir) if in_place(work) else str(PurePosixPath(work.reached().root) / "work")


def specify(work: Work, now: float) -> JobSpec:
    """The job as the agent starts it. DISPATCHER_DEADLINE is in Unix seconds."""
    job, machine = work.job, work.machine
    env = dict(job.env)
    env["DISPATCHER_OUTPUTS"] = os.pathsep.join(str(PurePosixPath(work.cwd) / path) for path in job.outputs)
    if job.deadline_seconds:
        env["DISPATCHER_DEADLINE"] = f"{now + job.deadline_seconds:.0f}"
    if machine and (client := machine.details.get("client")):
        env[CLIENT_VARIABLE] = str(client)
    return JobSpec(
        label=str(work.label),
        command=job.command,
        cwd=work.cwd,
        env=env,
        secrets=job.secrets,
        setup=job.setup,
        path_prefix=job.path_prefix,
        deadline_seconds=job.deadline_seconds,
        stop_grace=job.stop_grace,
        keep_awake=job.keep_awake,
        sample_seconds=SAMPLE_SECONDS,
    )


def terms(ctx: Context, work: Work) -> Terms:
    """What a rented machine is told at birth: its end, its disk, its price."""
    seconds = work.job.deadline_seconds or DEFAULT_LIFE_SECONDS
    return Terms(
        max_seconds=round(seconds),
        max_hourly=work.attempt.price_per_hour,
        disk_gb=_offer(work).disk_gb,
        keys=ctx.runs / work.run.id if ctx.runs else None,
        run_name=work.run.name,
    )


def _or_leave(ctx: Context, work: Work) -> None:
    """A link that breaks ends no job: the run is left, to be taken up again."""
    try:
        follow_to_the_end(ctx, work)
    except HostUnreachable as error:
        message = f"Lost contact with {work.attempt.where}: {error.message}. The job goes on by itself"
        ctx.tell(Warned(work.run.id, ctx.clock.now(), message, f"mlrun attach {work.run.id}"))
        raise Left from error


def _offer(work: Work) -> Offer:
    return Offer(**work.attempt.offer)


def _gone(work: Work) -> Exception:
    """Why nothing answers to a label that was used before: the job had been started, or had not."""
    if work.run.state not in STARTED:
        return NeverStarted()
    return OutcomeUnknown(f"The job of run {work.run.id} is gone, and nothing tells how it ended")
