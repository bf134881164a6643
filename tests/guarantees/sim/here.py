"""This computer itself: real jobs under the real agent, and a clock that is put forward."""

from __future__ import annotations

import time
from pathlib import Path

from dispatcher.backends.processes import marked

COMMAND = "echo begun >> {count}; echo made > out.txt; exit 7"
PATIENCE = 60.0


class Here:
    """Runs of one folder. `sleep` puts the clock forward for drivers to come; jobs take no time at all."""

    cloud = "local"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.offset = folder, 0.0

    @property
    def client(self) -> Path:
        return self.folder / "client"

    def reset(self) -> None:
        self.offset = 0.0

    def environment(self) -> dict[str, str]:
        return {"DISPATCHER_HOME": str(self.folder / "home"), "HOME": str(self.folder)}

    def now(self) -> float:
        return time.time() + self.offset

    def sleep(self, seconds: float) -> None:
        self.offset += seconds

    def starts(self) -> int:
        count = self.client / "count"
        return len(count.read_text().splitlines()) if count.exists() else 0

    def job_ends(self) -> list[float]:
        return [0.0] * self.starts()

    def left(self) -> list[str]:
        """What mlrun should have cleared away."""
        return [f"mark {mark.name}" for mark in self.client.glob("data/runs/*/*.live")] + self._processes()

    def outlived(self, life: float) -> list[str]:
        """Processes of a job that has ended; a mark costs nothing, and may wait."""
        begun = time.monotonic()
        while (left := self._processes()) and time.monotonic() - begun < PATIENCE:
            time.sleep(0.02)
        return left

    def close(self) -> None:
        """There is nothing to close."""

    def _processes(self) -> list[str]:
        runs = {one.name for one in self.client.glob("data/runs/*")}
        return [f"process {one.pid}" for one in marked() if one.label.run in runs]
