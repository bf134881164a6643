"""Runs made by hand, one for every way to end."""

from __future__ import annotations

from dataclasses import replace

from dispatcher.domain.run import Attempt, Doubt, Label, Outcome, Output, Peak, Run, RunState
from tests.golden.plans import full_plan

NOW = 1_795_000_000.0
"""2026-11-18T10:26:40Z."""


def ended(outcome: Outcome, reason: str, code: int | None, **more: object) -> Run:
    """A finished run on this machine."""
    label = Label("7f3a2b9c1d")
    attempt = Attempt(label, "local", None, launched=NOW, ended=NOW + 95)
    fields: dict[str, object] = {
        "submitted": NOW - 1,
        "started": NOW,
        "ended": NOW + 95,
        "attempts": [attempt],
        "phases_seconds": {"run": 93.4, "fetch": 0.4, "teardown": 0.02},
        "peak": Peak(2.1),
        "teardown_confirmed": True,
        "teardown_proof": [f"local: nothing carries the label {label}"],
        **more,
    }
    return Run("7f3a2b9c1d", "pets", RunState.FINISHED, None, outcome, reason, code, **fields)  # type: ignore[arg-type]


def succeeded() -> Run:
    """All is well: six outputs, and a plan to compare with."""
    outputs = [Output(f"runs/ckpt/{number}.pt", 10**number, f"{number:064x}") for number in range(2, 8)]
    plan = full_plan()
    return ended(Outcome.SUCCEEDED, "exited", 0, outputs=outputs, plan=replace(plan, choice=0).as_dict())


def going() -> Run:
    """A run that is on its way."""
    return _open(RunState.RUNNING, None)


def doubtful(doubt: Doubt = Doubt.TEARDOWN) -> Run:
    """A rented machine that nobody saw end."""
    run = _open(RunState.TERMINATING, doubt)
    run.attempts = [
        Attempt(
            Label(run.id, 2), "aws", "g4dn.xlarge", "us-east-1", "spot", 0.21, launched=NOW, reason="no answer from the cloud"
        )
    ]
    run.hard_stop = NOW + 9000
    return run


def _open(state: RunState, doubt: Doubt | None) -> Run:
    run = ended(Outcome.SUCCEEDED, "exited", None)
    run.state, run.doubt, run.outcome, run.reason = state, doubt, None, None
    run.ended, run.teardown_confirmed, run.teardown_proof, run.peak, run.phases_seconds = None, False, [], Peak(), {}
    return run


ENDS: dict[str, Run] = {
    "succeeded": succeeded(),
    "failed": ended(Outcome.FAILED, "exited", 3),
    "killed": ended(Outcome.FAILED, "signal", 137),
    "out of RAM": ended(Outcome.FAILED, "oom-host", 137, peak=Peak(15.8)),
    "out of GPU memory": ended(Outcome.FAILED, "oom-device", 1, peak=Peak(2.0, 3.96)),
    "time limit": ended(Outcome.FAILED, "deadline", 105),
    "setup": ended(Outcome.FAILED, "setup-failed", 104, phases_seconds={"setup": 4.0}, peak=Peak()),
    "cancelled": ended(Outcome.CANCELLED, "cancelled", 130, phases_seconds={}, peak=Peak()),
    "stopped": ended(Outcome.CANCELLED, "stopped", 130),
    "preempted": ended(Outcome.PREEMPTED, "preempted", 108),
    "lost": ended(Outcome.LOST, "lost", 106, peak=Peak()),
}
