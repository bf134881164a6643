"""The doctor's findings about Google Cloud, each with a fix."""

from __future__ import annotations

import pytest

from dispatcher.backends.gcp.account import email
from dispatcher.backends.gcp.client import Account
from dispatcher.doctor.gcp import gcp_checks, role
from dispatcher.jobfile.settings import Gcp
from tests.contract.test_gcp import cloud  # noqa: F401 as a fixture
from tests.lab.gce.places import PROJECT


def found(change: dict | None = None, cloud=None, **settings) -> dict[str, list]:  # noqa: F811
    if cloud is not None:
        cloud.control("set", change or {})
    checks: dict[str, list] = {}
    account = Account(PROJECT)
    account.patience = 0.2
    for one in gcp_checks(Gcp(project=PROJECT, **settings), account):
        checks.setdefault(one.name, []).append(one)
    return checks


def test_gcp_an_account_in_order_has_nothing_to_mend(cloud):  # noqa: F811
    checks = found({"accounts": {email(PROJECT): []}}, cloud)
    assert {"ok"} == {one.level for several in checks.values() for one in several}
    assert "198.51.100.7" in checks["gcp address"][0].message


@pytest.mark.parametrize(
    ("change", "name", "level", "words", "fix"),
    [
        ({"api_enabled": False}, "gcp login", "error", "disabled", "gcloud services enable"),
        ({"billing_enabled": False}, "gcp billing", "error", "Billing is off", "linkedaccount"),
        ({"quotas": {"GPUS_ALL_REGIONS": 0.0}}, "gcp quota", "warning", "trial account", "at least 1"),
        ({"quotas": {"us-central1/NVIDIA_T4_GPUS": 0.0}}, "gcp quota", "note", "NVIDIA_T4_GPUS", "quotas"),
        ({"default_network": False}, "gcp network", "error", "no network", "networks create"),
        ({"accounts": {}}, "gcp deadline", "note", "waits for you", "mlrun setup gcp"),
    ],
)
def test_gcp_what_is_missing_is_told_with_its_fix(cloud, change, name, level, words, fix):  # noqa: F811
    first = found(change, cloud)[name][0]
    assert (level, True, True) == (first.level, words in first.message, fix in first.fix), first


def test_gcp_a_missing_permission_is_named(cloud):  # noqa: F811
    may = [one for one in role() if one != "compute.firewalls.create"]
    (check,) = found({"permissions": may}, cloud)["gcp permissions"]
    assert ("error", True) == (check.level, "compute.firewalls.create" in check.message)


def test_gcp_without_login_only_that_is_told(cloud, monkeypatch):  # noqa: F811
    monkeypatch.delenv("DISPATCHER_GCP_ENDPOINT")
    checks = found()
    assert ["gcp login"] == list(checks)
    assert "gcloud auth application-default login" == checks["gcp login"][0].fix
