"""A computer of the user's own over SSH, on paper."""

from __future__ import annotations

from pathlib import Path

from tests.guarantees.sim.computers import Computer, Computers
from tests.guarantees.sim.served import Served

NAME = "desk"


class Owned(Served):
    """It is always there, and ends no job but at the job's own limit."""

    cloud = "ssh"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.computers = Computers(self.clock, lambda _host: None, lambda _host: None)
        self.reset()

    def reset(self) -> None:
        """A new computer, at a later time."""
        self.clock.close()
        self.clock.advance(3600.0)
        self.computers.known = {NAME: Computer(NAME, "key")}

    def environment(self) -> dict[str, str]:
        return {"DISPATCHER_HOME": str(self.folder / "home"), "HOME": str(self.folder)}

    def knock(self, address: str) -> tuple[str, str] | None:
        return (address, "key") if address in self.computers.known else None

    def left(self) -> list[str]:
        """What mlrun should have cleared away."""
        return [f"mark {name}" for name in self.computers.known[NAME].marks] + self._running()

    def outlived(self, life: float) -> list[str]:
        """Jobs that run when all time has passed, or ran for longer than their limit; a mark costs nothing, and may wait."""
        jobs = self.computers.known[NAME].jobs
        late = [f"{name} ran too long" for name, job in jobs.items() if job.ended and job.ended - job.began > life]
        return late + self._running()

    def _running(self) -> list[str]:
        return [f"job {name}" for name, job in self.computers.known[NAME].jobs.items() if job.ended is None]
