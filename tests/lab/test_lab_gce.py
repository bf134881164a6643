"""The stand-in Compute Engine speaks and behaves as Google's does, and its own assertions can fail."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass, field

import pytest

from tests.lab.clock import PaperClock
from tests.lab.faults import Faults
from tests.lab.gce.cloud import Gce
from tests.lab.gce.places import PROJECT
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts
from tests.lab.seams import Rule

ZONE = "us-central1-a"
IMAGE = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"


@dataclass
class Lab:
    """The cloud on paper hosts, and Google's own client beside it."""

    clock: PaperClock = field(default_factory=PaperClock)
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        from google.auth.credentials import AnonymousCredentials

        self.ledger, self.hosts = Ledger(self.clock), PaperHosts(self.clock)
        self.gce = Gce(self.hosts, self.ledger, self.faults, self.clock)
        self.options = {"credentials": AnonymousCredentials(), "client_options": {"api_endpoint": self.gce.url}}

    def client(self, name: str):
        from google.cloud import compute_v1

        return getattr(compute_v1, f"{name}Client")(**self.options)

    def insert(self, name: str = "one", *, zone: str = ZONE, request: str | None = None, **fields):
        from google.cloud import compute_v1 as api

        asked = api.InsertInstanceRequest(
            project=PROJECT, zone=zone, instance_resource=wish(name, zone, **fields), request_id=request or str(uuid.uuid4())
        )
        return self.client("Instances").insert_unary(asked, retry=None, timeout=5)

    def outcome(self, operation, zone: str = ZONE):
        return self.client("ZoneOperations").wait(project=PROJECT, zone=zone, operation=operation.name)

    def get(self, name: str = "one", zone: str = ZONE):
        return self.client("Instances").get(project=PROJECT, zone=zone, instance=name)

    def metadata(self, path: str, name: str = "one", method: str = "GET", body: bytes = b"", **headers: str):
        host = self.gce.control("host", {"instance": name})
        return self.hosts.hosts[host].spec.metadata(method, path, headers or {"metadata-flavor": "Google"}, body)


def wish(name: str, zone: str, machine: str = "e2-standard-2", image: str = IMAGE, **fields):
    from google.cloud import compute_v1 as api

    boot = api.AttachedDiskInitializeParams(source_image=image, disk_size_gb=20, labels={"mlrun-run": "r1"})
    settings = {
        "name": name,
        "machine_type": f"zones/{zone}/machineTypes/{machine}",
        "labels": {"mlrun-run": "r1"},
        "disks": [api.AttachedDisk(boot=True, auto_delete=True, initialize_params=boot)],
        "network_interfaces": [api.NetworkInterface(access_configs=[api.AccessConfig(type_="ONE_TO_ONE_NAT")])],
    }
    return api.Instance(**(settings | fields))


def limited(seconds: int, **more):
    from google.cloud import compute_v1 as api

    settings = {"instance_termination_action": "DELETE", "automatic_restart": False, "on_host_maintenance": "TERMINATE"}
    return api.Scheduling(max_run_duration=api.Duration(seconds=seconds), **(settings | more))


@pytest.fixture
def lab():
    made = Lab()
    yield made
    wrong = list(made.gce.violations)
    made.gce.close()
    assert ([], []) == (wrong, made.gce.left())


def codes(operation) -> list[str]:
    return [one.code for one in operation.error.errors]


def test_gcp_an_insert_boots_a_host_and_a_delete_leaves_nothing(lab):
    assert [] == codes(lab.outcome(lab.insert()))
    shown = lab.get()
    assert ("RUNNING", 1) == (shown.status, len(lab.hosts.hosts))
    assert shown.network_interfaces[0].access_configs[0].nat_i_p.startswith("198.18.")
    lab.clock.advance(60)
    lab.client("Instances").delete_unary(project=PROJECT, zone=ZONE, instance="one")
    assert ([], 0, [], 60.0) == (lab.gce.left(), len(lab.hosts.hosts), lab.ledger.open(), lab.ledger.seconds(mlrun_run="r1"))


def test_gcp_one_request_id_makes_one_operation_and_a_name_is_taken_once(lab):
    from google.api_core.exceptions import Conflict

    request = str(uuid.uuid4())
    assert lab.insert(request=request).name == lab.insert(request=request).name
    with pytest.raises(Conflict) as raised:
        lab.insert()
    assert ("alreadyExists", 1) == (raised.value.errors[0]["reason"], len(lab.hosts.hosts))


def test_gcp_an_answer_lost_after_its_effect_is_found_by_the_request_id(lab):
    from google.api_core.exceptions import GoogleAPICallError
    from requests.exceptions import ConnectionError as Lost

    lab.faults.add("instances.insert", when="drop_after")
    request = str(uuid.uuid4())
    with pytest.raises((GoogleAPICallError, Lost)):
        lab.insert(request=request)
    listed = lab.client("ZoneOperations").list({"project": PROJECT, "zone": ZONE, "filter": f'clientOperationId="{request}"'})
    assert (["insert"], 1) == ([one.operation_type for one in listed], len(lab.hosts.hosts))
    assert 1 == lab.ledger.count("instances.insert", "lost")


def test_gcp_a_stockout_comes_with_the_operation_and_names_other_zones(lab):
    lab.gce.control("set", {"stockouts": [{"zone": ZONE, "machine": "g2-*", "others": ["us-central1-b"]}]})
    failed = lab.outcome(lab.insert(machine="g2-standard-4", scheduling=limited(3600)))
    assert ["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"] == codes(failed)
    details = [one.error_info.metadatas for one in failed.error.errors[0].error_details if "error_info" in one]
    assert ["us-central1-b"] == [one["zonesAvailable"] for one in details]
    assert [] == codes(
        lab.outcome(lab.insert(zone="us-central1-b", machine="g2-standard-4", scheduling=limited(3600)), "us-central1-b")
    )


@pytest.mark.parametrize("metric", ["us-central1/PREEMPTIBLE_NVIDIA_L4_GPUS", "GPUS_ALL_REGIONS"])
def test_gcp_a_quota_is_kept_and_named(lab, metric):
    lab.gce.control("set", {"quotas": {metric: 0.0}})
    failed = lab.outcome(lab.insert(machine="g2-standard-4", scheduling=limited(3600)))
    assert (["QUOTA_EXCEEDED"], True) == (codes(failed), metric.rpartition("/")[2] in failed.error.errors[0].message)


def test_gcp_a_quota_can_refuse_at_once(lab):
    from google.api_core.exceptions import Forbidden

    lab.gce.control("set", {"quotas": {"us-central1/CPUS": 1.0}, "quota_at_once": True})
    with pytest.raises(Forbidden) as raised:
        lab.insert()
    assert "quotaExceeded" == raised.value.errors[0]["reason"]


def test_gcp_any_code_can_be_made_to_fail_an_operation(lab):
    lab.faults.add("instances.insert", code="RESOURCE_OPERATION_RATE_EXCEEDED", match={"zone": ZONE})
    assert ["RESOURCE_OPERATION_RATE_EXCEEDED"] == codes(lab.outcome(lab.insert()))
    assert [] == lab.gce.left()


def test_gcp_max_run_duration_deletes_machine_and_disk(lab):
    lab.insert(scheduling=limited(3600))
    lab.clock.advance(3599)
    assert "RUNNING" == lab.get().status
    lab.clock.advance(2)
    assert ([], [], 3600.0) == (lab.gce.left(), lab.ledger.open(), lab.ledger.seconds())


def test_gcp_a_stop_clears_the_limit_and_the_disk_goes_on_costing(lab):
    lab.insert(scheduling=limited(3600))
    lab.clock.advance(600)
    lab.client("Instances").stop_unary(project=PROJECT, zone=ZONE, instance="one")
    lab.clock.advance(10_000)
    shown = lab.get()
    assert ("TERMINATED", "") == (shown.status, shown.resource_status.scheduling.termination_timestamp)
    assert ["disk"] == [line.kind for line in lab.ledger.open()]
    lab.client("Instances").start_unary(project=PROJECT, zone=ZONE, instance="one")
    lab.clock.advance(3599)
    assert "RUNNING" == lab.get().status
    lab.clock.advance(2)
    assert (600.0 + 3600.0, []) == (lab.ledger.seconds(), lab.ledger.open())


def test_gcp_a_poweroff_inside_only_stops_it(lab):
    lab.insert(scheduling=limited(3600))
    lab.hosts.shut_down(lab.gce.control("host", {"instance": "one"}))
    assert ("TERMINATED", ["disk"]) == (lab.get().status, [line.kind for line in lab.ledger.open()])


def test_gcp_preemption_gives_notice_and_then_takes_the_machine(lab):
    lab.insert(scheduling=limited(3600, provisioning_model="SPOT"))
    preempted = "/computeMetadata/v1/instance/preempted"
    assert b"FALSE" == lab.metadata(preempted).body
    lab.gce.control("preempt", {"instance": "one"})
    assert (b"TRUE", "RUNNING") == (lab.metadata(preempted).body, lab.get().status)
    lab.clock.advance(31)
    assert [] == lab.gce.left()


def test_gcp_waiting_for_the_metadata_to_change_ends_when_it_does(lab):
    lab.insert(scheduling=limited(3600, provisioning_model="SPOT"))
    said = []
    path = "/computeMetadata/v1/instance/preempted?wait_for_change=true&timeout_sec=10"
    waiting = threading.Thread(target=lambda: said.append(lab.metadata(path).body))
    waiting.start()
    lab.gce.control("preempt", {"instance": "one"})
    waiting.join(10)
    assert [b"TRUE"] == said


def test_gcp_the_metadata_server_wants_its_header_and_tells_attributes(lab):
    from google.cloud import compute_v1 as api

    metadata = api.Metadata(items=[api.Items(key="startup-script", value="echo hi"), api.Items(key="ssh-keys", value="a:b")])
    lab.insert(metadata=metadata)
    path = "/computeMetadata/v1/instance/attributes/startup-script"
    assert (403, b"echo hi") == (lab.metadata(path, **{"x-none": "1"}).status, lab.metadata(path).body)
    tree = json.loads(lab.metadata("/computeMetadata/v1/instance/?recursive=true").body)
    assert ("one", "echo hi", "e2-standard-2") == (
        tree["name"],
        tree["attributes"]["startup-script"],
        tree["machineType"].rpartition("/")[2],
    )
    assert 404 == lab.metadata("/computeMetadata/v1/instance/attributes/absent").status


def test_gcp_guest_attributes_written_inside_are_read_outside_where_enabled(lab):
    from google.api_core.exceptions import NotFound
    from google.cloud import compute_v1 as api

    lab.insert(metadata=api.Metadata(items=[api.Items(key="enable-guest-attributes", value="TRUE")]))
    asked = api.GetGuestAttributesInstanceRequest(project=PROJECT, zone=ZONE, instance="one", query_path="hostkeys/")
    with pytest.raises(NotFound):
        lab.client("Instances").get_guest_attributes(asked)
    path = "/computeMetadata/v1/instance/guest-attributes/hostkeys/ssh-ed25519"
    assert 200 == lab.metadata(path, method="PUT", body=b"AAAAC3").status
    found = lab.client("Instances").get_guest_attributes(asked)
    assert [("ssh-ed25519", "AAAAC3")] == [(one.key, one.value) for one in found.query_value.items]
    lab.insert("two")
    assert 403 == lab.metadata(path, "two", method="PUT", body=b"x").status


def test_gcp_a_machine_with_a_service_account_can_delete_itself_and_no_other(lab):
    from google.cloud import compute_v1 as api

    email = f"mlrun-machine@{PROJECT}.iam.gserviceaccount.com"
    lab.gce.control("set", {"accounts": {email: ["compute.instances.delete@one"]}})
    scope = "https://www.googleapis.com/auth/cloud-platform"
    lab.insert(service_accounts=[api.ServiceAccount(email=email, scopes=[scope])])
    lab.insert("two")
    token = json.loads(lab.metadata("/computeMetadata/v1/instance/service-accounts/default/token").body)["access_token"]
    here = f"/compute/v1/projects/{PROJECT}/zones/{ZONE}/instances"
    bearer = {"authorization": f"Bearer {token}"}
    assert 403 == lab.metadata(f"{here}/two", method="DELETE", **bearer).status
    assert 401 == lab.metadata(f"{here}/one", method="DELETE", **{"x-none": "1"}).status
    assert 200 == lab.metadata(f"{here}/one", method="DELETE", **bearer).status
    assert ["instance us-central1-a/two", "disk us-central1-a/two"] == lab.gce.left()


def test_gcp_firewall_rules_count_in_their_order(lab):
    from google.cloud import compute_v1 as api

    def rule(name: str, priority: int, cidr: str, **what):
        return api.Firewall(name=name, priority=priority, source_ranges=[cidr], target_tags=["mine"], **what)

    lab.insert(tags=api.Tags(items=["mine"]))
    lab.insert("other")
    client = lab.client("Firewalls")
    ssh = api.Allowed(I_p_protocol="tcp", ports=["22"])
    client.insert_unary(
        project=PROJECT, firewall_resource=rule("deny", 900, "0.0.0.0/0", denied=[api.Denied(I_p_protocol="all")])
    )
    client.insert_unary(project=PROJECT, firewall_resource=rule("me", 800, "198.51.100.7/32", allowed=[ssh]))
    mine, other = (lab.hosts.hosts[lab.gce.control("host", {"instance": name})].rules for name in ("one", "other"))
    assert ((Rule(22, 22, "198.51.100.7/32"),), True) == (mine, Rule(22, 22, "0.0.0.0/0") in other)
    client.delete_unary(project=PROJECT, firewall="me")
    assert () == lab.hosts.hosts[lab.gce.control("host", {"instance": "one"})].rules
    assert ["deny"] == lab.gce.firewalls.made()


def test_gcp_a_zone_that_does_not_answer_is_named_in_the_list(lab):
    lab.insert()
    lab.gce.control("set", {"unreachable": [ZONE]})
    pager = lab.client("Instances").aggregated_list(project=PROJECT)
    assert ([], "UNREACHABLE") == ([one for _, scope in pager for one in scope.instances], pager.warning.code)
    assert [f"projects/{PROJECT}/zones/{ZONE}"] == list(pager.unreachables)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"machine": "g2-standard-4", "zone": "us-west1-a"}, "does not exist in zone"),
        ({"machine": "g2-standard-4"}, "do not support live migration"),
        ({"image": "projects/ubuntu-os-cloud/global/images/family/ubuntu-1404"}, "was not found"),
        ({"machine": "c4a-standard-4"}, "not compatible"),
        ({"labels": {"Upper": "x"}}, "Label keys"),
        ({"name": "Upper"}, "resource.name"),
    ],
)
def test_gcp_what_google_refuses_is_refused(lab, fields, words):
    from google.api_core.exceptions import GoogleAPICallError

    with pytest.raises(GoogleAPICallError, match=words):
        lab.insert(**fields)


def test_gcp_a_limit_out_of_bounds_or_without_action_is_refused(lab):
    from google.api_core.exceptions import BadRequest

    for scheduling in (limited(29), limited(121 * 86400), limited(3600, instance_termination_action=None)):
        with pytest.raises(BadRequest):
            lab.insert(scheduling=scheduling)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"api_enabled": False}, "accessNotConfigured"),
        ({"billing_enabled": False}, "forbidden"),
        ({"permissions": ["compute.instances.list"]}, "forbidden"),
    ],
)
def test_gcp_accounts_that_are_not_ready_are_refused(lab, change, reason):
    from google.api_core.exceptions import Forbidden

    lab.gce.control("set", change)
    with pytest.raises(Forbidden) as raised:
        lab.insert()
    assert reason == raised.value.errors[0]["reason"]


def test_gcp_what_a_test_leaves_is_seen(lab):
    lab.insert()
    assert (["instance us-central1-a/one", "disk us-central1-a/one"], 3) == (lab.gce.left(), len(lab.ledger.open()))
    with pytest.raises(ValueError, match="does not know"):
        lab.gce.control("dance", {})
    with pytest.raises(ValueError, match="nothing here is called"):
        lab.gce.control("set", {"colour": "red"})


def test_gcp_a_host_on_paper_deletes_itself_with_its_account_and_waits_without(lab):
    from google.cloud import compute_v1 as api

    email = f"mlrun-machine@{PROJECT}.iam.gserviceaccount.com"
    lab.gce.control("set", {"accounts": {email: ["compute.instances.delete"]}})
    script = "# mlrun-limits: max_seconds=3000, grace_seconds=60, contact_seconds=1200"
    metadata = api.Metadata(items=[api.Items(key="startup-script", value=script)])
    account = api.ServiceAccount(email=email, scopes=["https://www.googleapis.com/auth/compute"])
    lab.insert(metadata=metadata, service_accounts=[account], scheduling=limited(3600))
    lab.insert("two", metadata=metadata, scheduling=limited(3600))
    lab.clock.advance(1201)
    assert ["instance us-central1-a/two", "disk us-central1-a/two"] == lab.gce.left()
    lab.clock.advance(2400)
    assert ([], 1200.0 + 3600.0) == (lab.gce.left(), lab.ledger.seconds())
