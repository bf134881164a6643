"""Following a job on another machine, over links that break."""

from __future__ import annotations

from contextlib import suppress

from dispatcher.backends.base import ProvisionedMachine
from dispatcher.domain.run import RunState
from dispatcher.engine.context import Context, Work
from dispatcher.engine.keptlog import KeptLog, NoRoom, kept_log, same_there
from dispatcher.engine.step import Left, NeverStarted
from dispatcher.errors import HostError, HostKeyMismatch, HostUnreachable, MlrunError, OutcomeUnknown, Preempted
from dispatcher.events import LogBytes, Progress, Warned
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobStatus
from dispatcher.paths import write_private
from dispatcher.retries import REDIAL

STARTED = frozenset({RunState.RUNNING, RunState.COLLECTING, RunState.HELD})
SETUP_BYTES = 1 << 20
"""So much of the end of setup's output is kept."""
PREEMPTION = ("preempt", "interrupt", "reclaim", "spotinstancetermination", "takes the machine back", "took the machine back")
"""Words by which the agent's notice says that the provider takes the machine back."""
FATES = {
    "userinitiatedshutdown": "was ended through the account: by another computer of yours, or in the console",
    "instanceinitiatedshutdown": "ended itself: its limit was reached, or what it ran ended it",
}
"""What a provider's code says of a machine that was not taken back."""


def follow_elsewhere(ctx: Context, work: Work) -> None:
    """Keep and tell the log from where it stands here, over lost links, to the job's last status; none if the user leaves."""
    with kept_log(ctx, work) as log:
        _follow(ctx, work, log)
    if work.status is not None:
        keep_setup_log(ctx, work)


def _follow(ctx: Context, work: Work, log: KeptLog) -> None:
    again = True
    while True:
        try:
            end = _pour(ctx, work, log)
            if end is None or end.phase in ("absent", "lost") or same_there(work, log, end):
                return
        except HostUnreachable as error:
            redial(ctx, work, error)
            continue
        except NoRoom as error:
            ctx.tell(Warned(work.run.id, ctx.clock.now(), f"{error.message}. The job goes on by itself", error.fix))
            raise Left from error
        if not again:
            _say(ctx, work, "The log kept here differs from the machine's.", f"mlrun logs {work.run.id}")
            return
        again = False
        log.clear()


def keep_setup_log(ctx: Context, work: Work) -> None:
    """What setup wrote, as far as its end goes, beside the job's log; the job does not depend on it."""
    if ctx.runs is None:
        return
    with suppress(MlrunError, OSError):
        done = work.reached().run(["tail", "-c", str(SETUP_BYTES), f"{work.reached().root}/{work.label}/setup.log"])
        if done.code == 0:
            folder = ctx.runs / work.run.id / str(work.label)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / "setup.log", done.stdout)


def _pour(ctx: Context, work: Work, log: KeptLog) -> JobStatus | None:
    """The job's last status, once all was kept; None if the user leaves.

    What stands here already is told by whoever shows it: the first byte told is the first new one.
    """
    told = max(work.offset, log.size)
    for piece in follow(work.reached(), str(work.label), log.size, clock=ctx.clock, cancel=ctx.detach):
        if isinstance(piece, JobStatus):
            work.status = piece
            return piece
        begun = log.size
        log.add(piece)
        if log.size > told:
            fresh = piece[max(0, told - begun) :]
            ctx.tell(LogBytes(work.run.id, ctx.clock.now(), log.size - len(fresh), fresh))
            told = work.offset = log.size
    return None


def redial(ctx: Context, work: Work, error: HostError) -> None:
    """Be connected again, or raise why not: Left, or that the machine is gone. The job needs no link."""
    _say(ctx, work, f"Lost contact with {work.attempt.where}: {error.message}. Dialling again; the job goes on by itself.")
    begun, pause = ctx.clock.monotonic(), REDIAL.first
    work.reached().close()
    while not ctx.detach.is_set():
        try:
            work.host = work.backend.connect(_looked_up(ctx, work))
        except HostKeyMismatch as other:
            _say(ctx, work, f"{other.message}. Nothing is sent there.", other.fix)
            raise Left from other
        except HostError as still:
            error = still
        else:
            seconds = ctx.clock.monotonic() - begun
            ctx.tell(Progress(work.run.id, ctx.clock.now(), "follow", f"in contact again after {seconds:.0f} s"))
            return
        if ctx.clock.monotonic() - begun > REDIAL.patience:
            break
        ctx.clock.sleep(pause, ctx.detach)
        pause = min(pause * REDIAL.growth, REDIAL.longest)
    if not ctx.detach.is_set():
        words = f"{work.attempt.where} does not answer: {error.message}. The job goes on by itself."
        _say(ctx, work, words, f"mlrun attach {work.run.id}")
    raise Left from error


def _looked_up(ctx: Context, work: Work) -> ProvisionedMachine:
    """The machine, as its provider knows it now. What the provider does not answer says nothing; that it is gone is raised."""
    assert work.machine is not None
    try:
        found = work.backend.find(work.label)
    except MlrunError:
        return work.machine
    if found is None:
        raise _without(ctx, work)
    work.machine = found
    return found


def _without(ctx: Context, work: Work) -> Exception:
    from dispatcher.engine.results import without_machine  # which imports what follows a job

    return without_machine(ctx, work, gone(ctx, work))


def gone(ctx: Context, work: Work) -> Exception:
    """Why nothing answers to a label that was used before: the job was never started, was taken away, or nobody knows."""
    run = work.run
    if run.state not in STARTED:
        return NeverStarted()
    fate = _fate(work)
    if _taken_back(work, fate):
        return Preempted(f"{work.attempt.where} took the machine of run {run.id} back")
    now, end = ctx.clock.now(), run.alone_until
    if end is not None and now >= end:
        return OutcomeUnknown(f"The machine of run {run.id} ended by itself at its limit, before what it left was fetched")
    if said := next((words for mark, words in FATES.items() if mark in fate), ""):
        return OutcomeUnknown(f"The machine of run {run.id} {said}, before what it left was fetched")
    return OutcomeUnknown(f"The job of run {run.id} is gone, and nothing tells how it ended")


def _fate(work: Work) -> str:
    """Why the machine is gone, as its provider's code in small letters; "" where it does not say."""
    if asked := getattr(work.backend, "fate", None):
        with suppress(MlrunError):
            return str(asked(work.label)).lower()
    return ""


def _taken_back(work: Work, fate: str) -> bool:
    """Whether the machine's own notices, or its provider, say that it was taken back."""
    told = [*(notice.lower() for notice in work.notices), fate]
    return any(word in one for one in told for word in PREEMPTION)


def _say(ctx: Context, work: Work, words: str, fix: str = "") -> None:
    ctx.tell(Warned(work.run.id, ctx.clock.now(), words, fix))
