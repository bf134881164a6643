"""What a rented machine is told to do at its first boot."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher import paths
from dispatcher.domain.run import Label
from dispatcher.errors import HostError

ROOT = "/var/lib/mlrun/runs"
"""The folder of attempts on a rented machine."""
USER = "mlrun"
CONTACT_SECONDS = 1200
LAST_RESORT_SECONDS = 600
"""How long after its hard limit a machine is ended by the timers that only matter where everything else failed."""
LARGEST_USER_DATA = 16 * 1024
"""Bytes that EC2 takes, before base64."""
_TOKEN = re.compile(r"^( *)@([A-Z_]+)@$|@([A-Z_]+)@", re.MULTILINE)
_PUBLIC_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/=]{60,80}")
_FILES = {
    "DEADMAN": "deadman.sh",
    "SERVICE": "deadman.service",
    "TIMER": "deadman.timer",
    "SSHD": "sshd.conf",
    "HOSTKEY": "hostkey.sh",
}


@dataclass(frozen=True, slots=True)
class Birth:
    """What differs from one machine to the next: its label, who may log in, and when it ends. Seconds.

    `extra` are lines of shell that come last.
    """

    label: Label
    public_key: str
    max_seconds: int
    grace_seconds: int
    contact_seconds: int = CONTACT_SECONDS
    extra: str = ""

    @property
    def limits(self) -> dict[str, int]:
        """The limits, as the machine keeps them."""
        named = ("max_seconds", "grace_seconds", "contact_seconds")
        return {name: max(1, int(getattr(self, name))) for name in named}


def script(birth: Birth, end: str) -> str:
    """The shell script that makes a machine ours; `end` is the script with which it ends itself."""
    return filled(template("bootstrap.sh"), _values(birth, end))


def cloud_config(birth: Birth, host_private: str, host_public: str) -> str:
    """User-data for cloud-init: the end armed first, then the script, and the host key we pin.

    Raises HostError where they are larger than EC2 takes.
    """
    text = _config(birth, host_private, host_public)
    if len(text.encode()) > LARGEST_USER_DATA:
        raise HostError(f"The machine's user-data have {len(text.encode())} bytes; EC2 takes {LARGEST_USER_DATA}.")
    return text


def _config(birth: Birth, host_private: str, host_public: str) -> str:
    last = birth.limits["max_seconds"] + LAST_RESORT_SECONDS
    values = _values(birth, template("poweroff.sh")) | {
        "BOOTSTRAP": script(birth, template("poweroff.sh")),
        "LAST_RESORT_SECONDS": str(last),
        "LAST_RESORT_MINUTES": str(-(-last // 60) + 5),
        "HOST_PRIVATE_KEY": host_private.strip(),
        "HOST_PUBLIC_KEY": _checked(host_public),
    }
    return filled(template("user-data.yaml"), values)


def packed_config(birth: Birth, host_private: str, host_public: str) -> bytes:
    """The same, compressed, as cloud-init takes it too. Raises HostError where it is larger than EC2 takes."""
    packed = gzip.compress(_config(birth, host_private, host_public).encode(), mtime=0)
    if len(packed) > LARGEST_USER_DATA:
        raise HostError(f"The machine's user-data have {len(packed)} bytes; EC2 takes {LARGEST_USER_DATA}.")
    return packed


def template(name: str) -> str:
    """A file of templates/bootstrap."""
    return (paths.templates_dir() / "bootstrap" / name).read_text(encoding="utf-8")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with each @NAME@ replaced; one that has a line to itself keeps its indentation in every line."""

    def put(found: re.Match[str]) -> str:
        indent, alone, inside = found.groups()
        if not alone:
            return values[inside]
        return "\n".join(f"{indent}{line}" if line else "" for line in values[alone].rstrip("\n").split("\n"))

    return _TOKEN.sub(put, text)


def _values(birth: Birth, end: str) -> dict[str, str]:
    limits = birth.limits
    return {
        "LIMITS_LINE": ", ".join(f"{name}={value}" for name, value in limits.items()),
        "LIMITS": "\n".join(f"{name}={value}" for name, value in limits.items()),
        "END": end,
        "LABEL": str(birth.label),
        "PUBLIC_KEY": _checked(birth.public_key),
        "EXTRA": birth.extra or ":",
        **{name: template(file) for name, file in _FILES.items()},
    }


def _checked(public_key: str) -> str:
    """The key without its comment: it goes into a shell script."""
    found = _PUBLIC_KEY.match(public_key)
    if not found:
        raise HostError("The run's key is not an ed25519 key")
    return found.group()
