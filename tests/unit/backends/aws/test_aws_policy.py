"""The shipped policy: everything a run needs, and nothing that it does not."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from dispatcher.backends.aws import contact, prices, reaper, standing
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.aws.client import Account
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.tags import RUN
from dispatcher.doctor.aws import aws_checks
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import CloudRefused
from tests.lab.ec2.iam import Need, judge
from tests.unit.backends.aws.conftest import keep_disks

POLICY = json.loads(standing.policy())
FREE = {"sts:GetCallerIdentity"}
"""What AWS answers to everybody who is signed in."""
NO_IS_AN_ANSWER = {"iam:GetRole"}
"""Who may not see whether machines can have schedules of their own has machines without."""


@pytest.fixture
def user(ec2, monkeypatch):
    """Somebody who may do what the policy says, and nothing else, in an account whose owner has set up the reaper."""
    reaper.make(Account())
    for name, value in ec2.control("user", {"name": "trainee", "policy": POLICY}).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def story(ec2, user, settings, offer, clock, tmp_path):
    """All that mlrun asks of AWS: plans, runs beside each other, another computer, ends, the doctor, setting up, removing."""
    backend = AwsBackend(settings, runs=tmp_path / "runs", clock=clock)
    account = backend.account
    gpu = replace(offer, machine="g4dn.xlarge", device="T4", count=1, zone=None, market="spot")
    account.regions()
    standing.make(account, "us-east-1", None)
    assert "error" not in {check.level for check in aws_checks(settings, account)}
    assert "reaper" == backend.watched()
    prices.quote(account, "us-east-1", "g4dn.xlarge", "on-demand")
    account.call("ec2", "us-east-1", "describe_instance_types", "the types", InstanceTypes=["g4dn.xlarge"])
    labels = [Label(new_run_id()), Label(new_run_id())]
    made = [backend.provision(next(iter(backend.placements(gpu))), label, Terms(max_hourly=5.0)) for label in labels]
    contact.say_host_key(account, made[0], "ssh-ed25519 AAAA")
    contact.printed(account, made[0])
    contact.lend_key(account, made[0], backend._keyring(labels[0]).public_key())
    keep_disks(ec2)
    assert set(labels) == {backend.find(label).label for label in labels}
    for label in labels:
        backend.terminate(label)
    assert [] == list(backend.leftovers())
    assert [True] == [standing.remove(account, one) for one in standing.standing(account, settings.regions)]
    with pytest.raises(CloudRefused, match="not allowed"):
        account.call("ec2", "us-east-1", "import_key_pair", "a key", KeyName="x", PublicKeyMaterial=b"ssh-ed25519 AAAA")
    return [Need(**need) for call in ec2.calls if call["by"] != "admin" for need in call["needs"]]


def allowed(policy, needs) -> set[int]:
    return {number for number, need in enumerate(needs) if judge([policy], need).allowed}


def test_the_policy_lets_a_run_happen_and_none_of_its_permissions_is_idle(story):
    whole = allowed(POLICY, story)
    idle = [
        f"{statement.get('Sid')}: {action}"
        for place, statement in enumerate(POLICY["Statement"])
        for action in _several(statement["Action"])
        if allowed(_without(place, action), story) == whole
    ]
    refused = {need.action for number, need in enumerate(story) if number not in whole} - FREE - NO_IS_AN_ANSWER
    assert ({"ec2:ImportKeyPair"}, []) == (refused, idle)


def test_it_ends_no_machine_of_anybody_else(ec2, backend, offer, settings, user, clock, tmp_path, monkeypatch):
    for name, value in ec2.exports().items():
        monkeypatch.setenv(name, value)
    label = Label(new_run_id())
    made = backend.provision(offer, label, Terms())
    for name, value in ec2.control("user", {"name": "trainee", "policy": POLICY}).items():
        monkeypatch.setenv(name, value)
    other = AwsBackend(settings, runs=tmp_path / "other", clock=clock)
    assert made.label == other.find(label).label
    with pytest.raises(CloudRefused, match="ec2:TerminateInstances"):
        other.terminate(label)
    assert [label] == [one.label for one in other.leftovers() if one.kind == "instance" and one.tags[RUN] == label.run]


@pytest.mark.parametrize(
    "field",
    [
        {"MetadataOptions": {"HttpTokens": "optional"}},
        {"TagSpecifications": []},
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": False, "VolumeSize": 20}}]},
    ],
)
def test_it_launches_nothing_that_is_not_as_ours_are(ec2, user, settings, offer, clock, tmp_path, monkeypatch, field):
    from dispatcher.backends.aws import backend as module

    made = module.request
    monkeypatch.setattr(module, "request", lambda *given: made(*given) | field)
    with pytest.raises(CloudRefused, match="ec2:RunInstances"):
        AwsBackend(settings, runs=tmp_path, clock=clock).provision(offer, Label(new_run_id()), Terms())


def _several(value):
    return value if isinstance(value, list) else [value]


def _without(place, action):
    changed = copy.deepcopy(POLICY)
    kept = [one for one in _several(changed["Statement"][place]["Action"]) if one != action]
    changed["Statement"][place]["Action"] = kept or ["nothing:AtAll"]
    return changed
