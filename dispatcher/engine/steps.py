"""What happens to an attempt, in order: STEPS is the story."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from dispatcher.backends.base import Terms
from dispatcher.backends.processes import CLIENT_VARIABLE
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import RunState
from dispatcher.engine import checkpoints, holding, results
from dispatcher.engine.borrowed import HELD_MARKET
from dispatcher.engine.context import Context, Work, client_name
from dispatcher.engine.elsewhere import gone
from dispatcher.engine.following import collected, fetch_seen, follow_to_the_end, record_end, tell_of_outputs
from dispatcher.engine.guarding import guard
from dispatcher.engine.patience import cancellable, ending_nothing
from dispatcher.engine.seen import make_folder
from dispatcher.engine.step import Held, Left, NeverStarted, Step
from dispatcher.engine.teardown import destroy
from dispatcher.engine.watch import SAMPLE_SECONDS
from dispatcher.errors import HostError, HostUnreachable, LimitReached, Preempted, RecordUnusable
from dispatcher.events import Progress, Warned
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Tree
from dispatcher.hosts.job import JobSpec
from dispatcher.moments import show_time
from dispatcher.units import show_bytes


class Provision:
    """Have a machine that answers to the label."""

    name, state, phase, cancellable = "provision", RunState.PROVISIONING, "provision", True

    def do(self, ctx: Context, work: Work) -> None:
        """Take up the machine that is there, or make it."""
        if work.adopting:
            with ending_nothing(ctx, work):
                work.machine = work.backend.find(work.label)
            if work.machine is None:
                raise results.without_machine(ctx, work, gone(ctx, work))
            guard(ctx, work)
            return
        terms = _terms(ctx, work)
        if work.attempt.rented and work.attempt.launched and work.attempt.market != HELD_MARKET:
            work.run.ends_itself = work.attempt.launched + terms.max_seconds
            ctx.store.save(work.run)
        work.asked = ctx.clock.monotonic()
        intent = ctx.store.intent(work.label, "provision", work.attempt.offer)
        ctx.checkpoint("provision:intended")
        work.machine = work.backend.provision(_offer(work), work.label, terms)
        ctx.checkpoint("provision:made")
        ctx.store.settle(intent, work.machine.address)
        guard(ctx, work)

    def undo(self, ctx: Context, work: Work) -> None:
        """Destroy everything with the label, and see that it is gone."""
        destroy(ctx, work)


class Connect:
    """Talk to the machine."""

    name, state, phase, cancellable = "connect", RunState.CONNECTING, "provision", True

    def do(self, ctx: Context, work: Work) -> None:
        """Open the connection."""
        machine = work.machine
        assert machine is not None
        with ending_nothing(ctx, work):
            work.host = cancellable(ctx, work, lambda: work.backend.connect(machine), lambda host: host.close())

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
        if work.in_place:
            work.resuming = checkpoints.lay_out(ctx, work)
        if work.adopting or work.in_place:
            return
        from dispatcher.hosts.sync import manifest

        sent = manifest(work.job.workdir, data=work.job.data)
        words = f"{len(sent.entries):,} files, {show_bytes(sent.total)}"
        ctx.tell(Progress(work.run.id, ctx.clock.now(), "sync", words))
        cancellable(ctx, work, lambda: _send(work, sent.tree))
        cancellable(ctx, work, lambda: checkpoints.send(ctx, work))

    def undo(self, ctx: Context, work: Work) -> None:
        """What was sent goes with the machine."""


class Prepare:
    """Have what the job needs before it is started."""

    name, state, phase, cancellable = "prepare", RunState.PREPARING, "setup", True

    def do(self, ctx: Context, work: Work) -> None:
        """Refuse a work folder that is not there: the shell's message would blame the wrong thing."""
        if work.adopting:
            return
        if work.in_place and not work.job.workdir.is_dir():
            raise HostError(f"The work folder {work.job.workdir} is not there", fix="Correct `workdir` in the job file.")

        if not work.in_place and getattr(work.reached(), "agent", None) is None:
            cancellable(ctx, work, lambda: self._environment(ctx, work))
        cancellable(ctx, work, lambda: results.begin(ctx, work))

    def _environment(self, ctx: Context, work: Work) -> None:
        """Elsewhere the job has an environment of its project's, made before its own setup, where its output is kept."""
        from dispatcher.hosts.remote_env import remote_environment

        jobs.push_agent(work.reached())
        found = remote_environment(work.reached(), work.job.workdir, work.job.setup, work.run.name)
        work.job = replace(work.job, setup=found.before(work.job.setup), path_prefix=found.path_prefix)
        words = f"its packages come from {found.file}" if found.file else "no list of packages: only the machine's own"
        ctx.tell(Progress(work.run.id, ctx.clock.now(), "prepare", words))

    def undo(self, ctx: Context, work: Work) -> None:
        """What was prepared goes with the machine."""


class Launch:
    """Start the job, detached from us."""

    name, state, phase, cancellable = "launch", RunState.RUNNING, "run", True

    def do(self, ctx: Context, work: Work) -> None:
        """Start it, unless an earlier process did."""
        if work.adopting:
            work.launched = True
            with ending_nothing(ctx, work):
                work.status = jobs.status(work.reached(), str(work.label))
            if work.status.phase == "absent":
                raise NeverStarted if work.run.started is None else gone(ctx, work)
            return
        now = ctx.clock.now()
        spec = specify(work, now, ctx.clock.monotonic())
        work.run.hard_stop = now + spec.deadline_seconds if spec.deadline_seconds else work.run.hard_stop
        work.run.started = now
        intent = ctx.store.intent(work.label, "launch", {"command": work.job.command, "cwd": work.cwd})
        ctx.checkpoint("launch:intended")
        work.launched = True
        jobs.launch(work.reached(), spec)
        ctx.checkpoint("launch:made")
        try:
            ctx.store.settle(intent)
            ctx.store.save(work.run)
        except RecordUnusable as error:  # a job that runs is followed; its end gives back the space it kept in reserve
            ctx.tell(Warned(work.run.id, ctx.clock.now(), f"{error.message}. The job goes on", error.fix))
        if work.attempt.rented and work.run.hard_stop and work.run.ends_itself:
            stop, end = (show_time(one, now) for one in (work.run.hard_stop, work.run.ends_itself))
            words = f"the job is started; it is ended at {stop} at the latest, its machine at {end}"
            ctx.tell(Progress(work.run.id, ctx.clock.now(), "launch", words))

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
            with ending_nothing(ctx, work):
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
        """Record the outputs with their hashes; fetch them where they are elsewhere. Then the machine may be kept."""
        if "seen" in work.run.job:
            self._leave_to_its_owner(ctx, work)
            return
        if work.job.checkpoint and not work.in_place and work.status and work.status.reason == "preempted":
            self._before_it_is_gone(ctx, work)
        if work.status and (work.status.exit_code or work.status.reason != "exited"):
            checkpoints.bring(ctx, work)
        try:
            found = collected(ctx, work)
            work.run.outputs = found.outputs
            tell_of_outputs(ctx, work, found)
        except HostError as error:
            ctx.tell(Warned(work.run.id, ctx.clock.now(), f"Outputs could not be brought home: {error.message}", error.fix))
            if not work.in_place and not (work.was_held and ctx.cancel.is_set()):
                holding.keep_outputs(ctx, work)
                raise Held from error
        results.settle(ctx, work)
        if not work.in_place and (seconds := holding.wanted(ctx, work)) is not None:
            holding.keep(ctx, work, seconds)
            raise Held

    def _before_it_is_gone(self, ctx: Context, work: Work) -> None:
        """What the job has saved, then its outputs, if there is time for them: another machine goes on from there."""
        if not checkpoints.bring(ctx, work):
            results.bring_checkpoint(ctx, work)
        with suppress(HostError):
            work.run.outputs = collected(ctx, work).outputs
        fix = "" if ctx.retry_preempted else f"mlrun JOB --resume {work.run.id[:4]}"
        raise Preempted(f"{work.attempt.where} took the machine back", fix=fix)

    def _leave_to_its_owner(self, ctx: Context, work: Work) -> None:
        """A run known by its tags only: where it was begun its outputs are waited for. Whoever stops it here has them here."""
        run = work.run
        if not ctx.cancel.is_set():
            message = "It was begun on another computer, which fetches its outputs. Its machine waits for that"
            ctx.tell(Warned(run.id, ctx.clock.now(), message, f"mlrun fetch {run.id[:4]} copies them here"))
            raise Left
        try:
            fetch_seen(ctx, work)
        except HostError as error:
            ctx.tell(Warned(run.id, ctx.clock.now(), f"Its outputs are not fetched: {error.message}", error.fix))

    def undo(self, ctx: Context, work: Work) -> None:
        """What is home stays."""


STEPS: tuple[Step, ...] = (Provision(), Connect(), Sync(), Prepare(), Launch(), Follow(), Collect())


def workplace(work: Work) -> str:
    """The folder in which the job runs, on its machine."""
    return str(work.job.workdir) if work.in_place else f"{work.reached().root}/{work.label}.work"


def specify(work: Work, now: float, uptime: float) -> JobSpec:
    """The job as the agent starts it. DISPATCHER_DEADLINE is in Unix seconds."""
    job, machine, deadline = work.job, work.machine, _deadline(work, uptime)
    env = dict(job.env)
    if work.resuming:
        env["DISPATCHER_RESUME"] = "1"
    env["DISPATCHER_OUTPUTS"] = os.pathsep.join(str(PurePosixPath(work.cwd) / path) for path in job.outputs)
    if deadline:
        env["DISPATCHER_DEADLINE"] = f"{now + deadline:.0f}"
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
        deadline_seconds=deadline,
        stop_grace=job.stop_grace,
        keep_awake=job.keep_awake,
        sample_seconds=SAMPLE_SECONDS,
        cloud=work.attempt.where if work.attempt.market == "spot" else "",
    )


def _deadline(work: Work, uptime: float) -> float | None:
    """Seconds that the job may run from now: the hard stop of a rented machine is counted from when it was asked for."""
    deadline = work.job.deadline_seconds
    if deadline is None or not work.attempt.rented or work.attempt.launched is None or work.asked is None:
        return deadline
    if (left := deadline - (uptime - work.asked)) <= 0:
        raise LimitReached("The time limit was reached before the job could be started")
    return left


def _terms(ctx: Context, work: Work) -> Terms:
    """What a rented machine is told at birth: its end, its disk, its price."""
    return Terms(
        max_seconds=round(holding.life_seconds(work.job)),
        grace_seconds=round(work.job.grace_seconds),
        max_hourly=work.attempt.price_per_hour,
        disk_gb=_offer(work).disk_gb,
        keys=ctx.runs / work.run.id if ctx.runs else None,
        run_name=work.run.name,
        client=client_name(ctx.runs) if ctx.runs else "",
        role=results.role_of(work.run),
        cancel=ctx.cancel,
    )


def _send(work: Work, tree: Tree) -> None:
    make_folder(work)
    work.reached().push(tree, work.cwd)


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
