"""R15: while no machine can be terminated, its run stays open, every command says so, and nobody claims that it is gone."""

import json
import os
import subprocess
import sys

from dispatcher.app.reminders import reminders
from dispatcher.engine.lifecycle import resume
from dispatcher.errors import MlrunError
from tests.guarantees.row import Row, Size
from tests.guarantees.sim.cells import ROOT
from tests.guarantees.sim.inside import TERMINATE, Inside, inside

TARGET = "terminate errors for 24 h: the row stays open, warned in 100 % of commands; 0 claims that it is gone"
CODES = {"aws": ("UnauthorizedOperation", "InternalError"), "gcp": ("forbidden", "backendError")}
COMMANDS = (
    ("ps",), ("ps", "--json"), ("costs",), ("report", "last"), ("plan", "JOB"), ("doctor",), ("catalog", "show"),
    ("config", "show"), ("sweep", "--check"), ("schedule", "ls"), ("purge",), ("schema",),
)  # fmt: skip
FEW = (("ps", "--json"), ("plan", "JOB"), ("sweep", "--check"), ("schema",))
SAYING = ("may still exist", "not confirmed", '"doubt": "teardown"')


def measure(size: Size = Size.WHOLE) -> Row:
    wrong, looks, commands = [], 0, 0
    for cloud, codes in CODES.items():
        with inside(cloud) as here:
            for code in codes:
                found, count = a_day(here, code, hours=range(1, 25, size.of(1, 8, 23)))
                looks += count
                wrong += [f"{cloud} {code}: {one}" for one in found]
            if cloud == "aws":
                said = typed(here, size.of(COMMANDS, COMMANDS, FEW))
                commands = len(said)
                wrong += [f"`mlrun {name}` does not say it, but: {told}" for name, told in said.items() if told]
    measured = f"{looks} returns in 24 h, {commands} commands: {len(wrong)} wrong"
    return Row("R15", TARGET, "; ".join([measured, *wrong[:4]]), not wrong)


def a_day(here: Inside, code: str, hours: range) -> tuple[list[str], int]:
    """Returns every hour. The machine hangs, and its limit is two days away."""
    here.reset()
    here.world.hosts.hung = True
    here.world.faults.add(TERMINATE[here.world.cloud], code=code, n=-1)
    run = here.run(deadline_seconds=48 * 3600.0)
    wrong, last = [], 0
    for hour in hours:
        here.world.sleep((hour - last) * 3600.0)
        last = hour
        try:
            run = resume(run.id, here.context())
        except MlrunError as error:
            here.said.append(error)  # type: ignore[arg-type]
        words = [one.message for one in reminders(here.store.open_runs(), here.clock.now())]
        if not run.open or run.teardown_confirmed or run.teardown_proof or not here.world.left():
            wrong.append(f"after {hour} h it is called {run.state}")
        if not any(run.name in one and "may still exist" in one for one in words):
            wrong.append(f"after {hour} h nothing warns")
    return wrong, len(hours)


def typed(here: Inside, commands: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    """What each command, in a process of its own, says at last where it does not say that a machine may still exist."""
    home = here.folder / "typed"
    there = {"HOME": str(home), "DISPATCHER_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"}
    (home / "data").mkdir(parents=True)
    database = _database(there)
    here.store._db.execute("VACUUM INTO ?", (database,))
    job = home / "job.yaml"
    job.write_text(json.dumps({"run": "python train.py", "resources": {"memory": "1GB"}}))
    found = {}
    for words in commands:
        argv = [sys.executable, "-m", "dispatcher", *(str(job) if word == "JOB" else word for word in words)]
        done = _ran(argv, there)
        found[" ".join(words)] = "" if any(one in done for one in SAYING) else done.strip()[-200:] or "nothing"
    return found


def _database(there: dict[str, str]) -> str:
    program = "from dispatcher import paths; p = paths.database(); p.parent.mkdir(parents=True, exist_ok=True); print(p)"
    return _ran([sys.executable, "-c", program], there).strip()


def _ran(argv: list[str], there: dict[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DISPATCHER_", "GOOGLE_"))}
    done = subprocess.run(argv, cwd=ROOT, env=kept | there, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
