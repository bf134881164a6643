"""Which Python a job gets on another computer."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from dispatcher.hosts.base import Host
from dispatcher.hosts.job import agent_folder

LISTS = ("uv.lock", "poetry.lock", "requirements.lock", "requirements.txt")
"""What says which packages a project needs, the more exact first."""
FOLDER = "envs"


@dataclass(frozen=True, slots=True)
class RemoteEnvironment:
    """`setup` is a shell command to run in the job's folder before its own setup; `path_prefix` comes first on PATH.

    `file` is the list it is made by, None where the project has none: then it is empty but for the system's packages.
    """

    setup: str
    path_prefix: str
    file: str | None

    def before(self, setup: str | None) -> str:
        """The job's own setup after this one."""
        return f"{self.setup} && {{\n{setup}\n}}" if setup else self.setup


def remote_environment(host: Host, workdir: Path, setup: str | None = None, name: str = "") -> RemoteEnvironment:
    """The environment of the project in `workdir`, on a host that has the agent.

    Projects with the same list, setup and name share one. Nothing is run here: the command does it where its output is shown.
    """
    file = next((one for one in LISTS if (workdir / one).is_file()), None)
    read = [file] if file else []
    if file and file.endswith(".lock") and (workdir / "pyproject.toml").is_file():
        read.append("pyproject.toml")
    parts = [name, setup or "", file or "", *(hashlib.sha256((workdir / one).read_bytes()).hexdigest() for one in read)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    folder = f"{host.root}/{FOLDER}/{digest}"
    program = f"{host.root}/{agent_folder()}/environment.py"
    argv = ["python3", "-ES", program, folder, *([file] if file else [])]
    return RemoteEnvironment(shlex.join(argv), f"{folder}/bin", file)
