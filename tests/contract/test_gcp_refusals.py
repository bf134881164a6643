"""What Google Cloud refuses, loses, hides and mixes up, met by the backend: nothing is made twice, adopted or left."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest

from dispatcher.backends.base import Terms
from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.domain.run import Label, new_run_id
from dispatcher.errors import CloudRefused, HostError, HostUnreachable, LoginNeeded, NoCapacity, Quota, TeardownUnconfirmed
from dispatcher.jobfile.settings import Gcp
from dispatcher.retries import Policy, SystemClock, wait_until
from tests.contract.test_gcp import OFFER, cloud  # noqa: F401 as a fixture
from tests.lab.gce.places import PROJECT

L4 = replace(OFFER, machine="g2-standard-4", device="L4", count=1, device_memory_gib=24.0, vcpus=4, ram_gib=16)


class Brisk:
    """The computer's clock without its pauses: what is waited for has its turn, and nobody waits."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        import time

        return time.time() + self.ahead

    def monotonic(self) -> float:
        return self.now()

    def sleep(self, seconds, cancel=None) -> bool:
        import time

        self.ahead += seconds
        time.sleep(0.005)
        return False


@pytest.fixture
def clock() -> Brisk:
    return Brisk()


@pytest.fixture
def backend(cloud, clock) -> GcpBackend:  # noqa: F811
    made = GcpBackend(Gcp(project=PROJECT), clock=clock)
    made.account.patience = 0.2
    return made


@pytest.fixture
def label(backend, cloud) -> Label:  # noqa: F811
    chosen = Label(new_run_id())
    yield chosen
    cloud.faults.clear()
    usual = {"unreachable": [], "permissions": None, "api_enabled": True, "billing_enabled": True, "os_login": False}
    cloud.control("set", usual)
    backend.terminate(chosen)


def names(cloud) -> list[str]:  # noqa: F811
    return [one["name"] for one in cloud.control("instances", {})]


def test_gcp_a_lost_answer_is_asked_for_again_and_makes_one_machine(cloud, backend, label):  # noqa: F811
    cloud.faults.add("instances.insert", when="drop_after")
    assert backend.provision(OFFER, label, Terms()).address
    assert ([str(label)], 2) == (names(cloud), sum(one.name == "instances.insert" for one in cloud.front.calls))


def test_gcp_a_throttled_or_failing_insert_is_repeated_until_it_is_taken(cloud, backend, label):  # noqa: F811
    for code in ("rateLimitExceeded", "tooManyRequests", "backendError"):
        cloud.faults.add("instances.insert", code=code)
    cloud.faults.add("instances.insert", code="RESOURCE_OPERATION_RATE_EXCEEDED")
    assert backend.provision(OFFER, label, Terms()).address
    assert [str(label)] == names(cloud)


def test_gcp_the_operations_answer_may_be_lost_too(cloud, backend, label):  # noqa: F811
    cloud.faults.add("zoneOperations.wait", when="drop_before", n=2)
    assert backend.provision(OFFER, label, Terms()).address


def test_gcp_a_stockout_leads_to_the_zones_that_google_names(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"stockouts": [{"zone": "us-central1-[abc]", "others": ["us-central1-f", "us-central1-b"]}]})
    places = backend.placements(OFFER)
    first = next(places)
    with pytest.raises(NoCapacity, match="ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"):
        backend.provision(first, label, Terms())
    second = next(places)
    assert ("us-central1-a", "us-central1-f") == (first.zone, second.zone)
    assert "us-central1-f" == backend.provision(second, Label(label.run, 2), Terms()).details["zone"]
    backend.terminate(Label(label.run, 2))


def test_gcp_a_plain_stockout_is_no_capacity_as_well(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"stockouts": [{"details": False}]})
    with pytest.raises(NoCapacity):
        backend.provision(OFFER, label, Terms())
    assert [] == cloud.left()


@pytest.mark.parametrize("at_once", [False, True])
def test_gcp_a_regional_quota_is_quota_however_it_is_told(cloud, backend, label, at_once):  # noqa: F811
    cloud.control("set", {"quotas": {"us-central1/CPUS": 1.0}, "quota_at_once": at_once})
    with pytest.raises(Quota, match="CPUS"):
        backend.provision(OFFER, label, Terms())


def test_gcp_the_global_quota_of_gpus_is_asked_of_once(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"quotas": {"GPUS_ALL_REGIONS": 0.0}})
    for attempt in (1, 2):
        with pytest.raises(Quota, match="GPUS_ALL_REGIONS") as raised:
            backend.provision(L4, Label(label.run, attempt), Terms())
        assert "iam-admin/quotas" in raised.value.fix
    assert 1 == sum(one.name == "instances.insert" for one in cloud.front.calls)
    backend.terminate(Label(label.run, 2))


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        ({"api_enabled": False}, "gcloud services enable compute.googleapis.com"),
        ({"billing_enabled": False}, "billing"),
        ({"permissions": []}, "mlrun doctor"),
        ({"os_login": True}, "without that policy"),
    ],
)
def test_gcp_accounts_that_are_not_ready_are_told_what_to_do(cloud, backend, label, change, fix):  # noqa: F811
    cloud.control("set", change)
    with pytest.raises(CloudRefused) as raised:
        backend.provision(replace(OFFER, zone="us-central1-a"), label, Terms())
    assert fix in raised.value.fix


def test_gcp_a_project_without_default_network_is_told_what_to_do(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"default_network": False})
    with pytest.raises(CloudRefused, match="network"):
        backend.provision(OFFER, label, Terms())


def test_gcp_a_machine_of_somebody_else_with_our_name_is_left_alone(cloud, backend, label):  # noqa: F811
    body = {
        "name": str(label),
        "labels": {"mlrun-label": str(label), "mlrun-owner": "somebody"},
        "machineType": "zones/us-central1-a/machineTypes/e2-standard-2",
        "disks": [
            {
                "autoDelete": True,
                "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-12"},
            }
        ],
        "networkInterfaces": [{}],
    }
    target = f"/compute/v1/projects/{PROJECT}/zones/us-central1-a/instances?requestId={uuid.uuid4()}"
    assert 200 == cloud.front.answer("POST", target, {}, json.dumps(body).encode()).status
    with pytest.raises(CloudRefused, match="not ours"):
        backend.provision(replace(OFFER, zone="us-central1-a"), label, Terms())
    backend.terminate(label)
    assert [str(label)] == names(cloud)
    cloud.power.clear()


def test_gcp_a_zone_that_does_not_answer_is_unknown_and_not_empty(cloud, backend, label):  # noqa: F811
    backend.provision(OFFER, label, Terms())
    cloud.control("set", {"unreachable": ["us-central1-a"]})
    elsewhere = GcpBackend(Gcp(project=PROJECT), runs=backend._keyring(label).folder / "none")
    elsewhere.account.patience = 0.2
    for look in (lambda: backend.find(label), lambda: elsewhere.find(label), lambda: list(backend.leftovers())):
        with pytest.raises((HostUnreachable, CloudRefused)):
            look()
    with pytest.raises((HostUnreachable, CloudRefused)):
        elsewhere.terminate(label)


def test_gcp_what_other_zones_have_is_listed_before_one_is_told_unknown(cloud, backend, label):  # noqa: F811
    backend.provision(OFFER, label, Terms())
    cloud.control("set", {"unreachable": ["europe-west4-*"]})
    seen = []
    with pytest.raises(HostUnreachable, match="europe-west4-a"):
        seen.extend(one.kind for one in backend.leftovers())
    assert {"instance", "disk", "rule"} == set(seen)


def test_gcp_a_machine_that_was_stopped_by_hand_is_still_there_and_is_removed(cloud, backend, label):  # noqa: F811
    machine = backend.provision(OFFER, label, Terms())
    cloud.control("stop", {"instance": str(label)})
    assert "TERMINATED" == backend.find(label).details["status"]
    assert [0.0] == [one.usd_per_hour for one in backend.leftovers() if one.kind == "instance"]
    with pytest.raises(HostError, match="stopped"):
        backend.connect(machine)
    backend.terminate(label)
    assert [] == cloud.left()


def test_gcp_a_deletion_that_is_refused_is_not_taken_for_done(cloud, backend, label):  # noqa: F811
    backend.provision(OFFER, label, Terms())
    cloud.faults.add("instances.delete", code="forbidden", n=1)
    with pytest.raises((CloudRefused, TeardownUnconfirmed)):
        backend.terminate(label)
    assert backend.find(label) is not None


def test_gcp_a_detached_disk_is_listed_and_removed(cloud, backend, label):  # noqa: F811
    backend.provision(OFFER, label, Terms())
    (machine,) = cloud.power.known.values()
    machine.resource["disks"][0]["autoDelete"] = False
    cloud.power.delete(machine)
    assert ["disk", "rule"] == sorted(one.kind for one in backend.leftovers())
    backend.terminate(label)
    assert ([], []) == (cloud.left(), [one for one in backend.leftovers() if one.label == label])


def test_gcp_why_a_machine_went_is_read_from_its_operations(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"notice_seconds": 0.0})
    backend.provision(replace(OFFER, market="spot"), label, Terms())
    cloud.control("preempt", {"instance": str(label)})
    assert wait_until(lambda: None if cloud.left() else True, Policy(0.01, 0.1, 5.0), SystemClock())
    assert (None, "compute.instances.preempted") == (backend.find(label), backend.fate(label))


def test_gcp_an_image_family_that_died_is_replaced_by_the_newest_left(cloud, backend, label):  # noqa: F811
    cloud.control("set", {"dead_families": [f"common-cu129-ubuntu-{year}-nvidia-580" for year in (2204, 2404)]})
    backend.provision(L4, label, Terms())
    (disk,) = cloud.disks.known.values()
    assert disk["sourceImage"].endswith("common-cu128-ubuntu-2204-nvidia-570-v20261015")


def test_gcp_without_a_project_or_login_the_next_command_is_told(cloud, monkeypatch):  # noqa: F811
    monkeypatch.delenv("DISPATCHER_GCP_PROJECT")
    with pytest.raises(LoginNeeded, match="project"):
        GcpBackend(Gcp()).find(Label(new_run_id()))
    monkeypatch.delenv("DISPATCHER_GCP_ENDPOINT")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    away = GcpBackend(Gcp(project=PROJECT))
    with pytest.raises(LoginNeeded) as raised:
        away.find(Label(new_run_id()))
    assert "gcloud auth application-default login" == raised.value.fix
    assert {False} == {one.usable for one in away.offers(replace_need())}


def replace_need():
    from dispatcher.domain.plan import Requirements

    return Requirements(where="gcp/us-central1")


def test_gcp_what_an_insert_says_is_what_the_lifecycle_asks(cloud, backend, label):  # noqa: F811
    backend.provision(replace(L4, market="spot"), label, Terms(max_seconds=7200, disk_gb=100.0, run_name="pets", client="desk"))
    ((_, sent),) = [(one.query, one.body) for one in cloud.front.calls if one.name == "instances.insert"]
    assert {
        "maxRunDuration": {"seconds": "7200"},
        "instanceTerminationAction": "DELETE",
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "provisioningModel": "SPOT",
    } == sent["scheduling"]
    metadata = {one["key"]: one["value"] for one in sent["metadata"]["items"]}
    assert ("TRUE", "TRUE") == (metadata["block-project-ssh-keys"], metadata["enable-guest-attributes"])
    assert "mlrun-limits: max_seconds=7200" in metadata["startup-script"]
    assert "ssh-keys" not in metadata
    tags = {"mlrun-label": str(label), "mlrun-run": label.run, "mlrun-owner": "lab", "mlrun-client": "desk"}
    assert tags | {"mlrun-max-seconds": "7200", "mlrun-name": "pets"} == sent["labels"]
    (disk,) = sent["disks"]
    assert (True, "94", sent["labels"]) == (
        disk["autoDelete"],
        disk["initializeParams"]["diskSizeGb"],
        disk["initializeParams"]["labels"],
    )
    assert "serviceAccounts" not in sent


def test_gcp_only_the_caller_may_enter(cloud, backend, label):  # noqa: F811
    backend.provision(OFFER, label, Terms())
    (host,) = cloud.hosts.hosts.values()
    assert [(22, 22, "198.51.100.7/32")] == [(one.first, one.last, one.cidr) for one in host.rules]
    backend.terminate(label)
    assert ["mlrun-closed"] == cloud.firewalls.made()
