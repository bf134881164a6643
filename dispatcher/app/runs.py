"""Running, and looking after runs: every verb that touches the store."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.app import learning
from dispatcher.backends import registry
from dispatcher.domain.plan import Plan
from dispatcher.domain.run import Run, new_run_id
from dispatcher.engine import lifecycle
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.errors import RecordDamaged, RecordUnusable, UsageError
from dispatcher.events import Listener, Warned, nobody
from dispatcher.hosts.python_env import PythonEnv, job_python
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.secrets import resolve
from dispatcher.jobfile.settings import Settings
from dispatcher.retries import Clock, SystemClock
from dispatcher.store.store import Store

KEPT_CANDIDATES = 6
"""Alternatives that a run's record keeps beside the chosen one, for its receipt."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the user may want of a run while it goes on: end it, end it now, leave it."""

    cancel: threading.Event = field(default_factory=threading.Event)
    hurry: threading.Event = field(default_factory=threading.Event)
    detach: threading.Event = field(default_factory=threading.Event)


@contextmanager
def opened(emit: Listener = nobody, will: Will | None = None, *, without_record: bool = False) -> Iterator[Context]:
    """The store and what drives runs; runs that nobody drives are brought up to date first, within a second.

    `without_record`: where the record cannot be opened, what the runs' folders tell will do.
    """
    will = will or Will()
    clock = SystemClock()
    with _store(clock, without_record=without_record) as store:
        ctx = Context(
            store=store,
            backend=registry.load,
            clock=clock,
            emit=learning.listening(store, emit),
            cancel=will.cancel,
            hurry=will.hurry,
            detach=will.detach,
            runs=paths.runs_dir(),
        )
        for warning in store.warnings:
            emit(Warned("", clock.now(), warning))
        _reconcile(ctx)
        yield ctx


def _store(clock: Clock, *, without_record: bool) -> Store:
    try:
        return Store.open(paths.database(), clock)
    except RecordUnusable as error:
        if isinstance(error, RecordDamaged) or not without_record or not paths.runs_dir().is_dir():
            raise
        return Store.standing_in(paths.database(), clock, error)


def submit(ctx: Context, loaded: LoadedJob, plan: Plan, settings: Settings, *, do_setup: bool = False) -> Run:
    """Run the plan's choice to its end, or to where the user leaves it."""
    chosen = plan.chosen
    if chosen is None:
        raise UsageError("The plan has no choice to run.", fix="mlrun plan JOB")
    now = ctx.clock.now()
    run = Run(
        id=new_run_id(),
        name=loaded.name,
        submitted=now,
        plan=compact(plan),
        job={"file": plan.job.file, "sha256": plan.job.sha256, "run": loaded.config.run} | _taught(loaded, plan, settings),
        cost_likely=chosen.cost.range.likely if chosen.cost else 0.0,
        cost_worst=chosen.cost.worst_case if chosen.cost else 0.0,
    )
    _keep_job(run, loaded)
    return lifecycle.execute(
        run, [chosen.offer], ctx, instructions(loaded, settings, chosen.hard_stop_seconds, do_setup=do_setup)
    )


def instructions(loaded: LoadedJob, settings: Settings, deadline: float | None, *, do_setup: bool) -> JobInstructions:
    """The job as the agent is told it. Raises JobFileError where a secret cannot be found."""
    config = loaded.config
    python = job_python(loaded.workdir, os.environ)
    secrets = resolve(config.secrets, loaded.workdir)
    return JobInstructions(
        command=loaded.command,
        workdir=loaded.workdir,
        env={**_environment(python), **config.env},
        secrets={name: secret.reveal() for name, secret in secrets.items()},
        setup=_setup(loaded, python) if do_setup else None,
        outputs=config.outputs,
        deadline_seconds=deadline,
        keep_awake=settings.local.keep_awake,
        path_prefix=str(python.bin_dir) if python else "",
    )


def follow(ctx: Context, text: str, *, offset: int = 0) -> Run:
    """Take a run up: its output from `offset`, its end, its outputs."""
    run = ctx.store.find(text)
    return lifecycle.resume(run.id, ctx, offset=offset) if run.open else run


def stop(ctx: Context, text: str, grace: float) -> Run:
    """End a run's job and see it to its end. Raises RecordUnusable when the job has ended, but nothing of it could be noted."""
    run = ctx.store.find(text)
    if not ctx.store.stand_in:
        with suppress(RecordUnusable):
            return lifecycle.stop(run.id, ctx, grace)
    lifecycle.end_job(run, ctx, grace)
    try:
        if not ctx.store.stand_in:
            return lifecycle.stop(run.id, ctx, grace)  # a job that has ended gives back the space it kept in reserve
    except RecordUnusable as error:
        fix = f"{error.fix} mlrun ps then notes how it ended."
    else:
        fix = "Free space there, or correct the rights: mlrun ps then notes how it ended."
    raise RecordUnusable(f"The job of {run.name} runs no more. The record of runs, {ctx.store.path}, cannot be written", fix=fix)


def going_on(ctx: Context, run_id: str) -> bool:
    """Whether a run is still open, once those that nobody drives were brought up to date."""
    if ctx.store.stand_in:
        return log_path(ctx.store.find(run_id), "outcome.json") is None
    _reconcile(ctx)
    return ctx.store.find(run_id).open


def log_path(run: Run, name: str = "log") -> Path | None:
    """Where a run's output (or that of its setup) stands on this computer; None before there is any."""
    attempt = run.attempt
    folder = paths.runs_dir() / run.id
    own = folder / str(attempt.label) / name if attempt else folder / name
    return next((path for path in (own, folder / name) if path.is_file()), None)


def _taught(loaded: LoadedJob, plan: Plan, settings: Settings) -> dict[str, Any]:
    about = learning.subject(loaded.config, plan) if settings.local.learn else {}
    return {"learning": about} if about else {}


def compact(plan: Plan) -> dict[str, Any]:
    """The plan's document as a run keeps it: the choice, and the best alternatives."""
    assert plan.choice is not None
    others = [c for i, c in enumerate(plan.candidates) if i != plan.choice][:KEPT_CANDIDATES]
    assert plan.chosen is not None
    return replace(plan, candidates=(plan.chosen, *others), choice=0, rejected=(), explain=(), sends={}).as_dict()


def _reconcile(ctx: Context) -> None:
    """Bring runs that nobody drives up to date, and learn from those that ended meanwhile."""
    if ctx.store.stand_in:
        return
    for run in lifecycle.reconcile(ctx):
        learning.keep(ctx.store, run)


def _environment(python: PythonEnv | None) -> dict[str, str]:
    """What activating the job's environment would set."""
    if python is None or python.kind != "venv":
        return {}
    return {"VIRTUAL_ENV": str(python.bin_dir.parent)}


def _setup(loaded: LoadedJob, python: PythonEnv | None) -> str | None:
    """`setup`, in an environment of the job's own: made first where there is only the system's Python."""
    text = loaded.config.setup
    if text is None or python is None or python.kind != "path":
        return text
    return f"{python.path} -m venv .venv && . .venv/bin/activate && {{ {text}\n}}"


def _keep_job(run: Run, loaded: LoadedJob) -> None:
    """The job file as it was, beside the log; a run goes on without it."""
    folder = paths.runs_dir() / run.id
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "job.yaml").write_text(loaded.text, encoding="utf-8")
