"""Nights on Google Cloud, on paper, when something goes wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.backends.gcp import nights_words
from dispatcher.backends.gcp.nights_bucket import Bucket
from dispatcher.errors import CloudRefused, HostUnreachable, TeardownUnconfirmed, UsageError
from dispatcher.overnight.base import Seen
from tests.unit.backends.gcp.conftest import HOUR, REGION, end


def test_overnight_gcp_one_that_never_fires_is_waited_for_an_hour(armed, ready, gce, time):
    gce.faults.add("jobs.fire", when="drop_before", n=-1)
    night = armed()
    time.advance(HOUR + 120)
    assert "waiting" == ready.nights.look(night, time.now()).phase
    time.advance(HOUR)
    seen = ready.nights.look(night, time.now())
    assert ("never", "never-fired", True) == (seen.phase, seen.reason, seen.stands)


def test_overnight_gcp_a_machine_that_google_took_back_is_told_as_preempted(armed, ready, gce, time):
    night = armed(market="spot")
    time.advance(HOUR + 120)
    [machine] = gce.power.known.values()
    gce.control("preempt", {"instance": machine.name})
    time.advance(60)
    gce.scheduler.clear()
    seen = ready.nights.look(night, time.now())
    assert ("gone", "spot: compute.instances.preempted") == (seen.phase, seen.reason)
    assert not seen.alive


def test_overnight_gcp_a_machine_that_was_powered_off_is_to_be_ended_from_here(armed, ready, gce, time):
    night = armed()
    time.advance(HOUR + 120)
    [machine] = gce.power.known.values()
    gce.control("stop", {"instance": machine.name})
    gce.scheduler.clear()
    time.advance(300)
    seen = ready.nights.look(night, time.now())
    assert ("gone", True) == (seen.phase, seen.alive)
    assert time.now() - seen.outcome["ended"] == pytest.approx(300, abs=2)
    end(gce)


def test_overnight_gcp_a_bucket_that_is_gone_is_told(armed, ready, gce, time):
    night = armed()
    time.advance(HOUR + 120)
    gce.storage.known.clear()
    assert ("running", "bucket-gone") == ((seen := ready.nights.look(night, time.now())).phase, seen.reason)
    end(gce)
    seen = ready.nights.look(night, time.now())
    assert ("gone", "bucket-gone") == (seen.phase, seen.reason)


def test_overnight_gcp_a_trigger_that_cannot_be_deleted_is_loud_and_the_others_go(armed, ready, gce):
    night = armed()
    gce.faults.add("scheduler.projects.locations.jobs.delete", code="forbidden", n=1)
    with pytest.raises(TeardownUnconfirmed, match="may still stand") as why:
        ready.nights.disarm(night)
    assert why.value.fix == f"gcloud scheduler jobs delete {night.trigger} --location {nights_words.HOME}"
    assert [night.trigger] == [one.rpartition("/")[2] for one in gce.control("schedules", {})]
    ready.nights.disarm(night)
    ready.nights.disarm(night)


@pytest.mark.parametrize("fault", [{"when": "drop_before"}, {"code": "authError"}])
def test_overnight_gcp_triggers_that_cannot_be_taken_back_are_told_by_their_names(armed, ready, gce, fault):
    gce.faults.add("scheduler.projects.locations.jobs.create", code="forbidden", match={"body.name": "*-4"})
    every = [gce.faults.add(f"scheduler.projects.locations.jobs.{verb}", n=-1, **fault) for verb in ("list", "delete")]
    with pytest.raises(TeardownUnconfirmed, match="-3, mlrun-night-") as why:
        armed()
    assert 3 == len(gce.control("schedules", {}))
    assert 4 == why.value.fix.count("gcloud scheduler jobs delete mlrun-night-")
    for one in every:
        one.n = 0
    [trigger] = ready.nights.triggers(())
    kept = replace(ready.nights.recall(trigger), rungs=())  # as it was written down before anything was made
    ready.nights.disarm(kept)
    assert [] == gce.control("schedules", {})


def test_overnight_gcp_a_machine_that_google_is_still_making_is_waited_for(armed, ready, gce, time, monkeypatch):
    night = armed()
    time.advance(HOUR + 120)
    end(gce)
    assert "gone" == ready.nights.look(night, time.now()).phase
    operations = ready.nights._operations

    def undecided(night, zone):
        found = operations(night, zone)
        for one in found:
            one.status = "RUNNING"
        return found

    monkeypatch.setattr(ready.nights, "_operations", undecided)
    seen = ready.nights.look(night, time.now() + 2 * HOUR)
    assert ("waiting", "Google is making its machine") == (seen.phase, seen.words)


def test_overnight_gcp_a_line_that_drops_while_a_bucket_is_read_is_an_error_of_ours(armed, ready, gce, monkeypatch, tmp_path):
    night = armed()
    Bucket(ready.account, REGION).put(f"out/{night.label}/1/log/00000", b"said\n")
    seen = Seen("over", place=f"out/{night.label}/1")
    answer = ready.account.answer

    def cut(verb, url, doing, query, **sent):
        found = answer(verb, url, doing, query, **sent)
        found.raw.length_remaining = 100  # as many more bytes were promised
        return found

    with monkeypatch.context() as patched:
        patched.setattr(ready.account, "answer", cut)
        with pytest.raises(HostUnreachable, match="an object"):
            ready.nights.bring_log(seen, night, tmp_path / "home")
    gce.faults.add("storage.objects.list", when="drop_before")
    with pytest.raises(HostUnreachable, match="objects"):
        ready.nights.bring_log(seen, night, tmp_path / "home")
    ready.nights.disarm(night)


def test_overnight_gcp_where_the_scheduler_is_off_there_are_no_triggers(backend, gce):
    said = "Cloud Scheduler API has not been used in project 1 before or it is disabled."
    gce.faults.add("scheduler.projects.locations.jobs.list", code="forbidden", message=said)
    gce.faults.add("scheduler.projects.locations.jobs.list", code="forbidden")
    assert [] == backend.nights.triggers(())
    with pytest.raises(CloudRefused):
        backend.nights.triggers(())


def test_overnight_gcp_a_failure_in_the_middle_leaves_no_trigger(armed, gce):
    gce.faults.add("scheduler.projects.locations.jobs.create", code="forbidden", match={"body.name": "*-3"})
    with pytest.raises(CloudRefused):
        armed()
    assert [] == gce.control("schedules", {})


def test_overnight_gcp_a_time_that_came_meanwhile_is_refused(armed, gce):
    with pytest.raises(UsageError, match="came while"):
        armed(after=-120)
    assert [] == gce.control("schedules", {})
