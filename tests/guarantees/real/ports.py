"""Who is let in to a rented machine: its ports, from the caller's address and from another in the same network."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dispatcher.backends.aws.backend import AwsBackend
from dispatcher.backends.base import Terms
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label, new_run_id
from dispatcher.hosts.job import JobSpec, launch
from dispatcher.jobfile.settings import Aws
from tests.lab.lab import Lab

OFFER = Offer("aws", "t3.large", "cpu", region="us-east-1", zone="us-east-1a", market="on-demand", ram_gib=8)
USUAL = (22, 80, 111, 443, 2049, 2375, 3000, 5000, 5432, 6006, 6379, 7860, 8000, 8080, 8265, 8787, 8888, 9090, 10250, 29500)
SERVED = 8888
"""A port on which the job listens for everybody, as notebooks do."""
SCAN = """
import asyncio, json, sys
address, ports = sys.argv[1], json.loads(sys.stdin.read())
async def look(waiting, found):
    while waiting:
        port = waiting.pop()
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 0.7)
        except (OSError, asyncio.TimeoutError):
            continue
        writer.close()
        found.append(port)
async def main():
    waiting, found = list(ports), []
    await asyncio.gather(*(look(waiting, found) for _ in range(300)))
    print(json.dumps(sorted(found)))
asyncio.run(main())
"""


@dataclass
class Seen:
    """Ports that answered the caller, and another address; how many were knocked at."""

    caller: list[int]
    other: list[int]
    knocked: int
    served: bool
    """Whether something listened on the machine beside sshd, that must not be reached."""
    control: bool
    """Whether the same scan sees a port that is open: the second machine's own."""


def scan(until: int) -> Seen:
    ports = sorted({*range(1, until), *USUAL})
    with rented() as (lab, backend, machines):
        target, other = machines
        host = backend.connect(target)
        work = f"{host.root}/{target.label}.work"
        host.run(["mkdir", "-p", work])
        serve = f"python3 -m http.server {SERVED} --bind 0.0.0.0"
        launch(host, JobSpec(str(target.label), serve, work))
        inside = f"import socket; socket.create_connection(('127.0.0.1', {SERVED}), 1)"
        served = _until(lambda: host.run(["python3", "-c", inside]).code == 0)
        host.close()
        script, asked = Path("/var/tmp/scan.py"), Path("/var/tmp/ports.json")
        second = next(name for name in lab.hosts.ids() if lab.hosts.address(name) == other.address)
        lab.hosts.put(second, str(script), SCAN.encode())
        lab.hosts.put(second, str(asked), json.dumps(ports).encode())

        def knocked(address: str) -> list[int]:
            return list(json.loads(lab.hosts.run(second, "sh", "-c", f"python3 {script} {address} < {asked}")))

        control = _until(lambda: 22 in knocked("127.0.0.1"))  # the second machine may still be booting
        found = knocked(target.address)
        return Seen([port for port in USUAL if _open(target.address, port)], found, len(ports), served, control)


@contextmanager
def rented() -> Iterator[tuple[Lab, AwsBackend, list]]:
    """Two machines in the lab's AWS, on real hosts; gone at the end."""
    lab, before = Lab(), dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="mlrun-ports-") as folder:
        os.environ |= {**lab.environment("aws"), "DISPATCHER_HOME": folder}
        try:
            backend = AwsBackend(Aws(regions=("us-east-1",)))
            labels = [Label(new_run_id()), Label(new_run_id())]
            yield lab, backend, [backend.provision(OFFER, label, Terms()) for label in labels]
        finally:
            lab.reset()
            lab.close()
            os.environ.clear()
            os.environ |= before


def _open(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), 0.7):
        return True
    return False


def _until(look, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return bool(found)
