"""Runs are found again by their folders."""

from __future__ import annotations

import pytest

from dispatcher.domain.run import Attempt, Label, Outcome, Run, RunState
from dispatcher.store.records import to_document
from dispatcher.store.store import Store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "runs.sqlite3"


def a_run(run_id="abcdefghjk", name="digits", **more):
    return Run(id=run_id, name=name, **more)


def with_folder(path, run_id="abcdefghjk"):
    folder = path.parent / "runs" / run_id
    folder.mkdir(parents=True)
    return folder


def test_a_new_record_takes_its_runs_from_their_folders(path):
    folder = with_folder(path)
    with Store.open(path) as store:
        run = a_run(attempts=[Attempt(Label("abcdefghjk"), "local", None)])
        store.add(run)
        store.advance(run, RunState.PROVISIONING)
    path.write_bytes(b"no database " * 1000)
    with Store.open(path) as store:
        assert [run] == store.recent()
        assert "1 run was found again" in store.warnings[-1]
    assert (folder / "run.json").is_file()


def test_a_run_without_its_document_is_pieced_together(path):
    folder = with_folder(path)
    (folder / "mlrun-abcdefghjk-1").mkdir()
    (folder / "mlrun-abcdefghjk-1.live").write_text("{}")
    (folder / "mlrun-abcdefghjk-1" / "agent.json").write_text('{"started": 5.0}')
    (folder / "job.yaml").write_text("name: told # so\nrun: true\n")
    ended = with_folder(path, "bbbbbbbbbb")
    (ended / "mlrun-bbbbbbbbbb-1").mkdir()
    (ended / "receipt.json").write_text('{"name": "past", "outcome": "failed", "reason": "exited", "exit_code": 3}')
    with_folder(path, "cccccccccc")
    with Store.open(path) as store:
        found = {run.id: run for run in store.recent()}
    assert {"abcdefghjk", "bbbbbbbbbb"} == set(found)
    told, past = found["abcdefghjk"], found["bbbbbbbbbb"]
    assert ("told", RunState.RUNNING, 5.0) == (told.name, told.state, told.started)
    assert ("past", RunState.FINISHED, 3, Outcome.FAILED) == (past.name, past.state, past.exit_code, past.outcome)


def test_an_end_that_only_the_folder_tells_is_caught_up_with(path):
    folder = with_folder(path)
    with Store.open(path) as store:
        store.add(a_run(state=RunState.RUNNING, attempts=[Attempt(Label("abcdefghjk"), "local", None)]))
        ended = a_run(state=RunState.FINISHED, outcome=Outcome.FAILED, exit_code=3, teardown_confirmed=True)
        (folder / "run.json").write_text(to_document(ended))
        with store.lease("abcdefghjk"):
            store.catch_up()
            assert RunState.RUNNING is store.get("abcdefghjk").state
        store.catch_up()
        assert (RunState.FINISHED, 3) == (store.get("abcdefghjk").state, store.get("abcdefghjk").exit_code)
