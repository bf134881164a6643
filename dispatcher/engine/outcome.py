"""How a run ended, in one table: outcome, reason and exit code."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dispatcher.domain.run import Doubt, Outcome, Run, RunState
from dispatcher.engine.step import NeverStarted
from dispatcher.errors import Cancelled, MlrunError, OutcomeUnknown, Preempted, SyncFailed, TeardownUnconfirmed
from dispatcher.hosts.job import JobStatus

UNKNOWN = OutcomeUnknown.exit_code
_CANCELLED = Cancelled.exit_code


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome, reason in one word, and exit code."""

    outcome: Outcome
    reason: str
    exit_code: int


OURS: dict[str, tuple[Outcome, int]] = {
    "deadline": (Outcome.FAILED, 105),
    "stopped": (Outcome.CANCELLED, _CANCELLED),
    "setup-failed": (Outcome.FAILED, 104),
    "preempted": (Outcome.PREEMPTED, 108),
    "lost": (Outcome.LOST, UNKNOWN),
}
"""Ends that the job did not choose: their exit codes are ours."""

WORDS: dict[str, str] = {
    "exited": "the job ended by itself",
    "preempted": "the provider took the machine back",
    "signal": "the job was ended by a signal",
    "oom-host": "out of memory: this computer's RAM was full",
    "oom-device": "out of memory: the GPU's memory was full",
    "deadline": "stopped at its time limit",
    "stopped": "stopped on request",
    "setup-failed": "setup failed; its output is in setup.log",
    "lost": "nobody is left who knows how the job ended",
    "cancelled": "cancelled before the job started",
    "not-started": "mlrun was ended before the job started",
    "internal": "a bug in mlrun",
}
"""Reasons as people read them."""

LOG_CUT = "the disk was full, and the log is incomplete"
"""What goes with any of them."""


def conclude(status: JobStatus | None, error: BaseException | None) -> Verdict:
    """What the job's end and the first error together mean. What the job did outranks what happened afterwards."""
    if status is not None and status.over:
        return _by_status(status)
    if error is None:
        return Verdict(Outcome.LOST, "lost", UNKNOWN)
    return _by_error(error)


def exit_code(run: Run) -> int:
    """What mlrun's own process ends with. A teardown that is not confirmed outranks every other."""
    if run.doubt is Doubt.TEARDOWN:
        return TeardownUnconfirmed.exit_code
    if run.state is RunState.HELD and run.held_for == "outputs":
        return SyncFailed.exit_code
    if run.exit_code is not None:
        return run.exit_code
    return 0 if run.detached else UNKNOWN


def explain(run: Run) -> str:
    """Why the run ended so, as a sentence without its full stop."""
    said = run.attempt.reason if run.attempt else None
    if not said and run.reason == "oom-host" and run.attempt and run.attempt.where != "local":
        return f"out of memory: the RAM of its machine ({run.attempt.machine or run.attempt.where}) was full"
    return said or WORDS.get(run.reason or "", run.reason or "")


def length_unknown(run: Run) -> bool:
    """Whether nobody saw the run's end: when it was found to be gone says nothing of how long it took, or cost."""
    return (run.outcome is Outcome.LOST or run.reason == "not-started") and not run.open


def _by_status(status: JobStatus) -> Verdict:
    reason = status.reason or ("lost" if status.phase == "lost" else "exited")
    if reason in OURS:
        outcome, ours = OURS[reason]
        return Verdict(outcome, reason, ours)
    code = _job_code(status)
    if code is None:
        return Verdict(Outcome.LOST, "lost", UNKNOWN)
    return Verdict(Outcome.FAILED if code else Outcome.SUCCEEDED, reason, code)


def _job_code(status: JobStatus) -> int | None:
    """The job's exit code as a shell tells it: 128 + n after signal n."""
    if status.signal:
        return 128 + int(status.signal)
    return status.exit_code


def _by_error(error: BaseException) -> Verdict:
    if isinstance(error, (Cancelled, KeyboardInterrupt)):
        return Verdict(Outcome.CANCELLED, "cancelled", _CANCELLED)
    if isinstance(error, NeverStarted):
        return Verdict(Outcome.CANCELLED, "not-started", _CANCELLED)
    if isinstance(error, Preempted):
        return Verdict(Outcome.PREEMPTED, "preempted", error.exit_code)
    if isinstance(error, OutcomeUnknown):
        return Verdict(Outcome.LOST, "lost", error.exit_code)
    if isinstance(error, MlrunError):
        return Verdict(Outcome.FAILED, _kebab(type(error).__name__), error.exit_code)
    return Verdict(Outcome.FAILED, "internal", MlrunError.exit_code)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
