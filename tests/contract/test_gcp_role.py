"""The role that is shipped holds what a whole life of runs asks for, and nothing else."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.gcp import listing
from dispatcher.backends.gcp.account import email
from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.backends.gcp.contact import Contact
from dispatcher.doctor.gcp import gcp_checks
from dispatcher.domain.run import Label, new_run_id
from dispatcher.jobfile.settings import Gcp
from dispatcher.paths import runs_dir, templates_dir
from dispatcher.retries import SystemClock
from tests.contract.test_gcp import OFFER, cloud  # noqa: F401 as a fixture
from tests.lab.gce.accounts import needed
from tests.lab.gce.places import PROJECT


def role(name: str) -> list[str]:
    return list(YAML(typ="safe").load((templates_dir() / "gcp" / name).read_text())["includedPermissions"])


def live(cloud, monkeypatch) -> None:  # noqa: F811
    """Everything that the backend ever asks, once."""
    backend, label = GcpBackend(Gcp(project=PROJECT, subnet="own")), Label(new_run_id())
    offer = next(iter(backend.placements(OFFER)))
    next(iter(backend.placements(OFFER.__class__("gcp", "n1-standard-8+t4x1", "T4", 1, region="us-central1"))))
    machine = backend.provision(offer, label, Terms(run_name="pets", client="desk"))
    cloud.control("guest", {"instance": str(label), "key": "hostkeys/ssh-ed25519", "value": "AAAA"})
    contact = Contact(backend.account, machine, Keyring(runs_dir() / label.run, label), SystemClock())
    assert ("ssh-ed25519 AAAA", True) == (contact._told(), "login:" in contact._printed())
    monkeypatch.setenv("DISPATCHER_CALLER_IP", "198.51.100.8")
    backend._admit(label, backend._keyring(label).launch())
    assert {"instance", "disk", "rule"} == {one.kind for one in backend.leftovers()}
    (made,) = cloud.power.known.values()
    made.resource["disks"][0]["autoDelete"] = False
    GcpBackend(Gcp(project=PROJECT), runs=runs_dir() / "elsewhere").terminate(label)
    assert "delete" == backend.fate(label)
    assert listing.sold_in(backend.account)[0]
    assert {"ok"} == {one.level for one in gcp_checks(Gcp(project=PROJECT, subnet="default"), backend.account)}


def test_gcp_the_role_is_what_the_recorded_calls_need(cloud, monkeypatch):  # noqa: F811
    cloud.control("set", {"permissions": role("role.yaml"), "accounts": {email(PROJECT): role("machine-role.yaml")}})
    live(cloud, monkeypatch)
    asked = {permission for call in cloud.front.calls for permission in needed(call)}
    assert set(role("role.yaml")) == asked


def test_gcp_a_role_without_one_of_them_is_refused(cloud, monkeypatch):  # noqa: F811
    from dispatcher.errors import MlrunError

    lacking = [one for one in role("role.yaml") if one != "compute.subnetworks.useExternalIp"]
    cloud.control("set", {"permissions": lacking})
    with pytest.raises(MlrunError, match=r"compute\.subnetworks\.useExternalIp"):
        live(cloud, monkeypatch)


def test_gcp_a_machine_may_only_delete():
    assert ["compute.instances.delete"] == role("machine-role.yaml")
