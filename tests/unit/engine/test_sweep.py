"""What exists against what should."""

from __future__ import annotations

import threading

import pytest

from dispatcher.backends.base import Terms
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Doubt, Label, RunState, new_run_id
from dispatcher.engine.lifecycle import resume, stop
from dispatcher.engine.sweep import survey, sweep
from tests.fakes import EagerClock, FakeCloud

OFFER = Offer(where="fake", machine="m1", device="cpu")


@pytest.fixture
def cloud(tmp_path):
    return FakeCloud(tmp_path / "cloud")


@pytest.fixture
def ctx(stage, cloud):
    return stage.context(backend=lambda _where: cloud, clock=EagerClock())


def forgotten(cloud, age=3600.0):
    label = Label(new_run_id())
    cloud.provision(OFFER, label, Terms())
    cloud.age(label, age)
    return label


def actions(found):
    return [one.action for one in found]


def test_a_machine_that_no_record_knows_is_removed_when_it_is_old_enough(cloud, ctx):
    forgotten(cloud)
    young = forgotten(cloud, age=10)
    found = survey([cloud], ctx)
    assert ["remove", "young"] == sorted(actions(found))
    assert ["removed", "young"] == sorted(actions(sweep([cloud], ctx, found)))
    assert [young] == cloud.alive()
    assert [] == ctx.store.unsettled()


def test_strangers_are_never_touched_unless_asked_for(cloud, ctx):
    label = Label(new_run_id())
    cloud.adopt_stranger(label, "somebody")
    cloud.age(label, 3600)
    assert ["stranger"] == actions(sweep([cloud], ctx, survey([cloud], ctx)))
    assert [label] == cloud.alive()
    assert ["removed"] == actions(sweep([cloud], ctx, survey([cloud], ctx, any_owner=True)))
    assert [] == cloud.alive()


def test_a_survey_changes_nothing(cloud, ctx):
    label = forgotten(cloud)
    assert [True] == [one.left for one in survey([cloud], ctx)]
    assert [label] == cloud.alive()


def test_what_will_not_go_is_said_and_stays_on_the_list(cloud, ctx):
    forgotten(cloud)
    cloud.faults["terminate"] = ["before"]
    (found,) = sweep([cloud], ctx, survey([cloud], ctx))
    assert ("failed", True, "the request did not leave") == (found.action, found.left, found.trouble)
    assert 1 == len(ctx.store.unsettled())


def test_a_running_job_is_kept(stage):
    leave = threading.Event()
    leave.set()
    run = stage.run("sleep 60", ctx=stage.context(detach=leave))
    found = survey([stage.backend], stage.context())
    ours = [one for one in found if one.leftover.label == run.attempt.label]
    assert {"keep"} == set(actions(ours))
    sweep([stage.backend], stage.context(), ours)
    assert RunState.RUNNING == stage.store.get(run.id).state
    assert RunState.FINISHED == stop(run.id, stage.context(), grace=0).state


def test_a_run_in_doubt_is_swept_and_can_then_be_finished(stage, cloud, ctx):
    cloud.faults["terminate"] = ["before"]
    run = stage.run("exit 0", ctx=ctx, offers=[Offer(where="fake", machine="m1", device="cpu")])
    assert Doubt.TEARDOWN == run.doubt
    assert ["removed"] == actions(sweep([cloud], ctx, survey([cloud], ctx)))
    assert RunState.FINISHED == resume(run.id, ctx).state


def test_runs_of_other_computers_are_left_alone_until_their_end(cloud, ctx):
    label = Label(new_run_id())
    cloud.provision(OFFER, label, Terms(max_seconds=7200, client="another"))
    cloud.age(label, 3600)
    assert ["elsewhere"] == actions(sweep([cloud], ctx, survey([cloud], ctx)))
    assert ["remove"] == actions(survey([cloud], ctx, any_owner=True))
    cloud.age(label, 3601)
    assert ["removed"] == actions(sweep([cloud], ctx, survey([cloud], ctx)))
    assert [] == cloud.alive()
