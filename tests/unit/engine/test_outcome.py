"""The table of ends."""

from __future__ import annotations

import pytest

from dispatcher.cli.render.receipt import last_words
from dispatcher.domain.run import Attempt, Doubt, Label, Outcome, Peak, Run, RunState
from dispatcher.engine.context import Work
from dispatcher.engine.following import record_end
from dispatcher.engine.outcome import conclude, exit_code, explain
from dispatcher.engine.receipt import receipt
from dispatcher.engine.step import NeverStarted
from dispatcher.errors import Cancelled, HostUnreachable, NoCapacity, OutcomeUnknown, Preempted, SetupFailed
from dispatcher.hosts.job import JobStatus


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (JobStatus("ended", exit_code=0, reason="exited"), (Outcome.SUCCEEDED, "exited", 0)),
        (JobStatus("ended", exit_code=3, reason="exited"), (Outcome.FAILED, "exited", 3)),
        (JobStatus("ended", signal=9, reason="signal"), (Outcome.FAILED, "signal", 137)),
        (JobStatus("ended", signal=9, reason="oom-host"), (Outcome.FAILED, "oom-host", 137)),
        (JobStatus("ended", exit_code=1, reason="oom-device"), (Outcome.FAILED, "oom-device", 1)),
        (JobStatus("ended", signal=15, reason="deadline"), (Outcome.FAILED, "deadline", 105)),
        (JobStatus("ended", exit_code=0, reason="stopped"), (Outcome.CANCELLED, "stopped", 130)),
        (JobStatus("ended", exit_code=7, reason="setup-failed"), (Outcome.FAILED, "setup-failed", 104)),
        (JobStatus("lost", reason="lost"), (Outcome.LOST, "lost", 106)),
        (JobStatus("lost"), (Outcome.LOST, "lost", 106)),
        (JobStatus("ended", reason="exited"), (Outcome.LOST, "lost", 106)),
    ],
)
def test_what_the_agent_saw_decides(status, expected):
    for error in (None, HostUnreachable("afterwards")):
        verdict = conclude(status, error)
        assert expected == (verdict.outcome, verdict.reason, verdict.exit_code)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, (Outcome.LOST, "lost", 106)),
        (Cancelled("x"), (Outcome.CANCELLED, "cancelled", 130)),
        (KeyboardInterrupt(), (Outcome.CANCELLED, "cancelled", 130)),
        (NeverStarted(), (Outcome.CANCELLED, "not-started", 130)),
        (NoCapacity("x"), (Outcome.FAILED, "no-capacity", 103)),
        (SetupFailed("x"), (Outcome.FAILED, "setup-failed", 104)),
        (Preempted("x"), (Outcome.PREEMPTED, "preempted", 108)),
        (OutcomeUnknown("x"), (Outcome.LOST, "lost", 106)),
        (ZeroDivisionError(), (Outcome.FAILED, "internal", 70)),
    ],
)
@pytest.mark.parametrize("status", [None, JobStatus("running")])
def test_without_an_end_the_first_error_decides(status, error, expected):
    verdict = conclude(status, error)
    assert expected == (verdict.outcome, verdict.reason, verdict.exit_code)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"exit_code": 0}, 0),
        ({"exit_code": 3}, 3),
        ({"exit_code": 0, "doubt": Doubt.TEARDOWN}, 107),
        ({"exit_code": 105, "doubt": Doubt.TEARDOWN}, 107),
        ({"detached": True}, 0),
        ({}, 106),
        ({"exit_code": 9, "detached": True}, 9),
    ],
)
def test_the_exit_code_of_mlrun_itself(fields, expected):
    assert expected == exit_code(Run("a" * 10, "job", **fields))


def test_a_reason_reads_as_a_sentence():
    assert "out of memory" in explain(Run("a" * 10, "job", reason="oom-host"))
    attempt = Attempt(Label("a" * 10), "aws", "m", reason="none left in us-east-1a")
    assert "none left in us-east-1a" == explain(Run("a" * 10, "job", reason="no-capacity", attempts=[attempt]))


PLAN = {
    "choice": 0,
    "estimate": {"ram_gib": {"low": 1, "likely": 2, "high": 3, "basis": "formula"}, "gpu_memory_gib": None},
    "candidates": [
        {"hours": {"low": 0.1, "likely": 0.2, "high": 0.3}, "cost_usd": {"likely": 0.2}, "phases_seconds": {"run": 600}},
    ],
}


def test_a_receipt_sets_facts_beside_estimates():
    attempt = Attempt(Label("a" * 10), "aws", "m", launched=0.0, ended=1800.0)
    run = Run(
        "a" * 10, "job", state=RunState.FINISHED, exit_code=0, attempts=[attempt], peak=Peak(2.5, None), cost_so_far=0.25,
        phases_seconds={"run": 650.0},
    )  # fmt: skip
    figures = {one["name"]: (one["estimated"], one["actual"]) for one in receipt(run, PLAN)["figures"]}
    assert {
        "ram_gib": ({"low": 1, "likely": 2, "high": 3}, 2.5),
        "gpu_memory_gib": (None, None),
        "run_seconds": ({"likely": 600}, 650.0),
        "hours": ({"low": 0.1, "likely": 0.2, "high": 0.3}, 0.5),
        "cost_usd": ({"likely": 0.2}, 0.25),
    } == figures


def test_a_receipt_needs_no_plan():
    assert [None] * 5 == [one["estimated"] for one in receipt(Run("a" * 10, "job"), {})["figures"]]


@pytest.mark.parametrize(("outcome", "reason"), [("succeeded", "exited"), ("failed", "exited"), ("cancelled", "stopped")])
def test_a_log_that_a_full_disk_cut_is_said_to_be_incomplete_however_the_job_ended(outcome, reason):
    attempt = Attempt(Label("a" * 10), "local", None)
    run = Run("a" * 10, "job", outcome=Outcome(outcome), reason=reason, state=RunState.FINISHED, attempts=[attempt])
    record_end(Work(run, attempt, None, None), JobStatus("ended", exit_code=0, reason=reason, log_cut=True))
    said = " ".join(" ".join(last_words(run, None, 80)).split())
    assert 1 == said.count("the disk was full, and the log is incomplete"), said
    assert ("on request" in said) is (reason == "stopped")


@pytest.mark.parametrize(
    ("where", "machine", "words"),
    [("local", None, "this computer's RAM was full"), ("aws", "c6a.large", "the RAM of its machine (c6a.large) was full")],
)
def test_it_is_said_whose_memory_was_full(where, machine, words):
    run = Run(id="a" * 10, name="job", reason="oom-host")
    run.attempts = [Attempt(Label(run.id, 1), where, machine)]
    assert f"out of memory: {words}" == explain(run)
