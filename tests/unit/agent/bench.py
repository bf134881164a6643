"""Jobs under the real agent, in real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dispatcher.backends.processes import marked
from dispatcher.domain.run import Label, new_run_id
from dispatcher.hosts import job as jobs
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobSpec, JobStatus
from dispatcher.hosts.local import LocalHost
from dispatcher.retries import SystemClock


class Bench:
    """A host in a temporary folder, and a label to run one job under."""

    def __init__(self, root: Path) -> None:
        self.host, self.work = LocalHost(root / "run"), root / "work"
        self.work.mkdir()
        self.label = str(Label(new_run_id()))
        self.folder = root / "run" / self.label

    def launch(self, command: str, **more: object) -> None:
        known = {"label": self.label, "command": command, "cwd": str(self.work), "sample_seconds": 0.1}
        jobs.launch(self.host, JobSpec(**(known | more)))

    def status(self) -> JobStatus:
        return jobs.status(self.host, self.label)

    def finish(self, offset: int = 0) -> tuple[bytes, JobStatus]:
        """What the job printed from an offset on, and how it ended."""
        pieces = list(follow(self.host, self.label, offset, clock=SystemClock()))
        assert isinstance(pieces[-1], JobStatus)
        return b"".join(pieces[:-1]), pieces[-1]

    def run(self, command: str, **more: object) -> tuple[bytes, JobStatus]:
        self.launch(command, **more)
        return self.finish()

    def living(self) -> list[int]:
        return [one.pid for one in marked(Label.parse(self.label))]

    def until(self, look: Callable[[], object], patience: float = 10.0) -> None:
        end = time.monotonic() + patience
        while not look():
            assert time.monotonic() < end, "it did not come to pass"
            time.sleep(0.01)

    def printed(self, text: bytes) -> None:
        """Wait until the job has printed it."""
        self.until(lambda: text in (self.folder / "log").read_bytes())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench; after the test no process carries its label."""
    one = Bench(tmp_path)
    yield one
    end = time.monotonic() + 3
    while one.living() and time.monotonic() < end:
        time.sleep(0.01)
    left = one.living()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
