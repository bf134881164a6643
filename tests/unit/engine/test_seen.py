"""Outputs of a run that another computer began, told by its machine, copied here too."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from dispatcher.domain.plan import Requirements
from dispatcher.domain.run import RunState
from dispatcher.engine.context import JobInstructions
from dispatcher.engine.lifecycle import resume, stop
from dispatcher.engine.visiting import fetch
from dispatcher.store.store import Store
from tests.fakes import EagerClock, FakeCloud, wait_for

ENDS = "echo said; echo made > out.txt; while [ ! -e {gate} ]; do sleep 0.02; done; exit 3"


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud")


@pytest.fixture
def other(stage, cloud, tmp_path):
    """The context of another computer, whose record knows of the run what its tags tell."""
    leaving = threading.Event()
    leaving.set()
    away = stage.context(backend=lambda _where: cloud, clock=EagerClock(), detach=leaving)
    run = stage.run(ENDS.format(gate=tmp_path / "gate"), ctx=away, offers=cloud.offers(Requirements()), outputs=("out.txt",))
    unknown = JobInstructions("", tmp_path / "there" / "job-1234").as_record()
    with Store.open(tmp_path / "other" / "runs.sqlite3") as store:
        store.add(replace(run, job={"seen": "another", "instructions": unknown}))
        yield run, stage.context(backend=lambda _where: cloud, clock=EagerClock(), store=store, runs=tmp_path / "other")


def test_fetch_copies_them_and_leaves_the_machine_to_the_computer_that_began(other, cloud, tmp_path, stage):
    run, there = other
    (tmp_path / "gate").touch()
    assert RunState.COLLECTING == resume(run.id, there).state
    fetched = fetch(run.id, there)
    assert ["out.txt"] == [one.path for one in fetched.outputs]
    assert "made\n" == (tmp_path / "there" / "job-1234" / "out.txt").read_text()
    assert [run.attempt.label] == cloud.alive()
    home = resume(run.id, stage.context(backend=lambda _where: cloud, clock=EagerClock()))
    assert (3, "made\n", []) == (home.exit_code, (stage.workdir / "out.txt").read_text(), cloud.alive())


def test_whoever_stops_it_from_there_has_them_there(other, cloud, tmp_path):
    run, there = other
    wait_for(cloud.folder / "hosts" / str(run.attempt.label) / f"{run.attempt.label}.work" / "out.txt")
    done = stop(run.id, there, grace=0)
    assert (RunState.FINISHED, []) == (done.state, cloud.alive())
    assert "made\n" == (tmp_path / "there" / "job-1234" / "out.txt").read_text()


@pytest.mark.parametrize("word", [b"", b"[1]", b'{"outputs": [1]}', b'{"outputs": "x"}', b"[" * 5000])
def test_a_word_that_is_none_names_no_outputs(other, cloud, word):
    run, there = other
    host = cloud.folder / "hosts" / str(run.attempt.label)
    (host / f"{run.attempt.label}.work.json").write_bytes(word)
    assert [] == fetch(run.id, there).outputs
    stop(run.id, there, grace=0)
