"""What a night's machine of Google's does before its job: against the lab's bucket, as its own service account."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import urllib.error
from collections.abc import Iterator

import pytest
import requests

from dispatcher import paths
from dispatcher.backends.gcp import nights_roles
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.nights_bucket import Bucket
from tests.lab.clock import SystemClock
from tests.lab.faults import Faults
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

LABEL = "mlrun-0123456789-1"
FOLDER = paths.templates_dir() / "overnight"
JOBS = f"projects/{PROJECT}/locations/us-central1/jobs"


@pytest.fixture
def gce(monkeypatch) -> Iterator[Gce]:
    clock = SystemClock()
    cloud = Gce(PaperHosts(clock), Ledger(clock), Faults(), clock)
    for name, value in cloud.exports().items():
        monkeypatch.setenv(name, value)
    yield cloud
    wrong = list(cloud.violations)
    cloud.close()
    clock.close()
    assert [] == wrong


@pytest.fixture
def bucket(gce) -> Bucket:
    """The project as setup leaves it."""
    account = Account(PROJECT)
    nights_roles.make(account)
    made = Bucket(account, "us-central1")
    made.make()
    return made


@pytest.fixture
def gcp(monkeypatch, tmp_path):
    """The program, its root here."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    fetch = load("fetch")
    monkeypatch.setattr(fetch, "ROOT", str(tmp_path))
    return load("gcp")


@pytest.fixture
def machine(gcp, gce, bucket, monkeypatch):
    """A machine with this id, told so much."""

    def make(number="77", **told):
        token = gce.accounts.token_of(nights_roles.email(Account(PROJECT), nights_roles.MACHINE))
        meta = {
            "instance/id": number,
            "instance/machine-type": "projects/1/machineTypes/e2-standard-2",
            "instance/service-accounts/default/token": json.dumps({"access_token": token, "expires_in": 3599}),
        }

        def ask(_self, path):
            if path not in meta:
                raise urllib.error.HTTPError(path, 404, "no", {}, None)
            return meta[path]

        monkeypatch.setattr(gcp.Cloud, "ask", ask)
        usual = {"label": LABEL, "bucket": bucket.name, "endpoint": gce.url, "triggers": [], "times": [], "until": None}
        return gcp.Cloud({**usual, "due": time.time(), "pause": 0.0, **told})

    return make


def test_overnight_gcp_a_machine_reads_bundles_writes_below_its_name_and_overwrites_nothing(machine, bucket):
    bucket.put("bundles/abc", b"bundle")
    bucket.put("nights/x.json", b"secret record")
    cloud = machine()
    assert b"bundle" == cloud.get("bundles/abc").read()
    assert "e2-standard-2" == cloud.metadata("meta-data/instance-type")
    cloud.put("log/00000000", b"one")
    cloud.put("state.json", b'{"n": 1}')
    cloud.put("state.json", b'{"n": 2}')
    cloud.put("outcome.json", b"{}")
    assert b'{"n": 2}' == bucket.read(f"out/{LABEL}/77/state.json")
    assert b"one" == bucket.read(f"out/{LABEL}/77/log/00000000")
    for key in ("nights/x.json", f"out/{LABEL}/77/outcome.json"):
        with pytest.raises(OSError, match="403"):
            cloud.get(key)
    with pytest.raises(OSError, match="403"):
        cloud.create("bundles/mine", b"x")
    assert not cloud.create(f"out/{LABEL}/77/outcome.json", b"other")


def test_overnight_gcp_the_second_machine_of_a_time_finds_that_it_is_the_second(machine, tmp_path):
    assert machine("1").first()
    assert machine("1").first()  # after a reboot
    (tmp_path / "claimed").unlink()
    assert not machine("2").first()
    assert machine("2", times=[10, 2**40]).first()
    (tmp_path / "claimed").unlink()
    assert machine("3", times=[10, 20, 2**40]).first()


def test_overnight_gcp_a_lost_answer_is_not_taken_for_another_machine(machine, gce):
    gce.faults.add("storage.objects.insert", when="drop_after")
    assert machine().first()


def test_overnight_gcp_triggers_go_whether_they_are_there_or_not(machine, gce, bucket):
    account = nights_roles.email(Account(PROJECT), nights_roles.SCHEDULER)
    target = {"uri": "https://compute.googleapis.com/x", "oauthToken": {"serviceAccountEmail": account}}
    for name in ("mlrun-night-a", "mlrun-night-a-2"):
        document = {"name": f"{JOBS}/{name}", "schedule": "0 1 1 1 *", "timeZone": "Etc/UTC", "httpTarget": target}
        assert requests.post(f"{gce.url}/v1/{JOBS}", json=document, timeout=10).ok
    machine(triggers=[f"{JOBS}/mlrun-night-a{end}" for end in ("", "-2", "-3")]).forget_triggers()
    assert [] == gce.control("schedules", {})


def test_overnight_gcp_secrets_of_others_are_not_readable(machine, gce):
    for name in ("mlrun-TOKEN", "other"):
        gce.control("secret", {"name": name, "value": "s3cret"})
    cloud = machine()
    assert "s3cret" == cloud.secret(f"projects/{PROJECT}/secrets/mlrun-TOKEN")
    with pytest.raises(OSError, match="403"):
        cloud.secret(f"projects/{PROJECT}/secrets/other")


def test_overnight_gcp_a_token_that_is_refused_is_asked_for_again(machine, gce, bucket):
    cloud = machine()
    gce.faults.add("storage.objects.insert", code="authError")
    cloud.put("log/00000000", b"one")
    assert b"one" == bucket.read(f"out/{LABEL}/77/log/00000000")


@pytest.mark.parametrize(
    ("told", "late"),
    [
        ({}, False),
        ({"due": 0.0}, True),
        ({"due": 0.0, "times": [10, 2**40]}, True),
        ({"due": 0.0, "times": [10, int(time.time())]}, False),
    ],
)
def test_overnight_gcp_a_trigger_of_last_year_starts_nothing(machine, told, late):
    assert late == machine(**told).late()


ACTS = {
    "mlrun_night_reads": lambda cloud: cloud.get("bundles/abc"),
    "mlrun_night_writes": lambda cloud: cloud.put("log/00000000", b"one"),
    "mlrun_night_secrets": lambda cloud: cloud.secret(f"projects/{PROJECT}/secrets/mlrun-TOKEN"),
    "mlrun_night_trigger": lambda cloud: cloud.send("DELETE", "cloudscheduler", f"v1/{JOBS}/mlrun-night-a"),
    "mlrun_night_ends": lambda cloud: cloud.send(
        "DELETE", "compute", f"compute/v1/projects/{PROJECT}/zones/us-central1-a/instances/mlrun-a-1"
    ),
}


@pytest.mark.parametrize("role", [one.role for one in nights_roles.GRANTS if one.account == nights_roles.MACHINE])
def test_overnight_gcp_each_of_a_machines_roles_lets_it_do_what_it_must_and_none_is_idle(machine, bucket, gce, role):
    bucket.put("bundles/abc", b"bundle")
    gce.control("secret", {"name": "mlrun-TOKEN", "value": "s3cret"})
    cloud = machine()
    assert answered(ACTS[role], cloud) in (200, 404)  # allowed, whether it is there or not
    gce.identities.bindings = [one for one in gce.identities.bindings if not one["role"].endswith(f"/{role}")]
    gce.identities._grant()
    assert 403 == answered(ACTS[role], cloud)


def answered(act, cloud) -> int:
    try:
        act(cloud)
    except urllib.error.HTTPError as error:
        return error.code
    return 200
