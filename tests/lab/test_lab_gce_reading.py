"""What the stand-in Compute Engine offers to read, and how it is held to Google's descriptions."""

from __future__ import annotations

import json

import pytest

from tests.lab.gce.front import interface
from tests.lab.gce.places import PROJECT
from tests.lab.test_lab_gce import ZONE, lab  # noqa: F401 as a fixture


def test_gcp_families_name_their_newest_image_until_they_die(lab):  # noqa: F811
    from google.api_core.exceptions import NotFound

    asked = {"project": "deeplearning-platform-release", "family": "common-cu129-ubuntu-2204-nvidia-580"}
    assert "common-cu129-ubuntu-2204-nvidia-580-v20261015" == lab.client("Images").get_from_family(asked).name
    lab.gce.control("set", {"dead_families": [asked["family"]]})
    with pytest.raises(NotFound):
        lab.client("Images").get_from_family(asked)
    listed = lab.client("Images").list({"project": asked["project"], "filter": "family:common-cu*"})
    assert {"common-cu129-ubuntu-2404-nvidia-580", "common-cu128-ubuntu-2204-nvidia-570"} == {one.family for one in listed}


def test_gcp_what_is_offered_can_be_read(lab):  # noqa: F811
    types = {one.name: one for one in lab.client("MachineTypes").list(project=PROJECT, zone=ZONE)}
    assert (4, "nvidia-l4") == (
        types["g2-standard-4"].guest_cpus,
        types["g2-standard-4"].accelerators[0].guest_accelerator_type,
    )
    assert {"nvidia-tesla-t4", "nvidia-l4"} <= {
        one.name for one in lab.client("AcceleratorTypes").list(project=PROJECT, zone=ZONE)
    }
    assert ["us-west1-a", "us-west1-b"] == [
        one.name for one in lab.client("Zones").list(project=PROJECT) if one.region.endswith("us-west1")
    ]
    quotas = {one.metric: one.limit for one in lab.client("Regions").get(project=PROJECT, region="us-central1").quotas}
    assert 16.0 == quotas["NVIDIA_L4_GPUS"]
    assert PROJECT == lab.client("Projects").get(project=PROJECT).name
    everywhere = lab.client("MachineTypes").aggregated_list(project=PROJECT)
    assert {"zones/us-central1-a", "zones/us-central1-b"} <= {
        zone for zone, scope in everywhere if any(one.name == "a3-highgpu-8g" for one in scope.machine_types)
    }


def test_gcp_the_price_list_comes_in_pages_and_misleads(lab):  # noqa: F811
    found, token = [], ""
    while token is not None:
        target = f"/v1/services/6F81-5844-456A/skus?pageSize=40&pageToken={token}"
        said = lab.gce.front.answer("GET", target, {}, b"")
        found += said.body["skus"]
        token = said.body["nextPageToken"] or None
    texts = [one["description"] for one in found]
    assert len(set(texts)) == len(texts) > 100
    assert any(text.startswith("Commitment") for text in texts)
    assert any(text.startswith("Spot Preemptible Nvidia L4 GPU") for text in texts)


def test_gcp_a_wrong_request_and_a_wrong_reply_are_noticed(lab):  # noqa: F811
    body = json.dumps({"name": "one", "machineTyp": "x", "canIpForward": "yes"}).encode()
    said = lab.gce.front.answer("POST", f"/compute/v1/projects/{PROJECT}/zones/{ZONE}/instances", {}, body)
    assert (400, 2) == (said.status, len(lab.gce.violations))
    lab.insert()
    lab.gce.power.known[PROJECT, ZONE, "one"].resource["status"] = "ASLEEP"
    lab.get()
    assert "ASLEEP" in lab.gce.violations[-1]
    lab.gce.violations.clear()


def test_gcp_googles_descriptions_are_read_for_methods_and_types():
    kind = interface("compute.v1")
    route = kind.route("GET", f"/compute/v1/projects/p/zones/{ZONE}/instances/i")
    assert ("instances.get", {"project": "p", "zone": ZONE, "instance": "i"}) == (route.name, dict(route.values))
    assert [] == kind.wrong_response(route, {"name": "i", "id": "7", "status": "RUNNING"})
    assert 3 == len(kind.wrong_response(route, {"id": 7, "status": "HAPPY", "colour": "red"}))
