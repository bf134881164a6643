"""`setup gcp`, `doctor` and `catalog refresh` as they are typed, against the stand-in."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dispatcher.app.prices import refresh
from dispatcher.backends.gcp.account import email
from dispatcher.catalog import find_instance, offers_of
from dispatcher.cli.accounts import refresh_prices, setup
from dispatcher.jobfile.settings import Settings
from tests.contract.test_gcp import cloud  # noqa: F401 as a fixture
from tests.lab.gce.places import PROJECT


def typed(*words: str):
    return CliRunner().invoke(setup, ["gcp", *words], standalone_mode=False)


def test_gcp_setup_makes_what_is_missing_says_so_and_takes_it_back(cloud):  # noqa: F811
    made = typed("--yes")
    assert (0, [email(PROJECT)]) == (made.return_value, list(cloud.settings.accounts))
    assert all(words in made.output for words in ("wait for you", "service account mlrun-machine@", "mlrun doctor"))
    again = typed("--yes")
    assert "delete themselves" in again.output
    removed = json.loads(typed("--remove", "--yes", "--json").stdout)
    assert (["role", "service account"], {}) == ([one["kind"] for one in removed["removed"]], cloud.settings.accounts)


def test_gcp_setup_changes_nothing_where_nobody_can_be_asked(cloud):  # noqa: F811
    refused = typed()
    assert ("Add --yes", {}) == (refused.exception.fix, cloud.settings.accounts)


def test_gcp_setup_prints_the_role(cloud):  # noqa: F811
    assert "compute.instances.create" in typed("--role").stdout


def test_gcp_prices_are_refreshed_past_the_guards(cloud, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert 0 == refresh_prices(("us-central1",), as_json=True)
    (told,) = json.loads(capsys.readouterr().out)["refreshed"]
    assert ("gcp", True) == (told["where"], told["kept"] > 20)


def test_gcp_a_plan_with_live_prices_reads_googles_own(cloud, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert () == refresh(Settings(), "gcp/us-central1")
    found = {(one.region, one.market): one for one in offers_of(find_instance("gcp", "e2-standard-4"))}
    offer = found["us-central1", "on-demand"]
    assert ("live", True) == (offer.price_source, offer.price_per_hour > 0)


def test_gcp_prices_without_any_account_are_refused(monkeypatch):
    from dispatcher.errors import LoginNeeded

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(LoginNeeded):
        refresh_prices((), as_json=True)
