"""AWS machines from intent to proof of their end, in the lab on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.app.sightings import look
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.tags import RUN
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, HostError, HostUnreachable, LoginNeeded, NoCapacity, Quota
from tests.unit.backends.aws.conftest import keep_disks

TERMS = Terms(max_seconds=3600, grace_seconds=600, disk_gb=50, run_name="pets")


def launched(ec2) -> int:
    return len(ec2.control("instances", {"all": True}))


def again(backend) -> AwsBackend:
    """Another process of the same user's."""
    return AwsBackend(backend.settings, runs=backend._runs, clock=backend._clock)


def elsewhere(backend, tmp_path) -> AwsBackend:
    """Another computer of the same user's."""
    return AwsBackend(backend.settings, runs=tmp_path / "elsewhere", clock=backend._clock)


@pytest.fixture
def made(backend, offer, label):
    return backend.provision(offer, label, TERMS)


def test_a_machine_is_made_found_and_ended(backend, made, label, ledger):
    assert made == backend.find(label)
    assert {"instance", "volume", "rule"} == {one.kind for one in backend.leftovers()}
    backend.terminate(label)
    assert (None, [], []) == (backend.find(label), list(backend.leftovers()), ledger.open())


def test_what_it_costs_is_listed_with_it(backend, made):
    found = {one.kind: one for one in backend.leftovers()}
    assert 0.0832 == pytest.approx(found["instance"].usd_per_hour, rel=0.05)
    assert 0.005 == pytest.approx(found["volume"].usd_per_hour, rel=0.5)
    assert "pets" == found["instance"].tags["mlrun-name"]


def test_its_keys_end_with_it(backend, made, label, tmp_path):
    assert (tmp_path / "runs" / label.run / "ssh_key").is_file()
    backend.terminate(label)
    assert [f"{label}.launch"] == [file.name for file in (tmp_path / "runs" / label.run).iterdir()]


def test_a_lost_answer_makes_one_machine(backend, offer, label, ec2):
    ec2.control("fault", {"action": "RunInstances", "when": "drop_after"})
    assert backend.provision(offer, label, TERMS) == backend.find(label)
    assert 1 == launched(ec2)


def test_a_lost_answer_makes_one_machine_although_aws_does_not_show_it_for_a_minute(backend, offer, label, ec2):
    ec2.control("set", {"lag": 60})
    ec2.control("fault", {"action": "RunInstances", "when": "drop_after", "n": 2})
    assert backend.provision(offer, label, TERMS) == backend.find(label)
    assert 1 == launched(ec2)


def test_a_lost_request_is_sent_again(backend, offer, label, ec2):
    ec2.control("fault", {"action": "RunInstances", "when": "drop_before", "n": 3})
    assert backend.provision(offer, label, TERMS) == backend.find(label)
    assert 1 == launched(ec2)


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "ServiceUnavailable"])
def test_trouble_that_passes_is_waited_for(backend, offer, label, ec2, code):
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": code, "n": 4})
    assert backend.provision(offer, label, TERMS).details["id"]
    assert 1 == launched(ec2)


def test_trouble_that_does_not_pass_is_given_up_in_ten_minutes_and_leaves_nothing(backend, offer, label, ec2, time):
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": "InternalError", "n": -1})
    begun = time.now()
    with pytest.raises(CloudRefused, match="InternalError"):
        backend.provision(offer, label, TERMS)
    assert 500 < time.now() - begun < 700
    backend.terminate(label)
    assert (None, 0) == (backend.find(label), launched(ec2))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("InsufficientInstanceCapacity", NoCapacity),
        ("SpotMaxPriceTooLow", NoCapacity),
        ("VcpuLimitExceeded", Quota),
        ("UnauthorizedOperation", CloudRefused),
        ("PendingVerification", CloudRefused),
        ("ExpiredToken", LoginNeeded),
    ],
)
def test_a_refusal_is_sent_once_told_as_it_is_and_undone_at_once(backend, offer, label, ec2, time, code, error):
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": code, "n": -1})
    with pytest.raises(error):
        backend.provision(offer, label, TERMS)
    begun = time.now()
    backend.terminate(label)
    assert (begun, None) == (time.now(), backend.find(label))
    assert 1 == len([call for call in ec2.calls if call["action"] == "RunInstances"])


def test_no_capacity_in_a_zone_is_none_in_that_zone_only(backend, offer, label, ec2):
    ec2.control("set", {"capacity": [{"zone": "us-east-1a", "type": "t3.*", "most": 0}]})
    with pytest.raises(NoCapacity, match="us-east-1a"):
        backend.provision(offer, label, TERMS)
    assert backend.provision(replace(offer, zone="us-east-1b"), Label(label.run, 2), TERMS).details["zone"] == "us-east-1b"


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("Server.InsufficientInstanceCapacity", NoCapacity),
        ("Server.SpotInstanceTermination", NoCapacity),
        ("Client.VolumeLimitExceeded", Quota),
        ("Client.InternalError", CloudRefused),
        ("Client.InstanceInitiatedShutdown", HostError),
    ],
)
def test_a_machine_that_ends_while_it_starts_says_why(backend, offer, label, ec2, reason, error):
    ec2.control("set", {"stillborn": reason})
    with pytest.raises(error, match=reason):
        backend.provision(offer, label, TERMS)
    backend.terminate(label)
    assert reason == backend.fate(label)


def test_a_process_that_was_killed_between_request_and_answer_is_continued(backend, offer, label, ec2):
    class Killed(type(backend._clock)):
        def sleep(self, seconds, cancel=None):
            raise KeyboardInterrupt

    ec2.control("fault", {"action": "RunInstances", "when": "drop_after"})
    first = AwsBackend(backend.settings, runs=backend._runs, clock=Killed(backend._clock.paper))
    with pytest.raises(KeyboardInterrupt):
        first.provision(offer, label, TERMS)
    assert backend.find(label).details["id"] == backend.provision(offer, label, TERMS).details["id"]
    assert 1 == launched(ec2)


def test_what_may_have_been_launched_is_unknown_until_it_would_show(backend, offer, label, ec2, time, ledger):
    ec2.control("set", {"lag": 120})
    ec2.control("fault", {"action": "RunInstances", "when": "drop_after"})
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": "UnauthorizedOperation", "n": -1})
    with pytest.raises(CloudRefused):
        backend.provision(offer, label, TERMS)
    with pytest.raises(HostUnreachable, match="15 minutes"):
        backend.find(label)
    backend.terminate(label)
    assert (1, [], None) == (launched(ec2), ledger.open(), backend.find(label))


def test_what_was_never_launched_is_gone_after_the_quiet_window(backend, offer, label, ec2, time):
    ec2.control("fault", {"action": "RunInstances", "when": "drop_before"})
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": "UnauthorizedOperation", "n": -1})
    with pytest.raises(CloudRefused):
        backend.provision(offer, label, TERMS)
    begun = time.now()
    backend.terminate(label)
    assert 840 < time.now() - begun < 960
    assert (0, None) == (launched(ec2), backend.find(label))


def test_other_words_for_the_same_token_are_a_bug_that_makes_no_second_machine(backend, offer, label, ec2):
    ec2.control("set", {"lag": 30})
    backend.provision(offer, label, TERMS)
    keyring = backend._keyring(label)
    launch = keyring.launch()
    launch["request"]["InstanceType"] = "t3.xlarge"
    launch["token"] = "SOMETHING-ELSE"
    keyring.note({name: value for name, value in launch.items() if name != "id"})
    with pytest.raises(CloudRefused, match="asked for before, with other words"):
        again(backend).provision(offer, label, TERMS)
    assert 1 == launched(ec2)


def test_a_request_is_not_repeated_after_an_hour(backend, offer, label, ec2, time):
    ec2.control("fault", {"action": "RunInstances", "when": "drop_before"})
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": "UnauthorizedOperation"})
    with pytest.raises(CloudRefused):
        backend.provision(offer, label, TERMS)
    time.advance(3700)
    with pytest.raises(HostUnreachable, match="too old"):
        again(backend).provision(offer, label, TERMS)
    assert 0 == launched(ec2)


def test_a_label_is_used_once(backend, made, offer, label):
    backend.terminate(label)
    with pytest.raises(CloudRefused, match="gone"):
        backend.provision(offer, label, TERMS)


def test_a_terminate_that_does_not_find_it_yet_is_not_its_end(backend, made, label, ec2, ledger):
    ec2.control("fault", {"action": "TerminateInstances", "when": "before", "code": "InvalidInstanceID.NotFound", "n": 2})
    backend.terminate(label)
    assert [] == ledger.open()


def test_a_terminate_that_fails_leaves_it_known(backend, made, label, ec2, ledger):
    ec2.control("fault", {"action": "TerminateInstances", "when": "before", "code": "UnauthorizedOperation"})
    with pytest.raises(CloudRefused):
        backend.terminate(label)
    assert made == backend.find(label)
    backend.terminate(label)
    assert [] == ledger.open()


def test_a_terminate_whose_answer_was_lost_took_effect(backend, made, label, ec2, ledger):
    ec2.control("fault", {"action": "TerminateInstances", "when": "drop_after"})
    backend.terminate(label)
    assert (None, []) == (backend.find(label), ledger.open())


def test_another_computer_finds_and_ends_it_by_its_tags(backend, made, label, tmp_path, ledger):
    other = elsewhere(backend, tmp_path)
    assert (made, label.run) == (other.find(label), next(iter(other.leftovers())).tags[RUN])
    other.terminate(label)
    assert ([], None) == (ledger.open(), other.find(label))


def test_a_disk_that_outlives_its_machine_is_removed_too(backend, made, label, ledger, ec2):
    keep_disks(ec2)
    backend.terminate(label)
    assert [] == ledger.open()
    assert "DeleteVolume" in {call["action"] for call in ec2.calls}


def test_two_runs_of_one_caller_share_a_rule_until_the_last_ends(backend, made, label, offer):
    other = replace(label, attempt=2)
    backend.provision(offer, other, TERMS)
    assert {label, other} == {one.label for one in backend.leftovers() if one.kind == "rule"}
    backend.terminate(label)
    assert [other] == [one.label for one in backend.leftovers() if one.kind == "rule"]
    backend.terminate(other)
    assert [] == list(backend.leftovers())


def test_a_machine_ends_itself_at_its_limit_whoever_is_left_to_see_it(backend, made, label, time, ledger):
    time.advance(4000)
    assert [] == [line for line in ledger.open() if line.kind != "group"]
    assert (None, "Client.InstanceInitiatedShutdown") == (backend.find(label), backend.fate(label))
    backend.terminate(label)
    assert [] == list(backend.leftovers())


def test_a_region_that_does_not_answer_is_unknown_and_never_empty(backend, made, settings, tmp_path):
    other = AwsBackend(
        settings.model_copy(update={"regions": ("us-east-1", "xx-nowhere-9")}), runs=tmp_path, clock=backend._clock
    )
    found = []
    with pytest.raises(CloudRefused, match="xx-nowhere-9"):
        found.extend(one.kind for one in other.leftovers())
    assert "instance" in found
    with pytest.raises(CloudRefused, match="xx-nowhere-9"):
        other.find(made.label)


def test_an_account_without_a_network_is_told_how_to_make_one(backend, offer, label, ec2):
    ec2.control("set", {"default_network": False})
    with pytest.raises(CloudRefused, match="no default network in us-east-1") as caught:
        backend.provision(offer, label, TERMS)
    assert "create-default-vpc" in caught.value.fix


def test_a_caller_whose_address_is_unknown_is_told_before_anything_costs(backend, offer, label, ec2, monkeypatch):
    monkeypatch.setenv("DISPATCHER_CALLER_IP", "0.0.0.0/0")
    with pytest.raises(Exception, match="lets 4294967296 addresses in"):
        backend.provision(offer, label, TERMS)
    assert 0 == launched(ec2)


def test_zones_come_where_the_type_is_sold_and_spot_where_it_is_cheapest(backend, offer, ec2):
    gpu = replace(offer, machine="g4dn.xlarge", device="T4", count=1, zone=None)
    zones = [one.zone for one in backend.placements(gpu)]
    assert (sorted(zones), True) == (zones, len(zones) > 1)
    spot = [one.zone for one in backend.placements(replace(gpu, market="spot"))]
    assert set(zones) == set(spot)
    assert ["us-east-1b"] == [one.zone for one in backend.placements(replace(gpu, zone="us-east-1b"))]


def test_a_gpu_type_boots_an_image_with_its_driver_and_one_without_is_passed_over(backend, offer, label, ec2):
    gpu = replace(offer, machine="g4dn.xlarge", device="T4", count=1)
    made = backend.provision(gpu, label, TERMS)
    image = next(call for call in ec2.calls if call["action"] == "GetParameter")
    assert "g4dn.xlarge" == made.machine
    assert "base-oss-nvidia-driver" in str(image)
    with pytest.raises(NoCapacity, match="no image with a driver for V100"):
        backend.provision(replace(gpu, machine="p3.2xlarge", device="V100-16GB"), Label(label.run, 2), TERMS)


@pytest.mark.parametrize("code", ["RequestExpired", "SignatureDoesNotMatch"])
def test_a_request_signed_before_sleep_is_signed_once_more(backend, offer, label, ec2, code):
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": code})
    assert backend.provision(offer, label, TERMS).details["id"]
    ec2.control("fault", {"action": "RunInstances", "when": "before", "code": code, "n": 2})
    with pytest.raises(CloudRefused, match=code) as caught:
        backend.provision(offer, Label(label.run, 2), TERMS)
    assert "clock" in caught.value.fix


def test_a_caller_who_moved_is_let_in_from_there_too_and_both_rules_end(backend, made, label, ec2, monkeypatch):
    monkeypatch.setenv("DISPATCHER_CALLER_IP", "198.18.0.99")
    backend._admit(label, "us-east-1", made.details["group"])
    assert 2 == len([one for one in backend.leftovers() if one.kind == "rule"])
    backend.terminate(label)
    assert [] == list(backend.leftovers())


def test_a_spot_machine_that_is_taken_back_tells_its_fate(backend, offer, label, ec2, time):
    spot = replace(offer, machine="g4dn.xlarge", device="T4", count=1, market="spot")
    made = backend.provision(spot, label, Terms(max_hourly=5.0))
    assert "spot" == made.details["market"]
    ec2.control("preempt", {"id": made.details["id"]})
    time.advance(130)
    assert (None, "Server.SpotInstanceTermination") == (backend.find(label), backend.fate(label))


def test_spot_above_the_highest_price_is_another_zone(backend, offer, label):
    spot = replace(offer, machine="g4dn.xlarge", device="T4", count=1, market="spot")
    with pytest.raises(NoCapacity, match="SpotMaxPriceTooLow"):
        backend.provision(spot, label, Terms(max_hourly=0.01))


def test_the_users_own_subnet_is_used_and_its_zone_is_the_only_one(backend, offer, label, settings, ec2):
    found = backend.account.call("ec2", "us-east-1", "describe_subnets", "a test")["Subnets"]
    subnet = next(one for one in found if one["AvailabilityZone"] == "us-east-1c")
    other = AwsBackend(settings.model_copy(update={"subnet": subnet["SubnetId"]}), runs=backend._runs, clock=backend._clock)
    assert ["us-east-1c"] == [one.zone for one in other.placements(replace(offer, zone=None))]
    assert "us-east-1c" == other.provision(replace(offer, zone=None), label, TERMS).details["zone"]
    with pytest.raises(NoCapacity, match="no subnet in us-east-1a"):
        other.provision(offer, Label(label.run, 2), TERMS)


def test_a_subnet_that_does_not_exist_is_the_users_to_correct(backend, offer, label, settings):
    other = AwsBackend(
        settings.model_copy(update={"subnet": "subnet-0123456789abcdef0"}), runs=backend._runs, clock=backend._clock
    )
    with pytest.raises(CloudRefused, match="InvalidSubnetID") as caught:
        other.provision(offer, label, TERMS)
    assert "aws.subnet" in caught.value.fix


def test_a_machine_that_hangs_is_found_and_ended_by_any_computer_of_its_owner(
    backend, made, label, hosts, time, tmp_path, ledger
):
    hosts.hosts[made.details["id"]].hung = True
    time.advance(40_000)
    other = elsewhere(backend, tmp_path)
    (found,) = [one for one in other.leftovers() if one.kind == "instance"]
    assert (label, backend.owner, True) == (found.label, found.owner, found.age_seconds > 39_000)
    other.terminate(label)
    assert [] == ledger.open()


def test_throttled_lists_are_asked_again(backend, made, label, ec2):
    ec2.control("fault", {"action": "DescribeInstances", "code": "RequestLimitExceeded", "n": 2})
    assert made == backend.find(label)


def test_until_when_a_machine_may_yet_come_to_light_is_known(backend, offer, label, ec2, clock):
    backend.provision(offer, label, TERMS)
    assert backend.unshown_until(label) is None
    ec2.world.regions["us-east-1"].instances.clear()
    assert 900 >= backend.unshown_until(label) - clock.now() > 600
    clock.sleep(1000)
    assert backend.unshown_until(label) is None


def test_another_computer_sees_machine_market_and_end_of_a_run(backend, made, label, clock):
    seen = look(["aws"], lambda _name: backend)
    (run,) = seen.runs(clock.now(), lambda _run: False)
    assert (label.run, "t3.large", "us-east-1", "on-demand") == (
        run.id, run.attempt.machine, run.attempt.region, run.attempt.market,
    )  # fmt: skip
    assert 3600 == run.hard_stop - run.submitted
