"""What a project needs once is made, used, and taken back."""

from __future__ import annotations

import json

import pytest

from dispatcher.backends.gcp import standing
from dispatcher.backends.gcp.account import email
from dispatcher.backends.gcp.client import Account
from tests.contract.test_gcp import cloud  # noqa: F401 as a fixture
from tests.lab.gce.places import PROJECT

OTHER = {"role": "roles/owner", "members": ["user:me@example.com"]}


@pytest.fixture
def account(cloud):  # noqa: F811
    cloud.identities.bindings.append(OTHER)
    return Account(PROJECT)


def kinds(account) -> list[str]:
    return [one.kind for one in standing.standing(account)]


def test_gcp_machines_get_an_account_that_may_only_delete_machines_of_ours(cloud, account):  # noqa: F811
    assert standing.missing(account)
    assert ["role", "service account"] == [one.kind for one in standing.make(account)]
    assert {email(PROJECT): ["compute.instances.delete@mlrun-*"]} == cloud.settings.accounts
    assert OTHER in cloud.identities.bindings


def test_gcp_making_it_twice_changes_nothing(cloud, account):  # noqa: F811
    standing.make(account)
    before = json.dumps(cloud.identities.bindings)
    standing.make(account)
    assert before == json.dumps(cloud.identities.bindings)


def test_gcp_it_is_taken_back_and_can_be_made_again(cloud, account):  # noqa: F811
    standing.make(account)
    standing.remove(account)
    assert ([], [OTHER], {}) == (kinds(account), cloud.identities.bindings, cloud.settings.accounts)
    standing.make(account)
    assert ["role", "service account"] == kinds(account)
