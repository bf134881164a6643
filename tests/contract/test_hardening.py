"""A rented machine as somebody finds it who got in: one user, one key, nothing to forward, and no key left at home."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher import paths
from dispatcher.app.machines import SSH_CONFIG
from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.base import Terms
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label, new_run_id
from dispatcher.jobfile.settings import Aws

OFFER = Offer("aws", "t3.large", "cpu", region="us-east-1", zone="us-east-1a", market="on-demand", ram_gib=8)
SEALED = {
    "permitrootlogin": "no",
    "passwordauthentication": "no",
    "kbdinteractiveauthentication": "no",
    "allowusers": "mlrun",
    "disableforwarding": "yes",
    "permituserrc": "no",
}


def private_keys(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and b"PRIVATE KEY" in one.read_bytes()]


@pytest.mark.lab
def test_a_rented_machine_has_one_user_one_key_and_nothing_to_forward(lab, lab_environment):
    backend, label = AwsBackend(Aws(regions=("us-east-1",))), Label(new_run_id())
    machine = backend.provision(OFFER, label, Terms())
    host = backend.connect(machine)
    (inside,) = (one for one in lab.hosts.ids() if lab.hosts.address(one) == machine.address)
    told = dict(line.split(" ", 1) for line in lab.hosts.run(inside, "sshd", "-T").splitlines() if " " in line)
    assert SEALED == {name: told[name] for name in SEALED}
    keys = lab.hosts.run(inside, "sh", "-c", "cat /home/*/.ssh/authorized_keys ~root/.ssh/authorized_keys 2>/dev/null || true")
    assert [backend._keyring(label).public_key().split()[1]] == [line.split()[1] for line in keys.strip().splitlines()]
    assert "mlrun:*:" in lab.hosts.run(inside, "sh", "-c", "grep ^mlrun: /etc/shadow")
    refused = host.run(["sudo", "-n", "id"])
    assert 0 != refused.code
    kept = private_keys(paths.runs_dir())
    assert kept
    assert {0o600} == {one.stat().st_mode & 0o777 for one in kept}
    host.close()
    backend.terminate(label)
    assert [] == private_keys(paths.runs_dir())
    assert [] == lab.ec2.control("instances", {})


@pytest.mark.parametrize("said", ["ForwardAgent no", "IdentitiesOnly yes", "StrictHostKeyChecking yes", "HostKeyAlias "])
def test_the_file_for_ssh_holds_the_same_pins_and_forwards_nothing(said):
    assert said in SSH_CONFIG
