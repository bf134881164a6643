"""The clouds as the story of a rented machine needs them: what each is told, and what it is asked."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.shell import Ended, Shell

DESCRIBED = """
    model: {{family: tabular, library: sklearn, algorithm: random-forest, trees: 10}}
    dataset: {{rows: 1000, columns: 10, dtype: float64}}
    budget: {{max_time: 20m}}
    where: {where}
"""
COUNTS = """
    name: counts
    run: |
      i=0; while [ $i -lt 12000 ] && [ ! -e enough ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done
      echo made > out.txt; exit 7
    outputs: [out.txt]
"""
LONGEST = 240.0


@dataclass
class Rented:
    """A shell whose mlrun finds an account, the lab's; and the lab, to look at what happens there."""

    shell: Shell
    lab: Any

    name = ""
    where = ""
    machine = ""
    launch = ""
    no_capacity = ""
    proof: tuple[str, ...] = ()

    def cloud(self) -> Any:
        raise NotImplementedError

    def machines(self) -> list[dict[str, Any]]:
        """Those that exist."""
        gone = ("shutting-down", "terminated", "stopping")
        return [one for one in self.cloud().control("instances", {}) if one["state"] not in gone]

    def preempt(self) -> None:
        """The cloud takes its one machine back."""
        raise NotImplementedError

    def wire(self, **settings: Any) -> None:
        """Something happens to the line to its one machine; nothing given: as it was."""
        raise NotImplementedError

    def job(self, text: str) -> Any:
        """A job file for this cloud."""
        return self.shell.write(text + DESCRIBED.format(where=self.where))

    def run(self, text: str, *flags: str) -> Ended:
        return self.shell.mlrun(self.job(text), "--yes", *flags, timeout=LONGEST)

    def begin(self, text: str, *flags: str) -> subprocess.Popen[bytes]:
        return self.shell.start(self.job(text), "--yes", *flags)

    def follow(self, text: str, *flags: str) -> subprocess.Popen[bytes]:
        """A run that has written its first line."""
        running = self.begin(text, *flags)
        assert running.stdout is not None
        assert running.stdout.readline() == b"line 1\n"
        return running

    def mlrun(self, *words: object) -> Ended:
        return self.shell.mlrun(*words, timeout=LONGEST)

    def last(self, *keys: str) -> Any:
        """The newest run, or some of what it tells."""
        told = self.shell.last()
        return tuple(told[key] for key in keys) if keys else told

    def enough(self, run: dict[str, Any]) -> None:
        """Tell the job that counts to stop."""
        done = self.mlrun("ssh", run["id"], "touch", f"/var/lib/mlrun/runs/{run['label']}.work/enough")
        assert done.code == 0, done.said


class OnAws(Rented):
    """Amazon's."""

    name, where, machine = "aws", "aws/us-east-1", "aws:c5.large"
    launch, no_capacity = "RunInstances", "InsufficientInstanceCapacity"
    proof = ("instance i-", "volume vol-", "rule sgr-")

    def cloud(self) -> Any:
        return self.lab.ec2

    def preempt(self) -> None:
        (machine,) = self.machines()
        assert machine["market"] == "spot"
        self.cloud().control("preempt", {"id": machine["id"]})

    def wire(self, **settings: Any) -> None:
        (machine,) = self.machines()
        self.lab.hosts.set_wire(self.lab.find(machine["id"]), **settings)


class OnGcp(Rented):
    """Google's."""

    name, where, machine = "gcp", "gcp/us-central1", "gcp:n2-standard-2"
    launch, no_capacity = "instances.insert", "ZONE_RESOURCE_POOL_EXHAUSTED"
    proof = ("instance us-central1-", "disk us-central1-", "rule mlrun-")

    def cloud(self) -> Any:
        return self.lab.gce

    def preempt(self) -> None:
        (machine,) = self.machines()
        self.cloud().control("preempt", {"instance": machine["name"]})

    def wire(self, **settings: Any) -> None:
        (machine,) = self.machines()
        self.lab.hosts.set_wire(machine["host"], **settings)


def rest(running: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What it still writes, to both streams, until it has ended. Of what was read ahead with the first line nothing is lost."""
    assert running.stdout is not None
    assert running.stderr is not None
    watchdog = threading.Timer(2 * LONGEST, running.kill)
    watchdog.start()
    try:
        with ThreadPoolExecutor(1) as pool, running:
            err = pool.submit(running.stderr.read)
            return running.stdout.read(), err.result()
    finally:
        watchdog.cancel()


CLOUDS = {one.name: one for one in (OnAws, OnGcp)}


@pytest.fixture
def rented(request: pytest.FixtureRequest, lab: Any, lab_environment: dict[str, str], shell: Shell) -> Rented:
    """The cloud that the test is played on."""
    shell.env |= lab_environment
    return CLOUDS[request.param](shell, lab)


def on(*names: str) -> pytest.MarkDecorator:
    """Play it on these clouds: on both where their code differs, on one where what is played is the same code for both."""
    return pytest.mark.parametrize("rented", names, indirect=True)


both = on("aws", "gcp")
