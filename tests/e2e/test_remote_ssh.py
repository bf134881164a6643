"""A job that runs on a computer of one's own, as it is typed."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import pytest

from tests.e2e.shell import Shell
from tests.sshd import Sshd, available, sshd

pytestmark = pytest.mark.skipif(not available(), reason="needs sshd")
DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    where: ssh:desk
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sshd")
    with sshd(folder, SetEnv=f"HOME={folder}/home PATH={os.environ['PATH']}") as running:
        yield running


@pytest.fixture
def desk(server: Sshd, shell: Shell) -> Shell:
    """A user whose ssh configuration and settings know one computer."""
    folder = shell.home / ".ssh"
    folder.mkdir()
    (folder / "config").write_text(
        f"Host desk-lan\n HostName 127.0.0.1\n Port {server.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        "Host off\n HostName 127.0.0.1\n Port 1\n"
    )
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
    settings = shell.home / "dispatcher" / "config"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.yaml").write_text("hosts: {desk: {ssh: desk-lan, share: always}}\n")
    shell.env["HOME"] = str(shell.home)
    shell.env.pop("SSH_AUTH_SOCK", None)
    return shell


def there(server: Sshd) -> list[Path]:
    """What runs left on the computer."""
    root = server.folder / "home" / ".local/share/dispatcher/runs"
    return list(root.glob("mlrun-*")) if root.is_dir() else []


def test_a_job_runs_on_the_computer_that_was_named_and_nothing_of_it_stays(desk: Shell, server: Sshd) -> None:
    desk.write("print('there')\nopen('made.txt', 'w').write('abc')\n", "train.py")
    done = desk.mlrun(desk.write("    run: python train.py; exit 4\n    outputs: [made.txt]\n" + DESCRIBED))
    assert (4, b"there\n") == (done.code, done.stdout), done.said
    assert (desk.folder / "made.txt").read_text() == "abc"
    told = desk.last()
    assert ("ssh:desk", "finished", True) == (told["where"], told["state"], told["teardown"]["confirmed"])
    assert told["cost_usd"]["so_far"] == 0
    assert there(server) == []


def test_a_detached_job_there_is_listed_logged_and_stopped(desk: Shell, server: Sshd) -> None:
    job = desk.write("    name: counts\n    run: for i in 1 2 3; do echo line $i; done; sleep 60\n" + DESCRIBED)
    begun = desk.mlrun(job, "-d")
    assert begun.code == 0, begun.said
    assert ("counts", "running") == tuple(desk.last()[key] for key in ("name", "state"))
    desk.until(lambda: desk.mlrun("logs", "counts").stdout == b"line 1\nline 2\nline 3\n", "its log is here")
    stopped = desk.mlrun("stop", "counts", "--grace", "0s")
    assert stopped.code == 0, stopped.said
    assert ("finished", "cancelled") == tuple(desk.last()[key] for key in ("state", "outcome"))
    assert there(server) == []


def test_a_computer_that_does_not_answer_is_said_and_nothing_is_started(desk: Shell) -> None:
    done = desk.mlrun(desk.write("    run: echo never\n" + DESCRIBED.replace("ssh:desk", "ssh:off")))
    assert done.code == 104, done.said
    assert desk.runs() == []


def test_a_computer_that_cannot_be_used_is_told_with_its_reason_every_time(desk: Shell) -> None:
    file = desk.home / "dispatcher" / "config" / "config.yaml"
    file.write_text("hosts: {desk: {ssh: desk-lan, share: always}, gone: {ssh: off}}\n")
    job = desk.write("    run: echo never\n" + DESCRIBED.replace("ssh:desk", "auto"))
    for _ in range(2):
        rejected = {one["where"]: one["reason"] for one in desk.mlrun("plan", job, "--json").json()["rejected"]}
        assert "cannot be used: " in rejected["ssh:gone"]
        assert "ssh:desk" not in rejected
    assert "ssh:gone" in desk.mlrun("plan", job, "--all").out
    found = {
        one["message"].split()[0]: one for one in desk.mlrun("doctor", "--json").json()["checks"] if one["name"] == "hosts"
    }
    assert ("ok", "error") == (found["ssh:desk"]["level"], found["ssh:gone"]["level"])
    assert found["ssh:gone"]["fix"].startswith("ssh off")
