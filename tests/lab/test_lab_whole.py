"""Both clouds with real hosts: what is made is a machine, what is left over is told, scripts/lab does it by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import kernel
from tests.lab.control import ask, down, settings, up
from tests.lab.daemon import socket_of
from tests.lab.image import LabError
from tests.lab.lab import Lab
from tests.lab.visiting import Login, eventually

ROOT = Path(__file__).resolve().parents[2]
ZONE, PROJECT = "us-central1-a", "lab-project"
IMAGE = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"


@pytest.fixture
def login(tmp_path: Path) -> Login:
    return Login(tmp_path)


def launch(environment: dict[str, str]) -> tuple[Any, str]:
    """A client, and an instance of EC2 that is made as little as possible of."""
    import boto3

    client = boto3.client("ec2")
    image = next(one for one in client.describe_images()["Images"] if one["Architecture"] == "x86_64")["ImageId"]
    made = client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    return client, made["Instances"][0]["InstanceId"]


def test_aws_an_instance_left_running_is_told_with_its_bill_and_its_host(lab: Lab, lab_environment: dict[str, str]) -> None:
    client, name = launch(lab_environment)
    assert eventually(lambda: lab.hosts.ids() == [name])
    kinds = {"billed", "process", "namespace", "mount", "link", "cgroup", "disk"}
    assert eventually(lambda: kinds == {line.split()[0] for line in lab.left()})
    assert eventually(lambda: f"billed aws instance {name}" in lab.left())
    left = lab.settle(0)
    assert f"billed aws instance {name}" in left
    client.terminate_instances(InstanceIds=[name])
    assert lab.settle() == []
    assert lab.ledger.seconds("instance") > 0


def test_aws_a_violation_is_told(lab: Lab, lab_environment: dict[str, str]) -> None:
    lab.ec2.violations.append("planted")
    assert lab.left() == ["aws: planted"]
    lab.ec2.violations.clear()


def test_gcp_a_machine_runs_its_startup_script_lets_its_keys_in_and_publishes_its_host_keys(
    lab: Lab, lab_environment: dict[str, str], login: Login
) -> None:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import compute_v1 as api

    options = ClientOptions(api_endpoint=lab_environment["DISPATCHER_GCP_ENDPOINT"])
    client = api.InstancesClient(credentials=AnonymousCredentials(), client_options=options)
    items = {
        "startup-script": "#!/bin/bash\necho here > /var/lib/startup-ran\necho said by the script\n",
        "ssh-keys": f"mlrun:{login.public}",
        "enable-guest-attributes": "TRUE",
    }
    disk = api.AttachedDiskInitializeParams(source_image=IMAGE, disk_size_gb=20)
    client.insert_unary(
        project=PROJECT,
        zone=ZONE,
        instance_resource=api.Instance(
            name="one",
            machine_type=f"zones/{ZONE}/machineTypes/e2-standard-2",
            disks=[api.AttachedDisk(boot=True, auto_delete=True, initialize_params=disk)],
            network_interfaces=[api.NetworkInterface(access_configs=[api.AccessConfig(type_="ONE_TO_ONE_NAT")])],
            metadata=api.Metadata(items=[api.Items(key=key, value=value) for key, value in items.items()]),
        ),
    )
    where = {"project": PROJECT, "zone": ZONE, "instance": "one"}
    shown = published(
        lambda: client.get_guest_attributes(api.GetGuestAttributesInstanceRequest(**where, query_path="hostkeys/"))
    )
    address = client.get(**where).network_interfaces[0].access_configs[0].nat_i_p
    assert login(address, "cat", "/etc/ssh/ssh_host_ed25519_key.pub", user="mlrun").split()[1] == shown["ssh-ed25519"]
    assert eventually(lambda: b"startup-script exit status 0" in lab.hosts.console(lab.find("one")))
    assert login(address, "sudo", "cat", "/var/lib/startup-ran", user="mlrun") == "here\n"
    assert b"startup-script: said by the script" in lab.hosts.console(lab.find("one"))
    client.delete_unary(**where)
    assert lab.settle() == []


def published(ask_for: Callable[[], Any]) -> dict[str, str]:
    """Host keys, as soon as the guest has written them."""
    from google.api_core.exceptions import GoogleAPICallError

    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if found := {item.key: item.value for item in ask_for().query_value.items}:
                return found
        except GoogleAPICallError:
            pass
        time.sleep(0.1)
    raise AssertionError("no host key was published")


@pytest.fixture
def by_hand(whole_lab: object) -> Iterator[str]:
    """A lab in a process of its own."""
    name = f"test-{kernel.os.getpid()}"
    yield name
    down(name)
    assert not socket_of(name).exists()


def scripted(name: str, *words: str, check: bool = True) -> str:
    """As scripts/lab runs it."""
    command = [sys.executable, "-m", "tests.lab.control", "--name", name, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_aws_by_hand_a_lab_goes_up_is_asked_fails_as_told_and_goes_down(by_hand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    exports = up(by_hand)
    assert f"export AWS_ENDPOINT_URL={exports['AWS_ENDPOINT_URL']}\n" in scripted(by_hand, "up")
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    scripted(by_hand, "fault", "aws", "RunInstances", "code=InsufficientInstanceCapacity", "n=9")
    with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
        launch(exports)
    scripted(by_hand, "reset")
    client, instance = launch(exports)
    assert eventually(
        lambda: "running\n" in scripted(by_hand, "shell", instance, "systemctl", "is-system-running", check=False)
    )
    assert instance in scripted(by_hand, "status")
    assert "Reached target" in scripted(by_hand, "console", instance)
    scripted(by_hand, "wire", instance, "--delay-ms", "5")
    assert f"billed aws instance {instance}" in scripted(by_hand, "left")
    assert "there is no host 'nobody'" in scripted(by_hand, "crash", "nobody", check=False)
    client.terminate_instances(InstanceIds=[instance])
    assert eventually(lambda: ask(by_hand, "left") == [])
    assert 0 < json.loads(scripted(by_hand, "bill"))["usd"] < 0.01


def test_a_lab_that_was_killed_is_swept_when_it_is_taken_down(by_hand: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exports = up(by_hand)
    for name, value in exports.items():
        monkeypatch.setenv(name, value)
    instance = launch(exports)[1]
    assert eventually(lambda: "Reached target" in scripted(by_hand, "console", instance, check=False))
    first = int(ask(by_hand, "entry", id=instance)[1].partition("=")[2])
    killed = [pid for pid in kernel._pids() if kernel._command(pid).endswith(f"tests.lab.daemon {by_hand}")]
    assert len(killed) == 1
    kernel.os.kill(killed[0], 9)
    with pytest.raises(LabError, match="no lab is up"):
        ask(by_hand, "status")
    assert Path(f"/proc/{first}").exists()
    assert eventually(lambda: kernel.dead(killed[0]))
    down(by_hand)
    assert eventually(lambda: kernel.dead(first))


def test_settings_are_json_where_they_can_be() -> None:
    assert settings(["n=2", "code=Throttling", 'match={"a": "b"}']) == {"n": 2, "code": "Throttling", "match": {"a": "b"}}
    with pytest.raises(LabError, match="name=value"):
        settings(["n"])
