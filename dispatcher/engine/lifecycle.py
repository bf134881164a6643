"""One run through its states: attempts, cancellation, leaving, coming back."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import asdict, replace

from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Attempt, Doubt, Label, Run, RunState
from dispatcher.engine.borrowed import place
from dispatcher.engine.context import Context, JobInstructions, Work
from dispatcher.engine.ending import finish, record_verdict, tries_next
from dispatcher.engine.holding import WISH
from dispatcher.engine.interrupts import held_back
from dispatcher.engine.ladder import Ladder
from dispatcher.engine.line import stand_in_line
from dispatcher.engine.outcome import conclude
from dispatcher.engine.step import Held, Left, NeverStarted, carry_out, count_seconds, undo
from dispatcher.engine.steps import STEPS
from dispatcher.engine.teardown import spent
from dispatcher.errors import MlrunError, NothingFits, OutcomeUnknown, Preempted, RecordUnusable
from dispatcher.events import AttemptStarted, Warned, but_output, nobody
from dispatcher.hosts import job as jobs
from dispatcher.retries import DRIVER_ENDS, wait_until

LEAST_SECONDS = 120.0
"""With less time left no further machine is begun where one was taken back."""
MOST_MACHINES = 3
"""So many machines of a run may be taken back."""
FRESH_SECONDS = 60.0
"""A younger run without an attempt is being started right now, by somebody."""
WAITING = frozenset({RunState.SCHEDULED, RunState.QUEUED, RunState.HELD})
"""States in which a run is at rest without a driver."""


def execute(run: Run, offers: Iterable[Offer], ctx: Context, job: JobInstructions) -> Run:
    """Drive a run to its end, offer by offer, or to where the user leaves it.

    Errors of the job and of machines become the run's outcome, reason and exit code (`outcome.exit_code`), and are told as
    Warned. Raised are only RunBusy, errors of the store, and, after everything was undone, bugs.
    """
    with ctx.store.lease(run.id):
        run.job["instructions"] = job.as_record()
        if ctx.store.get(run.id) is None:
            ctx.store.add(run)
        error: BaseException | None = NothingFits("There is no machine to run on", fix="mlrun plan JOB --all")
        ladder = Ladder(offers, ctx, run.id)
        taken_back: list[BaseException] = []
        for offer in ladder:
            if (left := time_left(run, job, ctx.clock.now())) is not None and left < LEAST_SECONDS and taken_back:
                break
            trying = replace(ctx, retry_preempted=bool(job.checkpoint) and len(taken_back) + 1 < MOST_MACHINES)
            try:
                stand_in_line(ctx, run, offer)
                work = _begin(run, offer, trying, replace(job, deadline_seconds=left))
            except MlrunError as refusal:
                error = refusal
                break
            error = _attempt(work, trying)
            if isinstance(error, (Left, Held)):
                return run
            if not tries_next(error, trying) or run.doubt or (ctx.cancel.is_set() and isinstance(error, Preempted)):
                break
            taken_back += [error] if isinstance(error, Preempted) else []
            ladder.refused(offer, error)
        if taken_back and tries_next(error, ctx):  # that no other machine was to be had is the lesser word
            error = taken_back[-1]
        error = ladder.error or error
        if not run.attempts and isinstance(error, MlrunError):
            ctx.tell(Warned(run.id, ctx.clock.now(), error.message, error.fix))
        return finish(run, ctx, error)


def time_left(run: Run, job: JobInstructions, now: float) -> float | None:
    """Seconds to the hard stop, which all machines of a run share: so its cost at worst holds, however many are taken back."""
    launched = [one.launched for one in run.attempts if one.launched is not None and one.rented]
    if job.deadline_seconds is None or not launched:
        return job.deadline_seconds
    return job.deadline_seconds - (now - min(launched))


def resume(run_id: str, ctx: Context, *, offset: int = 0, grace: float | None = None) -> Run:
    """Take a run up where its last driver left it: follow from a byte of its log, collect, tear down, finish.

    With `ctx.detach` set it does not wait for a job that still runs; with `ctx.cancel` set it ends that job.
    """
    with ctx.store.lease(run_id):
        run = ctx.store.find(run_id)
        if not run.open:
            return run
        attempt = run.attempt
        if attempt is None:
            return finish(run, ctx, NeverStarted())
        job = JobInstructions.from_record(run.job["instructions"])
        job = job if grace is None else replace(job, stop_grace=grace)
        if run.state is RunState.HELD and run.held_for == WISH and not (ctx.cancel.is_set() or ctx.keep is not None):
            return run
        held = run.state is RunState.HELD
        work = Work(run, attempt, place(ctx, run, attempt.where), job, adopting=True, was_held=held, offset=offset)
        if run.state is RunState.TERMINATING:
            _tear_down(work, ctx)
            return finish(run, ctx, _without_verdict(run))
        error = _attempt(work, ctx)
        return run if isinstance(error, (Left, Held)) else finish(run, ctx, error)


def stop(run_id: str, ctx: Context, grace: float = 30.0) -> Run:
    """End a run's job, then see the run to its end: by the mlrun that drives it, else by this one. Its output is not told."""
    run = ctx.store.find(run_id)
    if not run.open:
        return run
    if ctx.store.driver(run.id):
        ctx.store.wish(run.id, "stop")
        end_job(run, ctx, grace)
        wait_until(lambda: True if _at_rest(run.id, ctx) else None, DRIVER_ENDS, ctx.clock)
    if ctx.store.driver(run.id):
        return ctx.store.find(run.id)
    asked = threading.Event()
    asked.set()
    return resume(run.id, replace(ctx, cancel=asked, emit=but_output(ctx.emit)), grace=grace)


def reconcile(ctx: Context, seconds: float = 1.0) -> list[Run]:
    """Bring runs that nobody drives to where they should be, for at most so long. Returns those it looked after.

    Only on this computer: others are glanced at, as what they have may take longer to come. Ctrl-C waits for it.
    """
    begun, seen = ctx.clock.monotonic(), []
    gone = threading.Event()
    gone.set()
    quiet = replace(ctx, detach=gone, cancel=threading.Event(), emit=nobody)
    for run in ctx.store.open_runs():
        if ctx.clock.monotonic() - begun > seconds:
            break
        if _left_alone(run, ctx):
            try:
                with held_back():
                    seen.append(resume(run.id, quiet))
            except MlrunError as error:
                ctx.tell(Warned(run.id, ctx.clock.now(), error.message, error.fix))
    return seen


def _left_alone(run: Run, ctx: Context) -> bool:
    if run.state in WAITING or ctx.store.driver(run.id):
        return False
    if run.attempt is None:
        return ctx.clock.now() - run.submitted > FRESH_SECONDS
    return run.attempt.where == "local"


def _begin(run: Run, offer: Offer, ctx: Context, job: JobInstructions) -> Work:
    """A new attempt, recorded before anything is made for it."""
    backend = place(ctx, run, offer.where)
    attempt = Attempt(
        Label(run.id, len(run.attempts) + 1), offer.where, offer.machine, offer.region, offer.market, offer.price_per_hour,
        launched=ctx.clock.now(), offer=asdict(offer), beside_per_hour=run.job.get("beside_per_hour", 0.0),
    )  # fmt: skip
    run.attempts.append(attempt)
    run.teardown_confirmed, run.started = False, None
    ctx.store.save(run)
    ctx.tell(AttemptStarted(run.id, ctx.clock.now(), attempt))
    return Work(run, attempt, backend, job)


def _attempt(work: Work, ctx: Context) -> BaseException | None:
    """One attempt through all steps and back. Returns its first error; raises only an interrupt of whoever came back."""
    begun = 0.0

    def end_reached(error: BaseException | None) -> None:
        nonlocal begun
        begun = ctx.clock.monotonic()
        record_verdict(work, ctx, error)

    error = carry_out(STEPS, ctx, work, end_reached)
    if isinstance(error, (Left, Held)):
        _let_go(work, ctx, held=isinstance(error, Held))
        return error
    count_seconds(work, "teardown", ctx.clock.monotonic() - begun)
    _doubt(work, ctx)
    return error


def _tear_down(work: Work, ctx: Context) -> None:
    begun = ctx.clock.monotonic()
    undo(STEPS[:1], ctx, work)
    count_seconds(work, "teardown", ctx.clock.monotonic() - begun)
    _doubt(work, ctx)


def _doubt(work: Work, ctx: Context) -> None:
    """A teardown that was not confirmed is said at once, and stays on the run."""
    if work.attempt.ended is not None:
        return
    work.run.doubt = Doubt.TEARDOWN
    for trouble in work.trouble:
        if isinstance(trouble, MlrunError):
            ctx.tell(Warned(work.run.id, ctx.clock.now(), trouble.message, trouble.fix))


def _let_go(work: Work, ctx: Context, *, held: bool) -> None:
    if work.host is not None:
        work.host.close()
    if held:
        verdict = conclude(work.status, None)
        changes = {"outcome": verdict.outcome, "reason": verdict.reason, "exit_code": verdict.exit_code}
        ctx.move(work.run, RunState.HELD, cost_so_far=spent(work.run, ctx.clock.now()), **changes)
        return
    work.run.detached = True
    try:
        ctx.store.save(work.run)
    except RecordUnusable as error:
        over = work.status is not None and work.status.over
        message = f"{error.message}. The job {'has ended' if over else 'goes on by itself'}, and nothing of it is lost"
        raise RecordUnusable(message, fix=f"{error.fix} Then: mlrun attach {work.run.id}") from error


def _without_verdict(run: Run) -> BaseException | None:
    """What to conclude where the last driver was ended before it could: None where it could."""
    if run.outcome is not None:
        return None
    return NeverStarted() if run.started is None else OutcomeUnknown("mlrun was ended while it tore the machine down")


def end_job(run: Run, ctx: Context, grace: float) -> None:
    """Ask the job itself, whoever follows it; there may be none yet."""
    attempt = run.attempt
    if attempt is None:
        return
    backend = place(ctx, run, attempt.where)
    machine = backend.find(attempt.label)
    if machine is None:
        return
    host = backend.connect(machine)
    try:
        now = jobs.status(host, str(attempt.label))
        if now.phase != "absent" and not now.over:
            jobs.stop(host, str(attempt.label), grace)
    finally:
        host.close()


def _at_rest(run_id: str, ctx: Context) -> bool:
    return ctx.store.driver(run_id) is None or not ctx.store.find(run_id).open
