"""Runs that a real host's own systemd starts for its users."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import sys
import tarfile
import time
from collections.abc import Callable
from importlib import metadata as installed
from pathlib import Path
from typing import Any

import pytest

from dispatcher import paths
from tests.lab.seams import HostSpec, Rule
from tests.lab.visiting import Login, eventually, metadata

NAME = "i-1"
WANTED = ("click", "pydantic", "ruamel.yaml", "psutil", "cronsim", "rich", "platformdirs", "pathspec", "tenacity", "tzlocal")
"""What runs on one's own computer load; the rest is for clouds."""
SITE = "usr/local/lib/python3.11/dist-packages"
MLRUN = "cd work && python3 -m dispatcher"
AWAKE = "for i in $(seq 10); do systemd-inhibit --list --no-pager | grep mlrun && break; sleep 0.2; done | tee awake.txt"
PATIENCE = 60.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the hosts' Python is 3.11: what is compiled, too"),
]


def needed(names: tuple[str, ...]) -> set[str]:
    """These packages and what they need, as they are installed here."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = re.split(r"[ ;<>=!~(\[]", wanted.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            wanted += [one for one in installed.requires(name) or () if "extra ==" not in one and "python_version <" not in one]
    return found


def files_of(name: str) -> list[installed.PackagePath]:
    """A package's files; none where it is not installed, as this Python does not need it."""
    try:
        found = installed.files(name) or []
    except installed.PackageNotFoundError:
        return []
    return [one for one in found if ".." not in one.parts and "__pycache__" not in one.parts]


def program() -> bytes:
    """mlrun as its wheel has it, with what it needs, as a tape."""
    tape = io.BytesIO()
    with tarfile.open(fileobj=tape, mode="w") as tar:
        tar.add(paths.PACKAGE, f"{SITE}/dispatcher", filter=lambda one: None if "__pycache__" in one.name else one)
        tar.add(paths.templates_dir(), f"{SITE}/dispatcher/templates")
        own = (one for one in installed.files("mlrun-dispatcher") or () if ".dist-info" in str(one))  # its entry points
        for one in (*own, *(file for name in needed(WANTED) for file in files_of(name))):
            tar.add(one.locate(), f"{SITE}/{one}")
    return tape.getvalue()


class Computer:
    """Somebody's computer, and the somebody."""

    def __init__(self, lab: Any, login: Login, address: str) -> None:
        self.lab, self.login, self.address = lab, login, address

    def __call__(self, *command: str) -> str:
        return self.login(self.address, *command)

    def write(self, name: str, text: str) -> None:
        self.login(self.address, f"mkdir -p work; cat > work/{name} <<'END'\n{text}\nEND")

    def at(self, seconds: float, *words: str) -> dict[str, Any]:
        """A schedule so many seconds from now; more, where this machine is so busy that they pass meanwhile."""
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        command = f"{MLRUN} schedule add job.yaml --at {soon.isoformat(timespec='seconds')} --json {' '.join(words)}"
        done = self.login.try_once(self.address, command)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else self.at(2 * seconds, *words)

    def schedules(self) -> list[dict[str, Any]]:
        return list(json.loads(self(f"{MLRUN} schedule ls --json"))["schedules"])

    def said(self) -> str:
        """What the schedules' runs printed, and what systemd knows of them."""
        return self("cat .local/share/dispatcher/schedules/*.log; journalctl --user --no-pager -n 50")

    def outcomes(self) -> list[str]:
        """What the only schedule's last firing came to."""
        [one] = self.schedules()
        return list(one["fired"][-1]["outcomes"]) if one["fired"] else []


@pytest.fixture
def computer(lab: Any, tmp_path: Path) -> Callable[[], Computer]:
    login = Login(tmp_path)
    address = lab.hosts.boot(HostSpec(NAME, "ec2", metadata(login.public)), lambda *_: None)
    lab.hosts.allow(NAME, [Rule(22, 22, f"{lab.hosts.slot.gateway}/32")])
    made = Computer(lab, login, address)
    made("cloud-init", "status", "--wait")
    lab.hosts.put(NAME, "/var/mlrun.tar", program())
    lab.hosts.run(NAME, "tar", "-C", "/", "-xf", "/var/mlrun.tar", "--no-same-owner")
    yield made
    lab.hosts.destroy(NAME)


def test_overnight_systemd_starts_late_rather_than_never_and_says_what_it_needs(computer: Computer, lab: Any) -> None:
    computer.write("job.yaml", "run: date +%s > when.txt; echo from the timer\nwhere: local")
    [alone] = [one for one in computer.at(3600)["limits"] if "logged out" in one]
    assert "`loginctl enable-linger` changes that" in alone
    computer(f"{MLRUN} schedule rm {computer.schedules()[0]['id']}")
    lab.hosts.run(NAME, "loginctl", "enable-linger", "ubuntu")
    kept = computer.at(12)
    assert [] == [one for one in kept["limits"] if "logged out" in one]
    meant = dt.datetime.fromisoformat(kept["schedule"]["next"]).timestamp()
    lab.hosts.power_off(NAME)
    assert eventually(lambda: time.time() > meant + 2, PATIENCE)
    lab.hosts.power_on(NAME)
    assert eventually(computer.outcomes, PATIENCE), computer.said()
    assert ["job.yaml: exit code 0"] == computer.outcomes(), computer.said()
    assert meant < float(computer("cat work/when.txt"))
    assert "from the timer\n" == computer(f"{MLRUN} logs last")
    assert "" == computer("ls .config/systemd/user | grep mlrun || true")


def test_overnight_systemd_holds_off_sleep_where_it_may_and_says_where_not(computer: Computer) -> None:
    computer.write("job.yaml", f"run: {AWAKE}\nwhere: local")
    assert "mlrun" in computer(f"sudo sh -c '{MLRUN} job.yaml'")
    computer("sudo rm work/awake.txt")
    assert "mlrun" not in computer(f"{MLRUN} job.yaml")
    assert "lets nobody hold off sleep" in computer("cat .local/share/dispatcher/runs/*/*/notices.jsonl")
