"""What the user's SSH configuration says of a host."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ASK_SECONDS = 5.0
KNOWN = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host is and what leads to it. `jumps` in the order of travel; `command` in place of a socket."""

    address: str
    port: int = 22
    user: str = ""
    keys: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    alias: str = ""
    jumps: tuple[str, ...] = ()
    command: str = ""
    only_named: bool = False


def look_up(name: str, home: Path | None = None) -> Place:
    """The host that ssh would go to; `name` may be user@host or user@host:port, as a jump host's is."""
    user, _, host = name.rpartition("@")
    host, _, port = host.partition(":") if host.count(":") == 1 else (host, "", "")
    said = _asked(host, home or Path.home()) or _parsed(host, home or Path.home())
    place = _place(said, host, home or Path.home())
    return Place(
        place.address, int(port or place.port), user or place.user, place.keys, place.known_hosts, place.alias, place.jumps,
        place.command, place.only_named,
    )  # fmt: skip


def _asked(host: str, home: Path) -> dict[str, list[str]]:
    """As ssh itself reads its files, with Include and Match; {} where there is no ssh."""
    argv = ["ssh", "-G", "--", host]
    if str(home) != pwd.getpwuid(os.getuid()).pw_dir:  # ssh looks up the home folder by itself, whatever HOME says
        config = home / ".ssh" / "config"
        argv[1:1] = ["-F", str(config) if config.is_file() else "none"]
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=ASK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found: dict[str, list[str]] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else ():
        key, _, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def _parsed(host: str, home: Path) -> dict[str, list[str]]:
    from paramiko.config import SSHConfig

    config = home / ".ssh" / "config"
    said: Mapping[str, str | list[str]] = SSHConfig.from_path(str(config)).lookup(host) if config.is_file() else {}
    return {key: value if isinstance(value, list) else [value] for key, value in said.items()}


def _place(said: Mapping[str, list[str]], host: str, home: Path) -> Place:
    def first(key: str) -> str:
        value = (said.get(key) or [""])[0]
        return "" if value.lower() == "none" else value

    known = (first("userknownhostsfile") + " " + first("globalknownhostsfile")).split() or list(KNOWN)
    return Place(
        first("hostname") or host,
        int(first("port") or 22),
        first("user"),
        tuple(_file(name, home) for name in said.get("identityfile") or ()),
        tuple(_file(name, home) for name in known),
        first("hostkeyalias"),
        tuple(hop.strip() for hop in first("proxyjump").split(",") if hop.strip()),
        first("proxycommand"),
        first("identitiesonly").lower() == "yes",
    )


def _file(name: str, home: Path) -> Path:
    """A file's path below the home folder that HOME names."""
    own = pwd.getpwuid(os.getuid()).pw_dir
    if name.startswith("~/"):
        return home / name[2:]
    return home / Path(name).relative_to(own) if name.startswith(f"{own}/.ssh/") else Path(name)
