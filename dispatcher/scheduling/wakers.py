"""Who wakes mlrun on this computer: systemd, launchd, or cron."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dispatcher.errors import HostError
from dispatcher.scheduling import units

KEPT_VARIABLES = ("DISPATCHER_HOME", "PATH", "HOME", "VIRTUAL_ENV", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
"""A scheduler starts programs with a bare environment: the job's Python is found by what stood here when it was made."""
COMMAND_SECONDS = 20.0


class Waker(Protocol):
    """Starts `mlrun schedule due` at a moment."""

    name: str

    def wake(self, schedule_id: str, at: datetime, what: str) -> None:
        """Have mlrun started then, in place of an earlier moment. Raises HostError."""

    def forget(self, schedule_id: str, *, last: bool) -> None:
        """Do not; `last` when no other schedule needs to be woken for."""

    def limits(self) -> list[str]:
        """What cannot start, in sentences."""


def waker() -> Waker:
    """The best one here. Raises HostError where there is none."""
    if sys.platform == "darwin":
        return Launchd()
    if _answers("systemctl", "--user", "show-environment"):
        return SystemdUser()
    if shutil.which("crontab"):
        return Cron()
    raise HostError("Nothing here starts programs later: neither a systemd user manager nor cron.", fix="apt install cron")


def named(name: str) -> Waker:
    """The one that a schedule was handed to."""
    every: dict[str, type[Waker]] = {"launchd": Launchd, "systemd": SystemdUser, "cron": Cron}
    return every[name]()


def argv(schedule_id: str | None) -> list[str]:
    """The command that is started."""
    return [sys.executable, "-m", "dispatcher", "schedule", "due", *([schedule_id] if schedule_id else [])]


def kept_environment() -> dict[str, str]:
    """What the started mlrun must know of this one's environment."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if os.environ.get(name)}


class SystemdUser:
    """Timers of the user's own manager."""

    name = "systemd"

    def wake(self, schedule_id: str, at: datetime, what: str) -> None:
        """Two unit files, and the timer enabled."""
        folder = _units()
        _write(folder / f"{_unit(schedule_id)}.service", units.systemd_service(argv(schedule_id), kept_environment(), what))
        _write(folder / f"{_unit(schedule_id)}.timer", units.systemd_timer(at, what))
        _must("systemctl", "--user", "daemon-reload")
        _must("systemctl", "--user", "enable", f"{_unit(schedule_id)}.timer")
        _must("systemctl", "--user", "restart", f"{_unit(schedule_id)}.timer")

    def forget(self, schedule_id: str, *, last: bool) -> None:
        """The timer stopped, the files removed; a job that runs goes on."""
        unit = _unit(schedule_id)
        _try("systemctl", "--user", "disable", "--now", f"{unit}.timer")
        for kind in ("timer", "service"):
            (_units() / f"{unit}.{kind}").unlink(missing_ok=True)
        _try("systemctl", "--user", "daemon-reload")

    def limits(self) -> list[str]:
        """Sleep, and logging out."""
        said = ["It does not start while this computer is off or asleep (its lid shut): then it starts late, when it is back."]
        lingers = _said("loginctl", "show-user", str(os.getuid()), "--property=Linger")
        if lingers.strip() != "Linger=yes":
            said.append("Nor while you are logged out, which also ends what it started; `loginctl enable-linger` changes that.")
        return said


class Launchd:
    """Agents of macOS."""

    name = "launchd"

    def wake(self, schedule_id: str, at: datetime, what: str) -> None:
        """An agent's file, loaded."""
        file = self._file(schedule_id)
        self.forget(schedule_id, last=False)
        _write(file, units.launchd_agent(_unit(schedule_id), argv(schedule_id), kept_environment(), at))
        _must("launchctl", "bootstrap", f"gui/{os.getuid()}", str(file))

    def forget(self, schedule_id: str, *, last: bool) -> None:
        """Unloaded and removed."""
        _try("launchctl", "bootout", f"gui/{os.getuid()}/{_unit(schedule_id)}")
        self._file(schedule_id).unlink(missing_ok=True)

    def limits(self) -> list[str]:
        """Sleep, and logging out."""
        return [
            "It does not start while this Mac sleeps (its lid shut): then it starts late, when it wakes.",
            "Nor while you are logged out or the Mac is off: what was due then is started by the next mlrun command.",
        ]

    def _file(self, schedule_id: str) -> Path:
        return Path.home() / "Library" / "LaunchAgents" / f"{_unit(schedule_id)}.plist"


class Cron:
    """One line in the user's crontab that looks for what is due."""

    name = "cron"

    def wake(self, schedule_id: str, at: datetime, what: str) -> None:
        """The line, once."""
        self._rewrite([*self._others(), units.cron_line(argv(None), kept_environment())])

    def forget(self, schedule_id: str, *, last: bool) -> None:
        """The line removed with the last schedule."""
        if last:
            self._rewrite(self._others())

    def limits(self) -> list[str]:
        """Sleep; cron itself."""
        return [
            "It does not start while this computer is off or asleep (its lid shut): then it starts late, when it is back.",
            "It starts within 5 min of its time, and only where the cron service runs.",
        ]

    def _others(self) -> list[str]:
        return [line for line in _said("crontab", "-l").splitlines() if not line.endswith(units.CRON_MARK)]

    def _rewrite(self, lines: list[str]) -> None:
        _must("crontab", "-", stdin="".join(f"{line}\n" for line in lines))


def _unit(schedule_id: str) -> str:
    return f"mlrun-{schedule_id}"


def _units() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o600)
    except OSError as why:
        raise HostError(f"{file} cannot be written: {why.strerror}", fix="mlrun doctor") from why


def _run(words: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        return subprocess.CompletedProcess(words, 127, "", str(why))


def _answers(*words: str) -> bool:
    return shutil.which(words[0]) is not None and _run(words).returncode == 0


def _said(*words: str) -> str:
    return _run(words).stdout


def _try(*words: str) -> None:
    _run(words)


def _must(*words: str, stdin: str = "") -> None:
    done = _run(words, stdin)
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        raise HostError(
            f"`{' '.join(words[:3])}` failed: {said[0]}", fix="Start the job yourself, or from a scheduler you know."
        )
