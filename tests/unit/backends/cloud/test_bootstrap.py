"""User-data: small enough, stable, armed first, without secrets."""

from __future__ import annotations

import subprocess

import pytest
from ruamel.yaml import YAML

from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.cloud.bootstrap import Birth
from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.hosts.keys import new_key

LABEL = Label("0123456789", 2)


@pytest.fixture
def keys():
    return new_key(), new_key()


@pytest.fixture
def birth(keys):
    return Birth(LABEL, keys[0][1] + " someone@laptop", 5400, 1800)


@pytest.fixture
def user_data(birth, keys):
    return bootstrap.cloud_config(birth, *keys[1])


def test_it_begins_with_its_limits(user_data):
    first, second, *_ = user_data.splitlines()
    assert "#cloud-config" == first
    assert "# mlrun-limits: max_seconds=5400, grace_seconds=1800, contact_seconds=1200" == second


def test_it_has_room_to_spare_below_what_ec2_takes(user_data):
    assert len(user_data.encode()) < bootstrap.LARGEST_USER_DATA * 0.6


def test_one_birth_makes_the_same_bytes_twice(birth, keys, user_data):
    assert user_data == bootstrap.cloud_config(birth, *keys[1])


def test_the_end_is_armed_before_anything_else(user_data):
    document = YAML(typ="safe").load(user_data)
    first = document["bootcmd"][0]
    assert first[2].startswith("(sleep 6000; systemctl poweroff --force --force)")
    assert [["shutdown", "-P", "+105"]] == document["runcmd"]
    script = document["bootcmd"][1][2]
    assert script.index("mlrun-deadman.timer") < script.index("useradd") < script.index("authorized_keys")


def test_only_our_key_logs_in_and_only_our_host_key_is_shown(user_data, keys):
    document = YAML(typ="safe").load(user_data)
    assert (keys[1][0].strip(), keys[1][1]) == (
        document["ssh_keys"]["ed25519_private"].strip(), document["ssh_keys"]["ed25519_public"],
    )  # fmt: skip
    assert (True, False, True) == (document["disable_root"], document["ssh_pwauth"], document["ssh_deletekeys"])


def test_the_private_key_of_the_client_stays_with_it(user_data, keys):
    assert keys[0][0].splitlines()[-3] not in user_data
    assert "someone@laptop" not in user_data


def test_the_scripts_are_ones_a_plain_shell_reads(birth):
    text = bootstrap.script(birth, bootstrap.template("poweroff.sh"))
    assert "@" not in "".join(line for line in text.splitlines() if "MLRUN_FILE" in line)
    for program in (text, *(bootstrap.template(name) for name in ("deadman.sh", "poweroff.sh", "hostkey.sh"))):
        assert b"" == subprocess.run(["sh", "-n"], input=program.encode(), capture_output=True, check=True).stderr


def test_a_key_that_could_carry_a_command_is_refused(keys):
    with pytest.raises(HostError):
        bootstrap.script(Birth(LABEL, "ssh-ed25519 AAAA'; reboot #", 60, 60), "")


def test_user_data_over_the_limit_are_refused_before_they_are_sent(birth, keys, monkeypatch):
    monkeypatch.setattr(bootstrap, "LARGEST_USER_DATA", 4000)
    with pytest.raises(HostError, match="EC2 takes 4000"):
        bootstrap.cloud_config(birth, *keys[1])


def test_a_limit_is_never_nothing():
    assert {"max_seconds": 1, "grace_seconds": 1, "contact_seconds": 1200} == Birth(LABEL, "", 0, -5).limits
