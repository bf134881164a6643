"""Ctrl-C by stage, second thoughts, and what a sweep says."""

from __future__ import annotations

import os
import signal

import pytest

from dispatcher.app.runs import Will
from dispatcher.backends.base import Leftover
from dispatcher.cli import run as running_cli
from dispatcher.cli import sweeping
from dispatcher.cli.elsewhere import Stage, obeying_elsewhere, second_thoughts
from dispatcher.cli.render.listing import ps_lines
from dispatcher.cli.running import obeying
from dispatcher.domain.run import Attempt, Label, Outcome, Run, RunState
from dispatcher.engine.sweep import Found
from dispatcher.events import StateChanged


def pressed(*states: RunState | None, number: int = signal.SIGINT) -> tuple[Will, Stage]:
    """Ctrl-C once in each of these states."""
    will, stage = Will(), Stage()
    hear = stage.hearing(lambda _event: None)
    with obeying_elsewhere(will, stage):
        for state in states:
            if state is not None:
                hear(StateChanged("r", 0.0, state))
            os.kill(os.getpid(), number)
    return will, stage


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "has up to 40 s"),
        (RunState.RUNNING, "has up to 40 s"),
        (RunState.COLLECTING, "the job is over"),
        (RunState.TERMINATING, "over"),
    ],
)
def test_ctrl_c_at_a_job_that_runs_here_says_what_it_still_can_do(state, said, capsys):
    will, stage = Will(), Stage()
    stage.state = state
    with obeying(will, stage):
        os.kill(os.getpid(), signal.SIGINT)
    assert (True, True) == (will.cancel.is_set(), said in capsys.readouterr().err)


def wishes(will: Will) -> tuple[bool, bool, bool]:
    return will.cancel.is_set(), will.detach.is_set(), will.hurry.is_set()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([None], (True, False, False)),
        ([RunState.PROVISIONING, RunState.CONNECTING], (True, False, False)),
        ([RunState.SYNCING], (True, False, False)),
        ([RunState.RUNNING], (False, True, False)),
        ([RunState.COLLECTING], (False, True, False)),
        ([RunState.COLLECTING, RunState.COLLECTING], (False, True, True)),
        ([RunState.TERMINATING, RunState.TERMINATING], (False, False, False)),
    ],
)
def test_ctrl_c_cancels_before_the_start_leaves_a_running_job_and_never_stops_a_teardown(states, expected):
    will, stage = pressed(*states)
    assert expected == wishes(will)
    assert stage.left is (states == [RunState.RUNNING])


def test_a_closed_terminal_only_leaves():
    will, stage = pressed(RunState.PROVISIONING, number=signal.SIGHUP)
    assert ((False, True, False), False) == (wishes(will), stage.left)


@pytest.mark.parametrize(
    ("state", "expected", "said"),
    [
        (RunState.CONNECTING, (True, False, False), "cancelling; what was made is given back"),
        (RunState.RUNNING, (False, True, False), "the job goes on by itself"),
        (RunState.TERMINATING, (False, True, False), "seen to its end"),
    ],
)
def test_being_told_to_end_cancels_before_the_start_and_leaves_afterwards(state, expected, said, capsys):
    will, _stage = pressed(state, number=signal.SIGTERM)
    assert expected == wishes(will)
    assert said in capsys.readouterr().err


def left_run() -> tuple[Run, Stage]:
    stage = Stage()
    stage.left = True
    run = Run("7f3a2b9c1d", "pets", RunState.RUNNING, detached=True, attempts=[Attempt(Label("7f3a2b9c1d"), "aws", "m")])
    return run, stage


def test_nobody_at_the_terminal_has_no_second_thoughts(monkeypatch):
    monkeypatch.setattr(running_cli, "interactive", lambda: False)
    assert not second_thoughts(*left_run())


def test_a_second_ctrl_c_asks_whether_to_stop(monkeypatch):
    def again(_seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(running_cli, "interactive", lambda: True)
    monkeypatch.setattr("dispatcher.cli.elsewhere.time.sleep", again)
    monkeypatch.setattr("dispatcher.cli.elsewhere.click.confirm", lambda _text, **_more: True)
    assert second_thoughts(*left_run())
    monkeypatch.setattr("dispatcher.cli.elsewhere.time.sleep", lambda _seconds: None)
    assert not second_thoughts(*left_run())


def test_a_sweep_shows_what_it_found_within_the_screen(capsys):
    label = Label("7f3a2b9c1d")
    found = [
        Found(Leftover("aws", "instance", "i-59db9aafb533427b9", label, "me", "us-east-1", 7200, 0.06), "remove"),
        Found(Leftover("aws", "rule", "sgr-9786ddd81c55a2bda", label, "me", "us-east-1", 7200, 0.0), "elsewhere"),
        Found(Leftover("aws", "group", "sg-1", None, "me", "us-east-1", 7200, 0.0), "shared"),
    ]
    sweeping._show(found, ["aws"])
    lines = capsys.readouterr().out.splitlines()
    assert 3 == len(lines)
    assert "i-59db9aafb533427b9" in lines[1]
    assert lines[1].rstrip().endswith("should not exist")
    assert lines[2].rstrip().endswith("another computer's")
    assert [] == [line for line in lines if len(line) > 80]
    sweeping._show(found[2:], ["aws"])
    assert "Nothing of ours exists in aws" in capsys.readouterr().out


def test_of_a_run_that_never_began_the_list_says_nothing_of_its_length():
    run = Run(
        "a" * 10, "job", submitted=0.0, ended=120.0, state=RunState.FINISHED, outcome=Outcome.CANCELLED, reason="not-started"
    )
    cells = ps_lines([run], 300.0, 120)[1].split()
    assert ["aaaaaaaaaa", "job", "cancelled", "here", "5", "min", "–", "free"] == cells
