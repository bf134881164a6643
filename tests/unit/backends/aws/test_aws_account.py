"""Login, endpoints, the doctor's findings, setting up, and prices: in the lab on paper."""

from __future__ import annotations

import json

import pytest

from dispatcher.backends.aws import standing
from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.listing import live_quotes, unknown_types
from dispatcher.backends.aws.prices import quote, spot_by_zone
from dispatcher.catalog.prices import Quote
from dispatcher.catalog.refreshed import keep
from dispatcher.doctor.aws import aws_checks
from dispatcher.errors import CloudRefused, HostUnreachable, LoginNeeded, UsageError
from dispatcher.jobfile.settings import Aws


@pytest.fixture
def account(ec2):
    return Account()


def levels(checks) -> dict[str, str]:
    return {check.name: check.level for check in checks}


def test_real_keys_are_never_shown_to_a_stand_in(ec2, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7REALKEY")
    with pytest.raises(UsageError, match="look real"):
        Account().identity()
    assert [] == ec2.calls


def test_an_endpoint_elsewhere_is_refused(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALAB")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://aws.example.com")
    with pytest.raises(UsageError, match=r"aws\.example\.com"):
        Account().identity()


def test_amazon_itself_is_no_lab(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7REALKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    account = Account()
    account.client("ec2", "eu-central-1")
    assert (False, True) == (account.lab, account.signed_in())


def test_without_credentials_login_is_needed(monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    account = Account()
    assert account.signed_in() is False
    with pytest.raises(LoginNeeded) as caught:
        account.identity()
    assert "aws configure" in caught.value.fix


def test_a_profile_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(LoginNeeded, match="nosuch"):
        Account("nosuch").identity()


def test_credentials_that_expire_are_told_as_such(ec2, time, monkeypatch):
    for name, value in ec2.control("user", {"name": "brief", "policy": json.loads(standing.policy()), "seconds": 60}).items():
        monkeypatch.setenv(name, value)
    account = Account()
    assert account.identity()["Arn"].endswith("brief")
    time.advance(61)
    with pytest.raises(LoginNeeded):
        account.call("sts", "us-east-1", "get_caller_identity", "who you are")


def test_nobody_listening_is_said_as_such(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALAB")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(HostUnreachable):
        Account(hasty=True).identity()


def test_the_doctor_is_content_with_a_good_account(account, settings):
    found = list(aws_checks(settings, account))
    assert {"ok", "note"} == {check.level for check in found}
    assert {"aws login", "aws permissions", "aws network", "aws quota", "aws address", "aws deadline"} == set(levels(found))


def test_the_doctor_names_quotas_of_zero_with_the_command_that_asks_for_more(account, settings, ec2):
    ec2.control("set", {"quota": {"L-DB2E81BA": 0}})
    (found,) = [check for check in aws_checks(settings, account) if check.level == "warning"]
    assert "0 vCPUs allowed in us-east-1 (L-DB2E81BA)" in found.message
    assert "request-service-quota-increase --service-code ec2 --quota-code L-DB2E81BA" in found.fix


def test_the_doctor_says_that_there_is_no_network(account, settings, ec2):
    ec2.control("set", {"default_network": False})
    found = {check.name: check for check in aws_checks(settings, account)}
    assert ("error", True) == (found["aws network"].level, "create-default-vpc --region us-east-1" in found["aws network"].fix)


def test_the_doctor_names_what_is_not_allowed(ec2, settings, monkeypatch):
    policy = json.loads(standing.policy())
    policy["Statement"] = [
        one for one in policy["Statement"] if one["Sid"] not in ("MakeOurGroup", "LaunchOnlyWithEncryptedDisks")
    ]
    standing.make(Account(), "us-east-1", None)
    for name, value in ec2.control("user", {"name": "half", "policy": policy}).items():
        monkeypatch.setenv(name, value)
    refused = [check.message for check in aws_checks(settings) if check.level == "error"]
    assert ["create_security_group", "run_instances"] == [text.split()[0] for text in refused]


def test_the_doctor_says_that_a_login_has_expired(ec2, settings, time, monkeypatch):
    for name, value in ec2.control("user", {"name": "brief", "policy": [], "seconds": 1}).items():
        monkeypatch.setenv(name, value)
    time.advance(2)
    (found,) = list(aws_checks(settings))
    assert ("aws login", "error", True) == (found.name, found.level, "aws sso login" in found.fix)


def test_what_an_account_lacks_is_made_once_and_taken_back(account, settings, ec2):
    ec2.control("set", {"default_network": False})
    assert "network" == standing.missing(account, "eu-west-1", None)
    assert ["network", "group"] == [one.kind for one in standing.make(account, "eu-west-1", None)]
    assert "" == standing.missing(account, "eu-west-1", None)
    (group,) = standing.standing(account, settings.regions)
    assert (True, True) == (standing.remove(account, group), standing.remove(account, group))
    assert "group" == standing.missing(account, "eu-west-1", None)


def test_a_group_that_a_machine_uses_stays(backend, offer, label):
    from dispatcher.backends.base import Terms

    backend.provision(offer, label, Terms())
    (group,) = standing.standing(backend.account, ["us-east-1"])
    assert standing.remove(backend.account, group) is False
    backend.terminate(label)
    assert standing.remove(backend.account, group) is True


def test_prices_are_those_that_aws_states_now(account, ec2):
    ec2.control("set", {"price": {"g4dn.xlarge": 0.6, "spot:g4dn.xlarge": 0.2}})
    assert 0.6 == quote(account, "us-east-1", "g4dn.xlarge", "on-demand")
    zones = spot_by_zone(account, "us-east-1", ["g4dn.xlarge"])["g4dn.xlarge"]
    assert min(zones.values()) == quote(account, "us-east-1", "g4dn.xlarge", "spot")
    assert quote(account, "us-east-1", "no.such", "on-demand") is None


def test_a_region_that_is_not_enabled_does_not_keep_others_from_answering(account):
    found, silent = live_quotes(account, ["us-east-1", "me-south-1"])
    assert ({"us-east-1"}, {"me-south-1"}) == ({one.region for one in found}, set(silent))
    assert {"on-demand", "spot"} == {one.market for one in found}


def test_one_that_fails_is_named_and_where_all_fail_the_reason_is_raised(account, ec2):
    ec2.control("fault", {"action": "DescribeInstanceTypeOfferings", "code": "UnauthorizedOperation", "n": -1})
    with pytest.raises(CloudRefused, match="UnauthorizedOperation"):
        live_quotes(account, ["us-east-1", "eu-west-1"])


def test_gpu_types_that_the_catalog_lacks_are_named(account):
    assert all("GiB" in said for said in unknown_types(account, "us-east-1").values())


def test_refreshed_prices_pass_the_guards_or_stay_out():
    good = Quote("aws", "g5.xlarge", "us-east-1", "on-demand", 1.0, "new")
    found = [
        good,
        good._replace(market="spot", usd=0.4),
        good._replace(region="eu-west-1", usd=9.0),
        good._replace(machine="p5.48xlarge", usd=99999.0),
        good._replace(machine="zz9.plural", usd=1.0),
        good._replace(machine="t3.large", usd=0.08),
        good._replace(machine="t3.large", market="spot", usd=0.5),
    ]
    result = keep("aws", found, "2026-11-21")
    assert (3, 3, 4) == (result.kept, result.changed, len(result.refused))
    assert {"as_of", "prices"} == set(json.loads(result.file.read_text()))
    assert 0 == keep("aws", [good], "2026-11-22").changed


def test_refreshing_one_region_keeps_what_others_have():
    first = Quote("aws", "g5.xlarge", "us-east-1", "on-demand", 1.0, "new")
    keep("aws", [first], "2026-11-21")
    result = keep("aws", [first._replace(region="eu-west-1", usd=1.1)], "2026-11-22")
    assert {"us-east-1": 1.0, "eu-west-1": 1.1} == json.loads(result.file.read_text())["prices"]["g5.xlarge"]["on-demand"]


def test_settings_name_the_region_that_is_looked_into(ec2):
    found = {check.name: check.message for check in aws_checks(Aws(regions=("eu-west-1",)))}
    assert "eu-west-1a" in found["aws network"]
