"""A computer over a real sshd behind a link that can be cut, and mlrun's engine in a process that can be killed."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.backends.processes import marked
from dispatcher.domain.run import new_run_id
from tests.sshd import Sshd, Wire, sshd

ROOT = Path(__file__).resolve().parents[3]
RUN = new_run_id()


@dataclass
class Place:
    """`folder` holds all of it: the server's home, the client's home, its record and its runs."""

    folder: Path
    server: Sshd
    wire: Wire
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def kept(self) -> Path:
        """The log as the client keeps it."""
        return self.folder / "runs" / RUN / f"mlrun-{RUN}-1" / "log"

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"},
            "HOME": str(self.folder / "client"),
            "DISPATCHER_HOME": str(self.folder / "client" / "dispatcher"),
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def drive(self, command: str = "", outputs: str = "") -> subprocess.Popen[bytes]:
        """A driver: it starts the run where there is none, and takes it up where there is one."""
        argv = [sys.executable, "-m", "tests.guarantees.real.driver", str(self.folder), RUN, command, outputs]
        with (self.folder / "driver.log").open("ab") as said:
            made = subprocess.Popen(argv, cwd=ROOT, env=self.environment(), stdout=said, stderr=said)
        self.drivers.append(made)
        return made

    def said(self) -> str:
        return (self.folder / "driver.log").read_text(errors="replace")


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Gone at the end, with every process of it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-guarantees-", ignore_cleanup_errors=True)))
        server = stack.enter_context(sshd(folder / "sshd"))
        wire = Wire(server.port)
        stack.callback(wire.close)
        ssh = folder / "client" / ".ssh"
        ssh.mkdir(parents=True)
        (folder / "work").mkdir()
        (folder / "tmp").mkdir()
        (ssh / "config").write_text(
            f"Host desk\n HostName 127.0.0.1\n Port {wire.port}\n User {getpass.getuser()}\n IdentityFile {server.key}\n"
        )
        (ssh / "known_hosts").write_text(f"[127.0.0.1]:{wire.port} {server.host_key}\n")
        made = Place(folder, server, wire)
        try:
            yield made
        finally:
            for one in made.drivers:
                one.kill()
                one.wait()
            for process in marked():
                if process.label.run == RUN:
                    os.kill(process.pid, signal.SIGKILL)
