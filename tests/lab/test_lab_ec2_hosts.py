"""The lab's EC2 and its real hosts: a user's whole way, from boto3 to a login and back to nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.lab.ec2.trial import DEEP

SECONDS = 30.0
USER_DATA = """#cloud-config
users:
- name: mlrun
  shell: /bin/bash
  sudo: ALL=(ALL) NOPASSWD:ALL
  ssh_authorized_keys: ["{key}"]
"""


def until(ask: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + SECONDS
    while not holds(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.1)
    return answer


def key(folder: Path, name: str) -> tuple[Path, str]:
    made = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", made], check=True)
    return made, made.with_suffix(".pub").read_text().strip()


def ssh(private: Path, address: str, *command: str) -> subprocess.CompletedProcess[str]:
    options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    words = [word for option in (*options, "BatchMode=yes", "ConnectTimeout=1") for word in ("-o", option)]
    whole = ["ssh", "-i", str(private), *words, f"mlrun@{address}", *command]
    return subprocess.run(whole, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture
def ec2(lab, lab_environment) -> Any:
    return boto3.client("ec2")


def instance(ec2: Any, name: str) -> dict[str, Any]:
    return dict(ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0])


def test_an_instance_is_a_host_that_its_group_opens_and_its_shutdown_ends(lab, ec2, tmp_path):
    private, public = key(tmp_path, "mine")
    group = ec2.create_security_group(GroupName="mlrun", Description="of the lab")["GroupId"]
    image = boto3.client("ssm").get_parameter(Name=DEEP)["Parameter"]["Value"]
    reply = ec2.run_instances(
        ImageId=image,
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=[group],
        UserData=USER_DATA.format(key=public),
        InstanceInitiatedShutdownBehavior="terminate",
    )
    name = reply["Instances"][0]["InstanceId"]
    address = until(lambda: instance(ec2, name).get("PublicIpAddress", ""), bool)
    until(lambda: lab.hosts.console(name), lambda said: b"login:" in said)
    assert 255 == ssh(private, address, "true").returncode, "nothing may enter before the group says so"

    mine = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": f"{lab.hosts.slot.gateway}/32"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[mine])
    said = until(lambda: ssh(private, address, "nvidia-smi", "-L"), lambda done: done.returncode != 255)
    assert "Tesla T4" in said.stdout

    other, sent = key(tmp_path, "other")
    assert 255 == ssh(other, address, "true").returncode
    boto3.client("ec2-instance-connect").send_ssh_public_key(InstanceId=name, InstanceOSUser="mlrun", SSHPublicKey=sent)
    assert "in\n" == ssh(other, address, "echo", "in").stdout

    ssh(private, address, "sudo", "poweroff")
    ended = until(lambda: instance(ec2, name), lambda one: one["State"]["Name"] == "terminated")
    assert "Client.InstanceInitiatedShutdown" == ended["StateReason"]["Code"]
    ec2.delete_security_group(GroupId=group)
    assert ([], []) == (lab.settle(), lab.ledger.open())
