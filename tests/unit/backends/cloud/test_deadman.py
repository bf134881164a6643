"""The script that ends a rented machine, run as it is, in a folder that stands for the machine."""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import uuid

import pytest

from dispatcher.backends.cloud.bootstrap import template


class Rented:
    """A machine as the script sees it: files below a folder, and an uptime that the test sets."""

    def __init__(self, root, *, max_seconds=3600, grace_seconds=600, contact_seconds=1200) -> None:
        self.root = root
        self.runs = root / "var/lib/mlrun/runs"
        self.runs.mkdir(parents=True)
        limits = {"max_seconds": max_seconds, "grace_seconds": grace_seconds, "contact_seconds": contact_seconds}
        (self.runs.parent / "limits").write_text("".join(f"{name}={value}\n" for name, value in limits.items()))
        self.end = root / "end"
        self.end.write_text(f'#!/bin/sh\necho "$1" >{root}/ended\n')
        self.end.chmod(0o755)
        self.script = root / "deadman"
        self.script.write_text(template("deadman.sh"))
        (root / "proc/sys/kernel/random").mkdir(parents=True)
        self.boot()

    def boot(self) -> None:
        """Power on, again: what was in memory is gone."""
        self.boot_id = str(uuid.uuid4())
        (self.root / "proc/sys/kernel/random/boot_id").write_text(self.boot_id + "\n")
        subprocess.run(["rm", "-rf", str(self.root / "run")], check=True)

    def look(self, uptime: float) -> str:
        """Why it ended, or ""."""
        (self.root / "proc/uptime").write_text(f"{uptime:.2f} 1.00\n")
        env = {
            "PATH": os.environ["PATH"],
            "MLRUN_ROOT": str(self.root),
            "MLRUN_END": str(self.end),
            "MLRUN_USER": getpass.getuser(),
        }
        done = subprocess.run(
            ["sh", str(self.script)],
            env=env | {"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        assert (0, "") == (done.returncode, done.stderr)
        ended = self.root / "ended"
        return ended.read_text().strip() if ended.exists() else ""

    def job(self, *, ended: bool = False, label: str = "mlrun-0123456789-1") -> None:
        folder = self.runs / label
        folder.mkdir(exist_ok=True)
        (folder / "agent.json").write_text(json.dumps({"boot": self.boot_id, "phase": "running"}))
        if ended:
            (folder / "outcome.json").write_text("{}")

    def login(self) -> None:
        (self.runs / "contact").touch()
        process = self.root / "proc/4711"
        process.mkdir(exist_ok=True)
        (process / "comm").write_text("sshd\n")

    def logout(self) -> None:
        subprocess.run(["rm", "-r", str(self.root / "proc/4711")], check=True)


@pytest.fixture
def rented(tmp_path):
    return Rented(tmp_path)


def test_nothing_ends_while_there_is_time(rented):
    assert ["", ""] == [rented.look(20), rented.look(1000)]


def test_a_machine_that_nobody_comes_to_ends(rented):
    assert ["", ""] == [rented.look(20), rented.look(1219)]
    assert "nobody came" in rented.look(1221)


def test_a_touched_contact_without_a_login_is_not_a_client_for_ever(rented):
    rented.look(20)
    (rented.runs / "contact").touch()
    assert "nobody came" in rented.look(1221)


def test_a_client_that_is_logged_in_keeps_the_machine(rented):
    rented.look(20)
    rented.login()
    assert ["", ""] == [rented.look(1100), rented.look(2290)]


def test_a_client_that_went_before_the_job_began_is_not_waited_for_long(rented):
    rented.look(20)
    rented.login()
    rented.look(1000)
    rented.logout()
    assert "" == rented.look(2190)
    assert "nobody came" in rented.look(2201)


def test_a_running_job_has_the_machine_until_the_hard_limit(rented):
    rented.look(20)
    rented.job()
    assert ["", ""] == [rented.look(1500), rented.look(3600)]
    assert "hard limit" in rented.look(3620)


def test_what_a_job_left_is_kept_for_its_grace(rented):
    rented.look(20)
    rented.job(ended=True)
    assert ["", ""] == [rented.look(100), rented.look(699)]
    assert "grace" in rented.look(700)


def test_another_job_on_the_same_machine_begins_the_grace_anew(rented):
    rented.look(20)
    rented.job(ended=True)
    rented.look(100)
    rented.job(label="mlrun-0123456789-2")
    assert "" == rented.look(750)
    rented.job(ended=True, label="mlrun-0123456789-2")
    assert ["", ""] == [rented.look(800), rented.look(1399)]
    assert "grace" in rented.look(1400)


@pytest.mark.parametrize(("held", "ends"), [("2000", 2000), ("2000.75", 2000), ("99999999", 3620)])
def test_a_hold_moves_the_end_but_never_past_the_hard_limit(rented, held, ends):
    rented.look(20)
    rented.job(ended=True)
    rented.look(100)
    (rented.runs / "hold").write_text(held)
    assert "" == rented.look(ends - 1)
    assert rented.look(ends)


@pytest.mark.parametrize("rubbish", ["", "-5", "soon", "\0\0", "x" * 10_000, "0x7fffffff"])
def test_rubbish_holds_nothing(rented, rubbish):
    rented.look(20)
    rented.job(ended=True)
    rented.look(100)
    (rented.runs / "hold").write_text(rubbish)
    assert "grace" in rented.look(700)


def test_a_pipe_or_a_folder_in_place_of_a_hold_is_not_waited_for(rented):
    rented.look(20)
    rented.job(ended=True)
    rented.look(100)
    os.mkfifo(rented.runs / "hold")
    assert "grace" in rented.look(700)


def test_a_reboot_gives_no_time_back(rented):
    rented.look(20)
    rented.job()
    rented.look(3000)
    rented.boot()
    assert "" == rented.look(10)
    rented.job()
    assert "" == rented.look(600)
    assert "hard limit" in rented.look(640)


def test_a_job_that_a_reboot_ended_has_its_grace_and_no_more(rented):
    rented.look(20)
    rented.job()
    rented.look(1000)
    rented.boot()
    assert ["", ""] == [rented.look(10), rented.look(609)]
    assert "grace" in rented.look(610)


def test_uptime_of_a_container_that_began_long_ago_counts_from_the_first_look(rented):
    assert ["", ""] == [rented.look(1_000_000), rented.look(1_001_000)]
    rented.job()
    assert "hard limit" in rented.look(1_003_600)


def test_files_of_the_job_are_no_jobs(rented):
    rented.look(20)
    sent = rented.runs / "mlrun-0123456789-1.work"
    sent.mkdir()
    (sent / "agent.json").write_text("{}")
    assert "" == rented.look(1000)
    assert "nobody came" in rented.look(1221)


def test_without_its_limits_a_machine_ends_within_the_hour(rented):
    (rented.runs.parent / "limits").unlink()
    rented.look(20)
    rented.job()
    assert "" == rented.look(3619)
    assert "hard limit" in rented.look(3620)
