"""The requests to Google, field by field."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from dispatcher.backends.base import Terms
from dispatcher.backends.gcp.images import DEEP_LEARNING, UBUNTU, families
from dispatcher.backends.gcp.payload import (
    Image,
    Site,
    closed_name,
    closing,
    described,
    disk_type,
    labels_of,
    machine_type,
    opening,
    request,
    request_id,
    scheduling,
)
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label

LABEL = Label("0123456789")
PLAIN = Offer("gcp", "e2-standard-2", "cpu", region="us-central1", market="on-demand")
T4 = replace(PLAIN, machine="n1-standard-8+t4x1", device="T4", count=1)
SITE, IMAGE = Site("us-central1", "us-central1-a"), Image("projects/p/global/images/i", 50)


def made(offer: Offer = PLAIN, **more):
    return request(offer, LABEL, Terms(), SITE, IMAGE, "script", {"mlrun-run": "r"}, **more)


def test_gcp_a_requests_id_is_a_uuid_of_label_and_zone():
    ids = {request_id(label, zone) for label in (LABEL, Label("0123456789", 2)) for zone in ("a", "b")}
    assert (4, True) == (len(ids), all(uuid.UUID(one).int for one in ids))
    assert request_id(LABEL, "a") == request_id(LABEL, "a")


def test_gcp_attached_accelerators_are_told_apart_from_the_machine_type():
    assert ("n1-standard-8", "nvidia-tesla-t4", 1) == machine_type(T4)
    assert ("e2-standard-2", "", 0) == machine_type(PLAIN)
    assert [{"accelerator_type": "zones/us-central1-a/acceleratorTypes/nvidia-tesla-t4", "accelerator_count": 1}] == made(T4)[
        "guest_accelerators"
    ]


@pytest.mark.parametrize(("asked", "sent"), [(5, 30), (3600, 3600), (10**9, 120 * 86400)])
def test_gcp_the_limit_is_within_what_google_takes(asked, sent):
    assert {"seconds": sent} == scheduling(PLAIN, Terms(max_seconds=asked))["max_run_duration"]


def test_gcp_spot_and_on_demand_end_alike_but_are_paid_apart():
    spot, plain = (scheduling(one, Terms()) for one in (replace(PLAIN, market="spot"), PLAIN))
    assert ("SPOT", "STANDARD") == (spot.pop("provisioning_model"), plain.pop("provisioning_model"))
    assert spot == plain


def test_gcp_disks_are_of_the_kind_that_the_machine_takes():
    assert ("pd-balanced", "hyperdisk-balanced") == (disk_type("g2-standard-4"), disk_type("c4-standard-4"))


def test_gcp_a_machine_has_no_account_unless_one_is_named():
    assert "service_accounts" not in made()
    (account,) = made(account="a@b")["service_accounts"]
    assert ("a@b", ["https://www.googleapis.com/auth/compute"]) == (account["email"], account["scopes"])


def test_gcp_the_users_subnetwork_replaces_the_default_network():
    (default,) = made()["network_interfaces"]
    site = replace(SITE, network="global/networks/mine", subnetwork="regions/us-central1/subnetworks/s")
    (own,) = request(PLAIN, LABEL, Terms(), site, IMAGE, "", {})["network_interfaces"]
    assert ("global/networks/default", "regions/us-central1/subnetworks/s", False) == (
        default["network"],
        own["subnetwork"],
        "network" in own,
    )
    assert ("mlrun-closed", "mlrun-closed-mine") == (closed_name(SITE), closed_name(site))


def test_gcp_the_opening_outranks_the_closing_which_outranks_everything():
    letting, keeping = opening(LABEL, SITE, ["203.0.113.7/32"], {"mlrun-owner": "me"}), closing(SITE)
    assert letting["priority"] < keeping["priority"] < 1000
    assert ([str(LABEL)], ["mlrun"]) == (letting["target_tags"], keeping["target_tags"])
    assert ({"mlrun-owner": "me"}, {}) == (described(letting["description"]), described(keeping["description"]))


def test_gcp_labels_hold_what_google_takes():
    assert {"a": "me-example-com", "b": "x" * 63} == labels_of({"a": "Me@Example.com", "b": "X" * 99})


def test_gcp_images_have_the_driver_where_there_is_a_gpu():
    assert (UBUNTU, "ubuntu-2404-lts-amd64") == (families(PLAIN)[0], families(PLAIN)[1][0])
    assert "ubuntu-2404-lts-arm64" == families(replace(PLAIN, arch="arm64"))[1][0]
    assert (DEEP_LEARNING, "common-cu129-ubuntu-2404-nvidia-580") == (families(T4)[0], families(T4)[1][0])
    assert () == families(replace(T4, device="P100"))[1]
