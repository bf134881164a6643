"""How tests of hosts visit them: a key, the ssh program, a knock at a port, and patience."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.lab.seams import Reply

SCRIPT = """#!/bin/bash
echo user-data ran on the console > /dev/console
echo here > /var/lib/user-data-ran
"""


def metadata(public_key: str, script: str = SCRIPT) -> Callable[[str, str, Mapping[str, str], bytes], Reply]:
    """The least that cloud-init asks for."""
    tree = {"instance-id": "i-1", "local-hostname": "planted", "public-keys/": "0=k", "public-keys/0/openssh-key": public_key}
    told = {f"meta-data/{path}": text for path, text in tree.items()} | {"user-data": script}
    told["meta-data/"] = "instance-id\nlocal-hostname\npublic-keys/"

    def answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if method == "PUT":
            return Reply(body=b"token")
        if "x-aws-ec2-metadata-token" not in headers:
            return Reply(401)
        wanted = path.split("/", 2)[2]
        return Reply(body=told[wanted].encode()) if wanted in told else Reply(404)

    return answer


class Login:
    """A key, and the ssh program with it."""

    def __init__(self, folder: Path) -> None:
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.public = self.key.with_suffix(".pub").read_text().strip()

    def try_once(self, address: str, *command: str, user: str = "ubuntu") -> subprocess.CompletedProcess[str]:
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=2",
        ]
        words = [word for option in options for word in ("-o", option)]
        command = ("ssh", "-i", str(self.key), *words, f"{user}@{address}", *command)
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def __call__(self, address: str, *command: str, user: str = "ubuntu") -> str:
        """As soon as it lets us in."""
        until = time.monotonic() + 30
        while (done := self.try_once(address, *command, user=user)).returncode == 255:
            assert time.monotonic() < until, done.stderr
            time.sleep(0.1)
        assert done.returncode == 0, done.stderr
        return done.stdout


def eventually(true: Callable[[], object], seconds: float = 15.0) -> bool:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def knock(address: str, port: int = 22, seconds: float = 0.5) -> str:
    try:
        socket.create_connection((address, port), seconds).close()
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "nothing"
    return "open"
