"""Computers of one's own that end sessions, restart or fill up: real hosts of the lab, with their systemd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.shell import Shell
from tests.lab.seams import HostSpec, Rule
from tests.lab.visiting import Login, metadata

pytestmark = pytest.mark.long
NAME = "i-1"
ROOT = "~ubuntu/.local/share/dispatcher"
DESCRIBED = """
    name: there
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    where: ssh:desk
"""
LONGEST = 120.0


@pytest.fixture
def desk(lab: Any, shell: Shell, tmp_path: Path) -> Iterator[Shell]:
    """A user, and a computer of theirs, with a service manager for each of its users, who do not linger."""
    login = Login(tmp_path)
    address = lab.hosts.boot(HostSpec(NAME, "ec2", metadata(login.public)), lambda *_: None)
    lab.hosts.allow(NAME, [Rule(22, 22, f"{lab.hosts.slot.gateway}/32")])
    login(address, "cloud-init", "status", "--wait")
    settings = shell.home / "dispatcher" / "config"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.yaml").write_text("hosts: {desk: {ssh: desk-lan, share: always}}\n")
    (shell.home / ".ssh").mkdir()
    (shell.home / ".ssh" / "config").write_text(
        f"Host desk-lan\n HostName {address}\n User ubuntu\n IdentityFile {login.key}\n"
    )
    key = lab.hosts.run(NAME, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
    (shell.home / ".ssh" / "known_hosts").write_text(f"{address} {' '.join(key)}\n")
    shell.env["HOME"] = str(shell.home)
    shell.env.pop("SSH_AUTH_SOCK", None)
    yield shell
    lab.hosts.destroy(NAME)


def inside(lab: Any, words: str) -> str:
    """What a shell there says, as root."""
    return str(lab.hosts.run(NAME, "sh", "-c", words))


def alone(lab: Any) -> bool:
    """Whether nobody is logged in any more."""
    said = lab.hosts.run(NAME, "loginctl", "show-user", "ubuntu", "--property=State", check=False).strip()
    return said in ("", "State=closing")


def test_a_detached_job_outlives_the_service_manager_of_a_user_who_does_not_linger(desk: Shell, lab: Any) -> None:
    lab.hosts.run(NAME, "mkdir", "-p", "/etc/systemd/logind.conf.d")
    lab.hosts.put(NAME, "/etc/systemd/logind.conf.d/soon.conf", b"[Login]\nUserStopDelaySec=0\n")
    lab.hosts.run(NAME, "systemctl", "restart", "systemd-logind")
    job = desk.write("    run: echo begun; while [ ! -e enough ]; do sleep 0.1; done; echo ended; exit 3\n" + DESCRIBED)
    begun = desk.mlrun(job, "-d", timeout=LONGEST)
    assert begun.code == 0, begun.said
    desk.until(lambda: alone(lab), "whoever started it is gone")
    label = desk.last()["label"]
    inside(lab, f"touch {ROOT}/runs/{label}.work/enough")
    done = desk.mlrun("attach", "last", timeout=LONGEST)
    assert (3, b"begun\nended\n") == (done.code, done.stdout), done.said


def test_a_job_that_restarts_its_computer_is_lost_said_so_and_cleared_away(desk: Shell, lab: Any) -> None:
    running = desk.start(desk.write("    run: echo begun; sudo systemctl reboot; sleep 300\n" + DESCRIBED))
    out, err = running.communicate(timeout=LONGEST)
    assert (106, b"begun\n") == (running.returncode, out), err.decode()
    assert ("finished", "lost") == (desk.last()["state"], desk.last()["outcome"])
    assert "Traceback" not in err.decode()
    left = inside(lab, f"ls {ROOT}/runs | grep -c mlrun- || true").split()
    assert ["0"] == left


def test_a_full_disk_there_is_said_before_the_job_and_after_it(desk: Shell, lab: Any) -> None:
    inside(lab, f"mkdir -p {ROOT} && mount -t tmpfs -o size=6m,uid=1000,gid=1000 none {ROOT}")
    (desk.folder / "data.bin").write_bytes(bytes(range(256)) * 40_000)
    refused = desk.mlrun(desk.write("    run: echo never\n" + DESCRIBED), timeout=LONGEST)
    assert (104, b"") == (refused.code, refused.stdout), refused.said
    assert "No space left" in refused.err
    (desk.folder / "data.bin").unlink()
    fills = "    run: echo begun; echo made > out.txt; head -c 9000000 /dev/zero > big; echo code $?\n    outputs: [out.txt]\n"
    done = desk.mlrun(desk.write(fills + DESCRIBED), timeout=LONGEST)
    assert (0, "made\n") == (done.code, (desk.folder / "out.txt").read_text()), done.said
    assert done.stdout.startswith(b"begun\n")
    inside(lab, f"umount {ROOT}")
