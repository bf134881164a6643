"""Each machine's own schedule, which ends it from outside: armed with it, gone with it, never more than it needs."""

from __future__ import annotations

import copy
import json

import pytest

from dispatcher.backends.aws import ends, standing
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.base import Terms
from dispatcher.domain.run import Label, new_run_id
from dispatcher.engine.context import Context
from dispatcher.engine.sweep import survey, sweep
from dispatcher.store.store import Store
from tests.lab.ec2.iam import Need, check, judge

HOUR = 3600.0
POLICIES = [json.loads(standing.policy()), json.loads(standing.policy("schedules"))]
FREE = {"sts:GetCallerIdentity"}


@pytest.fixture
def role(backend):
    return ends.make(backend.account)


@pytest.fixture
def guarded(role, backend, offer, label):
    """A machine of an hour, with its schedule."""
    made = backend.provision(offer, label, Terms(max_seconds=3600))
    assert "" == backend.guard(made)
    return made


def schedules(ec2) -> list[str]:
    return ec2.server.others.schedules.names()


def alive(ec2) -> int:
    return len(ec2.control("instances", {}))


def test_a_machine_that_hangs_is_ended_at_its_limit(guarded, ec2, hosts, time):
    hosts.hang(guarded.details["id"])
    time.advance(HOUR)
    assert (1, 1) == (alive(ec2), len(schedules(ec2)))
    time.advance(300.0)
    assert (0, []) == (alive(ec2), schedules(ec2))


def test_it_goes_with_its_machine(guarded, backend, ec2, label):
    assert {"instance", "volume", "rule", "schedule"} == {one.kind for one in backend.leftovers()}
    assert {(label, backend.owner)} == {(one.label, one.owner) for one in backend.leftovers()}
    backend.terminate(label)
    assert ([], [], None) == (schedules(ec2), list(backend.leftovers()), backend.find(label))


def test_it_stays_while_its_machine_does(guarded, backend, ec2, label):
    ec2.control("fault", {"action": "TerminateInstances", "code": "InternalError", "n": -1})
    with pytest.raises(Exception, match="InternalError"):
        backend.terminate(label)
    assert 1 == len(schedules(ec2))


def test_it_is_armed_once_whoever_asks_again_and_after_a_lost_answer(role, backend, offer, label, ec2):
    ec2.control("fault", {"action": "CreateSchedule", "when": "drop_after"})
    made = backend.provision(offer, label, Terms(max_seconds=3600))
    assert "" == backend.guard(made)
    assert "" == AwsBackend(backend.settings, runs=backend._runs, clock=backend._clock).guard(made)
    assert 1 == len(schedules(ec2))


def test_without_the_role_nothing_is_armed_and_nothing_is_asked_of_the_scheduler(backend, offer, label, ec2):
    made = backend.provision(offer, label, Terms())
    assert ("", "") == (backend.guard(made), backend.watched())
    backend.terminate(label)
    assert [] == [call for call in ec2.calls if call["action"].endswith(("CreateSchedule", "ListSchedules", "DeleteSchedule"))]


def test_a_schedule_that_nobody_remembers_is_swept(guarded, backend, ec2, tmp_path, time):
    asked = {"InstanceIds": [guarded.details["id"]]}
    backend.account.call("ec2", "us-east-1", "terminate_instances", "an end by hand", **asked)
    time.advance(700.0)
    other = AwsBackend(backend.settings, runs=tmp_path / "elsewhere", clock=backend._clock)
    with Store.open(tmp_path / "other" / "runs.sqlite3") as store:
        ctx = Context(store, lambda _where: other, clock=backend._clock)
        found = sweep([other], ctx, survey([other], ctx))
    assert {"removed"} == {one.action for one in found if one.leftover.kind == "schedule"}
    assert [] == schedules(ec2)


def test_who_may_not_set_it_is_told_and_has_the_machine(role, offer, ec2, settings, clock, tmp_path, monkeypatch, label):
    some = copy.deepcopy(POLICIES)
    some[1]["Statement"] = [one for one in some[1]["Statement"] if one["Action"] == "iam:GetRole"]
    become(ec2, monkeypatch, some)
    backend = AwsBackend(settings, runs=tmp_path / "runs", clock=clock)
    made = backend.provision(offer, label, Terms())
    assert "scheduler:CreateSchedule" in backend.guard(made)
    backend.terminate(label)
    assert backend.find(label) is None


@pytest.fixture
def story(role, ec2, settings, clock, tmp_path, offer, monkeypatch):
    """All that mlrun asks for a machine with a schedule, by somebody who has both policies."""
    become(ec2, monkeypatch, POLICIES)
    backend = AwsBackend(settings, runs=tmp_path / "runs", clock=clock)
    label = Label(new_run_id())
    assert "" == backend.guard(backend.provision(offer, label, Terms()))
    assert "schedule" in {one.kind for one in backend.leftovers()}
    backend.terminate(label)
    return [Need(**need) for call in ec2.calls if call["by"] == "trainee" for need in call["needs"]]


def test_the_policies_are_enough_and_none_of_the_new_permissions_is_idle(story):
    whole = allowed(POLICIES, story)
    idle = [
        action
        for place, statement in enumerate(POLICIES[1]["Statement"])
        for action in several(statement["Action"])
        if allowed([POLICIES[0], without(place, action)], story) == whole
    ]
    refused = {need.action for number, need in enumerate(story) if number not in whole} - FREE
    assert (set(), []) == (refused, idle)


def test_the_role_ends_only_machines_that_carry_their_limit(backend):
    number = backend.account.identity()["Account"]
    policy = {"Version": "2012-10-17", "Statement": [ends.may_end(number)]}
    assert [] == check(policy)
    machine = f"arn:aws:ec2:eu-west-1:{number}:instance/i-1"
    assert judge([policy], Need("ec2:TerminateInstances", machine, {"aws:resourcetag/mlrun-max-seconds": ["60"]})).allowed
    assert not judge([policy], Need("ec2:TerminateInstances", machine, {})).allowed
    assert not judge([policy], Need("ec2:RunInstances", machine, {"aws:resourcetag/mlrun-max-seconds": ["60"]})).allowed


def test_the_role_stays_for_whoever_still_needs_it(backend):
    from dispatcher.backends.aws import reaper, roles

    roles.make(backend.account)
    reaper.make(backend.account)
    reaper.remove(backend.account)
    assert ends.there(backend.account)
    roles.remove(backend.account)
    assert [ends.ROLE] == ends.remove(backend.account, unless=reaper.NAME)
    assert not ends.there(backend.account)


def become(ec2, monkeypatch, policies) -> None:
    for name, value in ec2.control("user", {"name": "trainee", "policy": policies}).items():
        monkeypatch.setenv(name, value)


def allowed(policies, needs) -> set[int]:
    return {number for number, need in enumerate(needs) if judge(policies, need).allowed}


def several(value):
    return value if isinstance(value, list) else [value]


def without(place, action):
    changed = copy.deepcopy(POLICIES[1])
    kept = [one for one in several(changed["Statement"][place]["Action"]) if one != action]
    changed["Statement"][place]["Action"] = kept or ["nothing:AtAll"]
    return changed
