"""A machine is gone: what its bucket has, and what keeps it from coming home."""

from __future__ import annotations

import errno
import threading
import time
from dataclasses import replace

import pytest

from dispatcher.domain.run import Attempt, Label, Run, RunState, new_run_id
from dispatcher.engine.lifecycle import resume
from dispatcher.engine.results import keep_in
from dispatcher.engine.teardown import spent
from dispatcher.errors import SyncFailed
from dispatcher.events import Warned
from dispatcher.overnight.base import Seen
from dispatcher.overnight.keeping import Kept, Place

ENDED = {"status": {"phase": "ended", "reason": "exited", "exit_code": 0, "started": 5.0, "ended": 6.0}, "outputs": []}


class _Bucket:
    """What a gone machine wrote; `broken` is raised where its output is read."""

    broken: Exception | None = None

    def look(self, _place, _label):
        return Kept(Seen("over", place="there", outcome=ENDED))

    def bring_log(self, _place, _kept, folder):
        if self.broken:
            raise self.broken
        folder.mkdir(parents=True)
        (folder / "log").write_bytes(b"all of it\n")

    def bring_files(self, *_):
        return None


@pytest.fixture
def bucket(stage):
    stage.backend.results = _Bucket()
    stage.backend.find = lambda _label: None
    return stage.backend.results


def interrupted(stage, state=RunState.RUNNING, started=None) -> Run:
    """A run whose mlrun died; then its machine went away."""
    run = Run(id=new_run_id(), name="job", state=state, started=started)
    run.attempts = [Attempt(Label(run.id, 1), "local", None, "", "on-demand", 1.0, launched=time.time() - 100)]
    run.job["instructions"] = stage.job("true").as_record()
    keep_in(run, Place("local", "bucket", "here", "out", "role"))
    stage.store.add(run)
    return run


@pytest.mark.parametrize("broken", [OSError(errno.ENOSPC, "No space left on device"), ValueError("cut"), SyncFailed("cut")])
def test_a_read_that_breaks_off_leaves_the_run_open_and_the_next_try_has_everything(stage, bucket, broken):
    run = interrupted(stage, started=5.0)
    bucket.broken = broken
    assert resume(run.id, stage.context()).open
    [warned] = stage.of(Warned)
    assert warned.fix == f"mlrun fetch {run.id[:4]}"
    assert ("No space left on device" if isinstance(broken, OSError) else "cut") in warned.message
    seen = stage.store.find(run.id).attempt.gone
    assert (seen - run.attempt.launched) / 3600 == pytest.approx(spent(stage.store.find(run.id), seen + 10000))
    bucket.broken = None
    ended = resume(run.id, stage.context())
    assert (RunState.FINISHED, 0, b"all of it\n") == (ended.state, ended.exit_code, stage.log())
    assert seen == ended.attempt.ended


def test_whoever_stops_the_run_does_not_wait_for_a_bucket_that_breaks_off(stage, bucket):
    run, asked = interrupted(stage, started=5.0), threading.Event()
    asked.set()
    bucket.broken = ValueError("cut")
    assert not resume(run.id, replace(stage.context(), cancel=asked)).open


def test_a_job_started_just_before_mlrun_died_is_known_by_its_state_and_comes_home(stage, bucket):
    ended = resume(interrupted(stage).id, stage.context())
    assert ("succeeded", 0, 5.0) == (str(ended.outcome), ended.exit_code, ended.started)


def test_a_job_that_was_never_started_is_not_looked_for(stage, bucket):
    assert resume(interrupted(stage, RunState.PREPARING).id, stage.context()).reason == "not-started"
