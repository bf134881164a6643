"""One cell: a driver killed before one of its effects, its return, and what the cloud's ledger says in the end."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.domain.run import new_run_id
from tests.guarantees.sim.driver import DEADLINE, GRACE
from tests.guarantees.sim.here import Here
from tests.guarantees.sim.owned import Owned
from tests.guarantees.sim.world import World, world

ROOT = Path(__file__).resolve().parents[3]
RETURNS: dict[str, float | None] = {"at once": 0.0, "after a minute": 60.0, "after 30 hours": 108_000.0, "never": None}
OFF_HOST_SLACK, REAPER_BEFORE = 1200.0, 900.0
"""The account's reaper is armed so long before the deadline: each of its looks is a process."""


@dataclass
class Told:
    """How a driver ended, and what it wrote."""

    status: int
    answer: dict[str, Any] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)


@dataclass
class Place:
    """A world (World, Owned or Here), and the process from which its drivers are forked. `guarded`: AWS may set schedules."""

    world: Any
    zygote: subprocess.Popen[str]
    folder: Path
    guarded: bool = False

    def fresh(self) -> str:
        """A new lab and an empty computer; the id of the run to come."""
        self.world.reset()
        if self.guarded:
            self.world.arm_schedules()
        shutil.rmtree(self.folder / "client", ignore_errors=True)
        (self.folder / "client" / "work").mkdir(parents=True)
        (self.folder / "client" / "work" / "train.py").write_text("print('trained')\n")
        return new_run_id()

    def drive(self, verb: str, run: str, fatal: int = 0, **more: Any) -> Told:
        client = self.folder / "client"
        asked = {"verb": verb, "cloud": self.world.cloud, "desk": str(self.world.folder / "desk"), "folder": str(client)}
        asked |= {"run": run, "environment": self.world.environment(), "fatal": fatal, **more}
        asked |= {"offset": self.world.offset} if isinstance(self.world, Here) else {}
        assert self.zygote.stdin
        assert self.zygote.stdout
        self.zygote.stdin.write(json.dumps(asked) + "\n")
        self.zygote.stdin.flush()
        status = int(self.zygote.stdout.readline())
        answer, effects = client / f"answer-{verb}.json", client / f"effects-{verb}"
        told = json.loads(answer.read_text()) if answer.exists() else {}
        return Told(status, told, effects.read_text().splitlines() if effects.exists() else [])


@contextlib.contextmanager
def place(cloud: str, folder: Path) -> Iterator[Place]:
    """Gone at the end, with its processes."""
    with _world(cloud, folder / cloud) as made:
        argv = [sys.executable, "-m", "tests.guarantees.sim.driver", cloud]
        zygote = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert zygote.stdout
            assert "ready" == zygote.stdout.readline().strip()
            yield Place(made, zygote, folder / cloud)
        finally:
            assert zygote.stdin
            zygote.stdin.close()
            zygote.wait(20)
            assert zygote.stdout
            zygote.stdout.close()


@contextlib.contextmanager
def _world(cloud: str, folder: Path) -> Iterator[World | Owned | Here]:
    if cloud in ("aws", "gcp"):
        with world(cloud, folder) as made:
            yield made
        return
    folder.mkdir(parents=True, exist_ok=True)
    made_here = (Owned if cloud == "ssh" else Here)(folder)
    try:
        yield made_here
    finally:
        made_here.close()


def cell(here: Place, point: int, pause: float | None, *, dumb: bool = False) -> list[str]:
    """What went wrong where a driver was killed before this effect, and somebody came back after so long, or never did.

    `dumb`: the machine's own timers do nothing.
    """
    run = here.fresh()
    if dumb:
        here.world.hosts.hung = True
    killed = here.drive("execute", run, fatal=point)
    if killed.status == 0 and here.world.cloud == "local":
        return judged(here)  # real time: it had fewer effects than the one before
    if killed.status != -signal.SIGKILL:
        return [f"the driver ended with {killed.status}"]
    wrong: list[str] = []
    if pause is not None:
        here.world.sleep(pause)
        wrong += _returned(here, here.drive("resume", run, sweep=True), pause)
    here.world.sleep(60 * 3600.0)
    return wrong + judged(here, dumb=dumb)


def hung_cell(here: Place, point: int) -> list[str]:
    """The same where the machine's own timers do nothing and nobody ever comes back: what is left to the account to do.

    On AWS that is the reaper, or where schedules may be set, the machine's own, once it was armed.
    """
    run = here.fresh()
    here.world.hosts.hung = True
    killed = here.drive("execute", run, fatal=point)
    if killed.status != -signal.SIGKILL:
        return [f"the driver ended with {killed.status}"]
    here.world.sleep(DEADLINE + GRACE - REAPER_BEFORE)
    reaper = here.world.cloud == "aws" and not here.guarded
    if reaper:
        here.world.arm_reaper()
    here.world.sleep(REAPER_BEFORE + OFF_HOST_SLACK)
    late = [f"still there: {one}" for one in here.world.left()]
    if reaper:
        here.world.disarm_reaper()
    here.world.hosts.hung = False
    return late + [f"the lab objects: {one}" for one in here.world.standin.violations]


def judged(here: Place, *, dumb: bool = False) -> list[str]:
    """What the world holds against the product when all has passed: what outlived its end, two of what was asked for once."""
    wrong = here.world.outlived(float("inf") if dumb else DEADLINE + GRACE)
    return [*wrong, "started the job twice"] if here.world.starts() > 1 else list(wrong)


def _returned(here: Place, back: Told, pause: float) -> list[str]:
    """What whoever came back may rightly complain of."""
    if back.status:
        return [f"the return ended with {back.status}"]
    told, wrong = back.answer, [f"left by a sweep: {one}" for one in back.answer["left"]]
    if "state" not in told:
        return wrong + [f"nothing was recorded, but {one} is there" for one in here.world.left()]
    if told["state"] != "finished":
        wrong.append(f"left as {told['state']}: {told['said'][-1:]}")
    wrong += [f"finished, but {one} is there" for one in here.world.left()]
    ended = here.world.job_ends()
    since = max([told["begun"], *ended])
    if told["closed"] - since > 16 * 60:
        wrong.append(f"closed {(told['closed'] - since) / 60:.0f} minutes after the return")
    if told["code"] == 0:
        wrong.append("an unknown end was called success")
    if ended and pause <= 60 and told["code"] != 7:
        wrong.append(f"the job's exit code 7 became {told['code']}")
    return wrong
