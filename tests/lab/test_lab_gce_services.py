"""The lab's Cloud Scheduler, Cloud Storage and Secret Manager, and who may do what with them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import requests

from tests.lab.clock import PaperClock
from tests.lab.faults import Faults
from tests.lab.gce.cloud import Gce
from tests.lab.gce.judging import holds, understood
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

DAY, HOUR = 86400.0, 3600.0
TRIGGER = f"trigger@{PROJECT}.iam.gserviceaccount.com"
MAY = ["compute.instances.create", "compute.disks.create", "compute.subnetworks.use"]
JOBS = f"/v1/projects/{PROJECT}/locations/us-central1/jobs"
COMPUTE = f"https://compute.googleapis.com/compute/v1/projects/{PROJECT}/zones/us-central1-a/instances"


@dataclass
class Lab:
    """The cloud on paper hosts, asked by plain HTTP."""

    clock: PaperClock = field(default_factory=PaperClock)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.clock)
        self.gce = Gce(PaperHosts(self.clock), self.ledger, self.faults, self.clock)

    def ask(self, verb, path, body=None, **query):
        raw = {"data": body} if isinstance(body, bytes) else {"json": body}
        return requests.request(verb, self.gce.url + path, params=query, timeout=10, **raw)

    def bucket(self, **more):
        return self.ask("POST", "/storage/v1/b", {"name": "mlrun-lab", "location": "us-central1", **more}, project=PROJECT)

    def put(self, name, content, **query):
        return self.ask("POST", "/upload/storage/v1/b/mlrun-lab/o", content, uploadType="media", name=name, **query)

    def get(self, name, **query):
        return self.ask("GET", f"/storage/v1/b/mlrun-lab/o/{quote(name, safe='')}", **query)

    def job(self, name="night", uri=COMPUTE, schedule="0 23 * * *", **more):
        wanted = {"name": "one", "machineType": "zones/us-central1-a/machineTypes/e2-small"}
        image = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
        wanted["disks"] = [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": image}}]
        wanted["networkInterfaces"] = [{"network": "global/networks/default"}]
        body = base64.b64encode(json.dumps(wanted).encode()).decode()
        target = {"uri": uri, "httpMethod": "POST", "body": body, "oauthToken": {"serviceAccountEmail": TRIGGER}}
        document = {"name": f"{JOBS[4:]}/{name}", "schedule": schedule, "timeZone": "Etc/UTC", "httpTarget": target, **more}
        return self.ask("POST", JOBS, document)

    def machines(self):
        return [one["name"] for one in self.gce.control("instances", {})]


@pytest.fixture
def lab():
    made = Lab()
    made.gce.control("set", {"accounts": {TRIGGER: MAY}})
    yield made
    wrong = list(made.gce.violations)
    made.gce.close()
    assert [] == wrong


def test_an_object_is_kept_listed_read_and_deleted_by_a_name_with_slashes(lab):
    assert 200 == lab.bucket().status_code
    assert "3" == lab.put("out/a b/1:x", b"abc").json()["size"]
    assert b"abc" == lab.get("out/a b/1:x", alt="media").content
    assert "out/a b/1:x" == lab.get("out/a b/1:x").json()["name"]
    lab.put("other", b"")
    assert ["out/a b/1:x"] == [
        one["name"] for one in lab.ask("GET", "/storage/v1/b/mlrun-lab/o", prefix="out/").json()["items"]
    ]
    assert 409 == lab.ask("DELETE", "/storage/v1/b/mlrun-lab").status_code
    assert 200 == lab.ask("DELETE", "/storage/v1/b/mlrun-lab/o/out%2Fa%20b%2F1%3Ax").status_code
    assert 404 == lab.get("out/a b/1:x").status_code


def test_long_lists_come_in_pages(lab):
    lab.bucket()
    for number in range(5):
        lab.put(f"n{number}", b"")
    first = lab.ask("GET", "/storage/v1/b/mlrun-lab/o", maxResults=3).json()
    second = lab.ask("GET", "/storage/v1/b/mlrun-lab/o", maxResults=3, pageToken=first["nextPageToken"]).json()
    assert ["n0", "n1", "n2", "n3", "n4"] == [one["name"] for one in first["items"] + second["items"]]
    assert "nextPageToken" not in second


def test_a_generation_that_does_not_match_writes_nothing(lab):
    lab.bucket()
    assert [200, 412] == [lab.put("claim", text, ifGenerationMatch=0).status_code for text in (b"1", b"2")]
    assert b"1" == lab.get("claim", alt="media").content


def test_objects_go_when_they_are_old_enough(lab):
    lab.bucket(lifecycle={"rule": [{"action": {"type": "Delete"}, "condition": {"age": 30}}]})
    lab.put("old", b"")
    lab.clock.advance(29 * DAY)
    lab.put("new", b"")
    assert 200 == lab.get("old").status_code
    lab.clock.advance(2 * DAY)
    assert (404, 200) == (lab.get("old").status_code, lab.get("new").status_code)


def test_who_may_only_create_neither_overwrites_nor_reads(lab):
    lab.bucket()
    condition = 'resource.name.extract("/objects/{name}").startsWith("out/")'
    lab.gce.control("set", {"permissions": [f"storage.objects.create?{condition}"]})
    assert [200, 403, 403] == [lab.put(name, b"x").status_code for name in ("out/1", "out/1", "elsewhere")]
    assert 403 == lab.get("out/1").status_code


def test_a_condition_reads_the_resource_and_others_are_not_taken(lab):
    both = 'resource.name.startsWith("projects/_/buckets/b-") && resource.name.extract("/objects/{x}").startsWith("in/")'
    assert holds(both, "projects/_/buckets/b-1/objects/in/1")
    assert not holds(both, "projects/_/buckets/c-1/objects/in/1")
    assert not holds(both, "projects/_/buckets/b-1/objects/out/in/1")
    assert not understood("request.time < x")
    policy = {"version": 3, "bindings": [{"role": "r", "members": [], "condition": {"title": "t", "expression": "true"}}]}
    url = f"/v1/projects/{PROJECT}:setIamPolicy"
    assert 400 == lab.ask("POST", url, {"policy": policy}).status_code


def test_a_job_fires_at_its_minute_by_its_accounts_name_and_again_the_day_after(lab):
    assert "2027-01-15T23:00:00.000000Z" == lab.job().json()["scheduleTime"]
    lab.clock.advance(16 * HOUR)
    assert ["one"] == lab.machines()
    assert TRIGGER == next(one["principal"] for one in lab.gce.control("calls", {}) if one["name"] == "instances.insert")
    lab.clock.advance(DAY)
    assert 2 == lab.ledger.count("jobs.fire")
    assert 6 == lab.ask("GET", f"{JOBS}/night").json()["status"]["code"]


def test_a_deleted_job_does_not_fire(lab):
    lab.job()
    assert 409 == lab.job().status_code
    assert ["night"] == [one["name"].rpartition("/")[2] for one in lab.ask("GET", JOBS).json()["jobs"]]
    assert 200 == lab.ask("DELETE", f"{JOBS}/night").status_code
    lab.clock.advance(2 * DAY)
    assert ([], 404) == (lab.machines(), lab.ask("GET", f"{JOBS}/night").status_code)


@pytest.mark.parametrize(("fault", "made"), [("drop_before", 0), ("drop_after", 1), ("late", 1)])
def test_a_job_can_fire_twice_late_or_never(lab, fault, made):
    lab.faults.add("jobs.fire", when=fault, seconds=600)
    lab.job()
    lab.clock.advance(16 * HOUR)
    assert made == len(lab.machines())
    assert (2 if fault == "drop_after" else 1) == lab.ledger.count("jobs.fire")


def test_a_refused_attempt_is_repeated_as_often_as_the_job_says(lab):
    lab.gce.control("set", {"accounts": {TRIGGER: []}})
    lab.job(retryConfig={"retryCount": 2})
    lab.clock.advance(16 * HOUR)
    assert (3, []) == (lab.ledger.count("jobs.fire", "403"), lab.machines())
    assert 7 == lab.ask("GET", f"{JOBS}/night").json()["status"]["code"]


def test_a_job_that_no_scheduler_would_take_is_refused(lab):
    wrong = [
        lab.job(schedule="61 * * * *"),
        lab.job(uri="https://example.com/"),
        lab.job(timeZone="Mars/One"),
        lab.job(retryConfig={"retryCount": 9}),
    ]
    assert {400} == {one.status_code for one in wrong}
    lab.gce.control("set", {"accounts": {}})
    assert 404 == lab.job().status_code
    lab.gce.control("set", {"accounts": {TRIGGER: []}, "permissions": ["cloudscheduler.jobs.create"]})
    assert 403 == lab.job().status_code
    lab.gce.control("set", {"permissions": ["cloudscheduler.jobs.create", f"iam.serviceAccounts.actAs@{TRIGGER}"]})
    assert 200 == lab.job().status_code


def test_a_secrets_newest_value_is_read_until_it_is_taken_away(lab):
    path = f"/v1/projects/{PROJECT}/secrets/mlrun-TOKEN"
    assert 404 == lab.ask("GET", path).status_code
    lab.gce.control("secret", {"name": "mlrun-TOKEN", "value": "s3cret"})
    told = lab.ask("GET", f"{path}/versions/latest:access").json()
    assert b"s3cret" == base64.b64decode(told["payload"]["data"])
    lab.gce.control("secret", {"name": "mlrun-TOKEN", "value": None})
    assert 404 == lab.ask("GET", path).status_code
