"""Which words go out about a run, and that each goes once."""

from __future__ import annotations

import json

import pytest

from dispatcher import paths
from dispatcher.app.notices import Notices, message
from dispatcher.domain.run import Attempt, Doubt, Label, Outcome, Run, RunState
from dispatcher.events import Finished, StateChanged, Warned
from tests.inbox import inbox

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise loads
NOW = 1_800_000_000.0


@pytest.fixture
def box():
    with inbox() as server:
        yield server


@pytest.fixture
def run(box, tmp_path):
    (tmp_path / "train.yaml").write_text(f"run: x\nnotify: ['{box.address}']\n")
    told = {"notify": {"to": ["json://…"], "file": str(tmp_path / "train.yaml"), "workdir": str(tmp_path)}}
    attempt = Attempt(Label("abcdefghjk"), "aws", "g4dn.xlarge", "us-east-1", "spot", 0.2, launched=NOW)
    return Run("abcdefghjk", "train", RunState.RUNNING, job=told, attempts=[attempt], started=NOW)


def heard(run, *events):
    """What mlrun says where these events come."""
    said = []
    notices = Notices(lambda _id: run, said.append)
    for event in events:
        notices.hear(event)
    notices.wait()
    return [one.message for one in said]


def over(run, outcome=Outcome.SUCCEEDED, **changes):
    for name, value in changes.items():
        setattr(run, name, value)
    run.state, run.outcome, run.ended = RunState.FINISHED, outcome, NOW + 3600
    return Finished(run.id, NOW, run.outcome, run.exit_code or 0, run)


def test_start_limit_and_end_are_told_once_whoever_hears_of_them(run, box):
    begun = StateChanged(run.id, NOW, RunState.RUNNING)
    little = Warned(run.id, NOW, "60 s are left", kind="limit")
    assert [] == heard(run, begun, begun, little, StateChanged(run.id, NOW, RunState.COLLECTING))
    assert [] == heard(run, begun, little, over(run), over(run))
    assert [] == heard(run, over(run))
    about = ["mlrun: train has started", "mlrun: train nears its limit", "mlrun: train succeeded"]
    assert sorted(about) == sorted(box.titles)
    kept = json.loads((paths.runs_dir() / run.id / "notice-end.json").read_text())
    assert {"json://…": ""} == kept["to"]


def test_a_notice_that_fails_is_said_once_without_its_address(run, box):
    box.answer = 503
    said = heard(run, StateChanged(run.id, NOW, RunState.RUNNING), over(run))
    assert ["No notice of train went to json://…: it was not taken"] == said


def test_of_a_job_that_names_nobody_nothing_is_written(run, box):
    run.job = {}
    assert [] == heard(run, StateChanged(run.id, NOW, RunState.RUNNING), over(run))
    assert ([], False) == (box.got, (paths.runs_dir() / run.id).exists())


def test_a_failure_tells_why_and_what_it_cost(run, box):
    heard(run, over(run, Outcome.FAILED, reason="deadline", exit_code=105, cost_so_far=0.2, cost_likely=0.1))
    [got] = box.got
    assert ("failure", "mlrun: train has not succeeded: failed") == (got["type"], got["title"])
    assert got["message"].startswith(
        "stopped at its time limit (exit code 105); after 1 h 00 on aws g4dn.xlarge us-east-1; $0.20"
    )


def test_a_machine_that_may_cost_money_is_named_before_all(run):
    run.doubt = Doubt.TEARDOWN
    over(run)
    assert "ITS MACHINE MAY STILL EXIST" in message(run, "end", NOW)[1]


def test_a_machine_that_is_held_has_its_end_told_then(run, box):
    run.state, run.outcome, run.reason, run.exit_code = RunState.HELD, Outcome.FAILED, "exited", 3
    heard(run, StateChanged(run.id, NOW, RunState.HELD))
    heard(run, over(run, Outcome.FAILED))
    [got] = box.got
    assert "its machine is held: mlrun fetch abcd, mlrun stop abcd" in got["message"]
