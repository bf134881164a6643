"""Drives one run in a process of its own against a world, and is killed where it is told to be."""

from __future__ import annotations

import json
import os
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.loaders import create_loader

from dispatcher.backends import ssh
from dispatcher.backends.aws import backend as aws
from dispatcher.backends.base import Backend
from dispatcher.backends.cloud import reach
from dispatcher.backends.gcp.backend import GcpBackend
from dispatcher.backends.local import LocalBackend
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label, Run, RunState
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.lifecycle import execute, resume
from dispatcher.engine.outcome import exit_code
from dispatcher.engine.sweep import survey, sweep
from dispatcher.errors import MlrunError
from dispatcher.events import Event, Warned
from dispatcher.jobfile.settings import Aws, Gcp, ListedHost
from dispatcher.retries import SystemClock
from dispatcher.store.store import Store
from tests.guarantees.sim.desk import Desk, DeskClock, opener
from tests.guarantees.sim.effects import Effects
from tests.guarantees.sim.here import COMMAND
from tests.guarantees.sim.owned import NAME

REGIONS = ("us-east-1", "eu-west-1")
OFFERS = {
    "aws": Offer(
        "aws", "t3.large", "cpu", region="us-east-1", zone="us-east-1a", market="on-demand", ram_gib=8, price_per_hour=0.0832
    ),
    "gcp": Offer(
        "gcp", "e2-standard-2", "cpu", region="us-central1", zone="us-central1-a", market="on-demand", ram_gib=8,
        price_per_hour=0.067,
    ),
    "ssh": Offer(f"ssh:{NAME}", None, "cpu", market="owned"),
    "local": Offer("local", None, "cpu", market="owned"),
}  # fmt: skip
DEADLINE, GRACE = 7200.0, 3600.0
AGAIN = 60.0
"""Somebody who came back looks again after so many seconds."""


@cache
def _loader(_paths: object = None) -> Any:
    return create_loader()


class PutForward:
    """This computer's clock, so many seconds ahead: whoever sleeps is there at once."""

    def __init__(self, ahead: float) -> None:
        self.ahead, self._real = ahead, SystemClock()

    def now(self) -> float:
        return self._real.now() + self.ahead

    def monotonic(self) -> float:
        return self._real.monotonic() + self.ahead

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        self.ahead += seconds
        return self._real.sleep(min(seconds, 0.01), cancel)


def warm(cloud: str) -> None:
    """What every driver reads from the disk is read before they are forked."""
    if cloud == "aws":
        _warm_aws()
    elif cloud == "gcp":
        import google.cloud.compute_v1  # noqa: F401


def _warm_aws() -> None:
    botocore.session.create_loader = _loader
    session = botocore.session.get_session()
    for service in ("ec2", "sts", "ssm", "iam", "scheduler"):
        session.create_client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


def backend_of(cloud: str, runs: Path, clock: Any) -> Backend:
    if cloud == "local":
        return LocalBackend(runs, clock=clock)
    if cloud == "ssh":
        return ssh.SshBackend({NAME: ListedHost(ssh=NAME)}, runs=runs, clock=clock)
    if cloud == "aws":
        return aws.AwsBackend(Aws(regions=REGIONS), runs=runs, clock=clock)
    return GcpBackend(Gcp(project=os.environ["GOOGLE_CLOUD_PROJECT"]), runs=runs, clock=clock)


def main(asked: dict[str, Any]) -> int:
    """`asked`: verb, cloud, desk, folder, run, environment, fatal, plant, offset. The answer is written into the folder."""
    os.environ.update(asked["environment"])
    folder = Path(asked["folder"])
    spoil(asked.get("plant") or "")
    effects = Effects(str(folder / f"effects-{asked['verb']}"), asked.get("fatal") or 0)
    clock = _here(folder, effects, asked["offset"]) if asked["cloud"] == "local" else _at_the_desk(asked["desk"], effects)
    said: list[str] = []

    def tell(event: Event) -> None:
        if isinstance(event, Warned):
            said.append(event.message)

    backend = backend_of(asked["cloud"], folder / "data" / "runs", clock)
    begun = clock.monotonic()
    with Store.open(folder / "data" / "runs.sqlite3", clock) as store:
        ctx = Context(store, lambda _where: backend, clock=clock, emit=tell, runs=folder / "data" / "runs")
        if asked["verb"] == "execute":
            run: Run | None = begin(ctx, asked, folder)
        else:
            run = come_back(ctx, asked["run"])
        closed = clock.monotonic()
        left = _left(ctx, backend, asked["run"]) if asked.get("sweep") else []
    answer = {"said": said, "begun": begun, "closed": closed, "left": left}
    if run is not None:
        answer |= {
            "state": run.state,
            "doubt": run.doubt,
            "code": exit_code(run),
            "outcome": run.outcome,
            "cost": run.cost_so_far,
        }
    (folder / f"answer-{asked['verb']}.json").write_text(json.dumps(answer))
    return 0


def spoil(plant: str) -> None:
    """Break the product, in one of the ways that must be found out."""
    if plant == "believes empty lists":
        aws.unresolved = lambda _launch, _clock: False
    elif plant == "clears nothing away":
        ssh.SshBackend.terminate = lambda _backend, _label: None  # type: ignore[method-assign]


def _at_the_desk(path: str, effects: Effects) -> DeskClock:
    desk = Desk(path)
    clock = DeskClock(desk)
    effects.watch()
    opened = type("Opened", (), {"open": staticmethod(opener(desk, clock, effects))})
    reach.SshHost = ssh.SshHost = opened  # type: ignore[misc, assignment]
    return clock


def _here(folder: Path, effects: Effects, ahead: float) -> PutForward:
    effects.watch_here(folder)
    return PutForward(ahead)


def begin(ctx: Context, asked: dict[str, Any], folder: Path) -> Run:
    command = COMMAND.format(count=folder / "count")
    job = JobInstructions(
        command, folder / "work", outputs=("out.txt",), deadline_seconds=DEADLINE, grace_seconds=GRACE,
        keep_awake=False, stop_grace=1.0,
    )  # fmt: skip
    return execute(Run(asked["run"], "job"), [OFFERS[asked["cloud"]]], ctx, job)


def come_back(ctx: Context, run_id: str, patience: float = 6 * 3600.0) -> Run | None:
    """As somebody does who types `mlrun attach` until the run is closed. None where it was never written down."""
    begun = ctx.clock.monotonic()
    while (run := ctx.store.get(run_id)) is not None and run.open:
        try:
            run = resume(run_id, ctx)
        except MlrunError as error:
            ctx.tell(Warned(run_id, ctx.clock.now(), error.message))
        if not run.open or run.state is RunState.HELD or ctx.clock.monotonic() - begun > patience:
            break
        ctx.clock.sleep(AGAIN)
    return run


def _left(ctx: Context, backend: Backend, run: str) -> list[str]:
    """What a sweep finds and cannot remove. On this computer other tests have runs too."""
    seen = [one for one in survey([backend], ctx) if backend.name != "local" or (one.leftover.label or Label("")).run == run]
    found = sweep([backend], ctx, seen)
    return [f"{one.action} {one.leftover.kind} {one.leftover.id}" for one in found if one.action != "removed"]


def serve(cloud: str) -> None:
    """Fork a driver for each line of stdin, and tell how it ended."""
    warm(cloud)
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = main(json.loads(line))
            except BaseException:  # noqa: BLE001  (told on stderr; the process ends here in any case)
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
