"""From a plan to a run: what is tried, with which instructions."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

from dispatcher import paths
from dispatcher.app import learning
from dispatcher.app.access import CLOUDS
from dispatcher.app.limits import check_limits
from dispatcher.app.pacing import expected
from dispatcher.app.plans import seconds_left
from dispatcher.app.reminders import ending, price
from dispatcher.app.results import kept_in, refuse_when_lent
from dispatcher.app.rungs import none_dearer, rungs
from dispatcher.app.world import data_paths, tariff
from dispatcher.domain.plan import Candidate, Offer, Plan
from dispatcher.domain.run import Label, Run, RunState, new_run_id
from dispatcher.engine import lifecycle
from dispatcher.engine.borrowed import HELD_MARKET
from dispatcher.engine.checkpoints import home_of
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.results import keep_in
from dispatcher.errors import HostError, MlrunError, UsageError
from dispatcher.events import Progress, Warned
from dispatcher.hosts import origin
from dispatcher.hosts.python_env import PythonEnv, first_on_path, job_python, without_own
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.secrets import look_up
from dispatcher.jobfile.settings import Settings
from dispatcher.moments import show_time
from dispatcher.notices.addresses import record_of, text_without
from dispatcher.scheduling import queued

CHECKPOINT_SECONDS = 600.0
"""How often a checkpoint is copied home where the job file does not say how often it is saved."""
GRACE_FOR_FETCHING = 60.0
"""Before a held machine ends, a job on it is ended so much earlier."""
KEPT_CANDIDATES = 6
"""Alternatives that a run's record keeps beside the chosen one, for its receipt."""


def submit(
    ctx: Context,
    loaded: LoadedJob,
    plan: Plan,
    settings: Settings,
    *,
    do_setup: bool = False,
    keep: float | None = None,
    named: bool = False,
    resume: Run | None = None,
) -> Run:
    """Run the plan's choice to its end, or to where the user leaves it.

    `named`: no other machine type may stand in for it. `resume` is a run from whose checkpoint it goes on.
    """
    chosen = plan.chosen
    if chosen is None:
        raise UsageError("The plan has no choice to run.", fix="mlrun plan JOB")
    saved = saved_by(resume, loaded) if resume else None
    check_limits(chosen, settings.limits, ctx.store, ctx.clock.now())
    signed_in(ctx, chosen.offer)
    kept = kept_in(loaded, chosen.offer)
    run = begun(ctx, loaded, plan, settings)
    run.cost_likely = chosen.cost.likely if chosen.cost else 0.0
    run.cost_worst = chosen.cost.worst_case if chosen.cost else 0.0
    if beside := beside_per_hour(chosen):
        run.job["beside_per_hour"] = beside
    keep_in(run, kept)
    _keep_job(run, loaded)
    here = chosen.offer.where == "local"
    names = paths.runs_dir() / run.id / "bin"
    job = instructions(loaded, settings, chosen.hard_stop_seconds, do_setup=do_setup, here=here, resume=saved, names=names)
    job = replace(job, keep_seconds=keep, grace_seconds=chosen.grace_seconds)
    ladder = rungs(plan, alike(settings), tariff, named=named)
    offers = (one for one in ladder if kept is None or one.where == kept.where)

    def tell(words: str) -> None:
        ctx.tell(Warned(run.id, ctx.clock.now(), words, "mlrun plan JOB --live"))

    return lifecycle.execute(run, none_dearer(offers, plan, price_now(ctx, tell), tell), ctx, job)


def price_now(ctx: Context, tell: Callable[[str], None]) -> Callable[[Offer], float | None]:
    """What an offer's provider asks for it at this moment; None where it does not say, which is told once."""
    silent: set[str] = set()

    def ask(offer: Offer) -> float | None:
        asked = getattr(ctx.backend(offer.where), "price_now", None)
        if asked is None or offer.where in silent:
            return None
        try:
            return cast(float | None, asked(offer))
        except MlrunError as error:
            silent.add(offer.where)
            tell(f"{offer.where} does not tell what machines cost now: {error.message}. The price shown was not compared")
            return None

    return ask


def saved_by(run: Run, loaded: LoadedJob) -> Path:
    """The folder that holds, where the job names it, what a run has saved: brought home, or in the folder it ran in."""
    checkpoint = loaded.config.checkpoint
    if checkpoint is None:
        raise UsageError("--resume: the job file names no checkpoint.", fix="checkpoint: {dir: runs/ckpt, every: 10m}")
    own = Path(str((run.job.get("instructions") or {}).get("workdir") or ""))
    local = run.attempt is not None and run.attempt.where == "local"
    for place in (home_of(paths.runs_dir(), run.id), *([own] if local else [])):
        if any(one.is_file() for one in (place / checkpoint.dir).rglob("*")):
            return place
    message = f"--resume {run.id}: no checkpoint of {run.name} is here, in {checkpoint.dir}."
    raise UsageError(message, fix="mlrun attach copies it home while a job runs.")


def signed_in(ctx: Context, offer: Offer) -> str:
    """Who we are to a cloud. Raises LoginNeeded, or that it cannot be reached, before anything is begun there."""
    return ctx.backend(offer.where).owner if offer.where in CLOUDS else ""


def submit_on(
    ctx: Context, loaded: LoadedJob, plan: Plan, settings: Settings, lender: Run, *, resume: Run | None = None
) -> Run:
    """Run the job on the machine that another run holds; it stays held afterwards. `resume` as in `submit`."""
    saved = saved_by(resume, loaded) if resume else None
    refuse_when_lent(loaded)
    label = lendable(lender)
    run = begun(ctx, loaded, plan, settings)
    run.job["on"] = str(label)
    attempt, now = lender.attempt, ctx.clock.now()
    assert attempt is not None
    job = instructions(loaded, settings, time_there(loaded, lender, now), do_setup=False, here=False, resume=saved)
    run.ends_itself = lender.ends_itself
    run.job["lender"] = f"{lender.name} ({lender.id[:4]})"
    _keep_job(run, loaded)
    offer = replace(Offer(**attempt.offer), market=HELD_MARKET, price_per_hour=0.0)
    words = (
        f"on the machine that {run.job['lender']} holds and pays: {price(attempt)} with disk and address, {ending(run, now)}"
    )
    ctx.tell(Progress(run.id, now, "provision", words))
    return lifecycle.execute(run, [offer], ctx, job)


def time_there(loaded: LoadedJob, lender: Run, now: float) -> float | None:
    """Seconds that a job may take on a held machine: to the machine's own end, and within the job's limits."""
    attempt, limits = lender.attempt, loaded.config.budget
    assert attempt is not None
    to_its_end = lender.ends_itself - now - GRACE_FOR_FETCHING if lender.ends_itself else None
    if to_its_end is not None and to_its_end <= 0:
        message = f"The machine of {lender.name} ({lender.id}) ends by itself at {show_time(lender.ends_itself or now, now)}"
        raise UsageError(f"{message}: no time is left for a job.", fix="Run the job without --on.")
    hourly = (attempt.price_per_hour or 0.0) + attempt.beside_per_hour
    bought = limits.max_cost / hourly * 3600 if limits.max_cost and hourly else None
    known = [one for one in (to_its_end, limits.max_time, bought, seconds_left(loaded)) if one is not None]
    return min(known) if known else None


def begun(ctx: Context, loaded: LoadedJob, plan: Plan, settings: Settings) -> Run:
    """A new run of this job."""
    about = {"file": plan.job.file, "sha256": plan.job.sha256, "run": loaded.config.run}
    told = {name: value for name, value in asdict(expected(loaded.config)).items() if value is not None}
    job = (
        about
        | {"expected": told}
        | record_of(loaded)
        | queued.told()
        | (_taught(loaded, plan, settings) if plan.chosen else {})
    )
    kept = compact(plan) if plan.chosen else {}
    return Run(id=new_run_id(), name=loaded.name, submitted=ctx.clock.now(), plan=kept, job=job)


def lendable(lender: Run) -> Label:
    """The label of a held machine. Raises UsageError where the run holds none."""
    attempt = lender.attempt
    if lender.state is not RunState.HELD or attempt is None:
        raise UsageError(
            f"{lender.name} ({lender.id}) holds no machine: it is {lender.state}.",
            fix="mlrun JOB --keep 1h, or mlrun stop RUN --keep",
        )
    return attempt.label


def beside_per_hour(chosen: Candidate) -> float:
    """What disk and address cost, USD per hour."""
    return chosen.cost.beside_per_hour if chosen.cost else 0.0


def alike(settings: Settings) -> Callable[[Offer], Iterator[Offer]]:
    """The same machine type's other offers, in the user's regions."""
    regions = {"aws": settings.aws.regions, "gcp": settings.gcp.regions}

    def offers(one: Offer) -> Iterator[Offer]:
        from dispatcher import catalog

        kind = catalog.find_instance(one.where, one.machine or "")
        wanted = regions.get(one.where, ())
        yield from (other for other in (catalog.offers_of(kind) if kind else ()) if not wanted or other.region in wanted)

    return offers


def instructions(
    loaded: LoadedJob,
    settings: Settings,
    deadline: float | None,
    *,
    do_setup: bool,
    here: bool = True,
    resume: Path | None = None,
    names: Path | None = None,
) -> JobInstructions:
    """The job as the agent is told it; elsewhere it finds another Python. Raises JobFileError where a secret is missing.

    `names`: where names that the job's Python lacks (`python` beside `python3`) are made for it.
    """
    config = loaded.config
    python = job_python(loaded.workdir, os.environ) if here else None
    secrets = look_up(loaded)
    setup = _setup(loaded, python) if do_setup or not here else None
    return JobInstructions(
        command=loaded.command,
        workdir=loaded.workdir,
        env={**(_environment(python) if here else {}), **config.env},
        secrets={name: secret.reveal() for name, secret in secrets.items()},
        setup=setup,
        outputs=config.outputs,
        deadline_seconds=deadline,
        keep_awake=settings.local.keep_awake and here,
        path_prefix=_path_prefix(loaded, python, names, made=setup is not None) if here else "",
        data=data_paths(loaded),
        checkpoint=checkpoint.dir.strip("/") if (checkpoint := config.checkpoint) else "",
        checkpoint_seconds=(checkpoint and checkpoint.every) or CHECKPOINT_SECONDS,
        resume=str(resume or ""),
    )


def _taught(loaded: LoadedJob, plan: Plan, settings: Settings) -> dict[str, Any]:
    about = learning.subject(loaded.config, plan) if settings.local.learn else {}
    return {"learning": about} if about else {}


def compact(plan: Plan) -> dict[str, Any]:
    """The plan's document as a run keeps it: the choice, and the best alternatives."""
    assert plan.choice is not None
    others = [c for i, c in enumerate(plan.candidates) if i != plan.choice][:KEPT_CANDIDATES]
    assert plan.chosen is not None
    return replace(plan, candidates=(plan.chosen, *others), choice=0, rejected=(), explain=(), sends={}).as_dict()


def _environment(python: PythonEnv | None) -> dict[str, str]:
    """What activating the job's environment would set; mlrun's own is not in its way."""
    venv = {"VIRTUAL_ENV": str(python.bin_dir.parent)} if python and python.kind == "venv" else {}
    return venv | without_own(python, os.environ)


def _path_prefix(loaded: LoadedJob, python: PythonEnv | None, names: Path | None, *, made: bool) -> str:
    """What the job's PATH begins with. `made`: setup makes an environment where there is only the system's Python."""
    first = first_on_path(python, names) if names else str(python.bin_dir) if python else ""
    if made and python and python.kind == "path":
        return f"{loaded.workdir / '.venv' / 'bin'}{os.pathsep}{first}"
    return first


def _setup(loaded: LoadedJob, python: PythonEnv | None) -> str | None:
    """`setup`, in an environment of the job's own: made first where there is only the system's Python."""
    text = loaded.config.setup
    if text is None or python is None or python.kind != "path":
        return text
    return f"{python.path} -m venv .venv && . .venv/bin/activate && {{ {text}\n}}"


def _keep_job(run: Run, loaded: LoadedJob) -> None:
    """The job file as it was, beside the log: where there is no room for that, there is none for the run either."""
    folder = paths.runs_dir() / run.id
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.write_private(folder / "job.yaml", text_without(loaded))
    except OSError as error:
        message = f"The run's folder {folder} cannot be written: {error.strerror}. Nothing was started"
        raise HostError(message, fix="Free disk space there, or set DISPATCHER_HOME to another folder.") from error
    threading.Thread(target=_keep_origin, args=(folder, loaded.workdir), name="origin").start()


def _keep_origin(folder: Path, workdir: Path) -> None:
    """Beside the start, as git takes its time; a run goes on without it."""
    python = job_python(workdir, os.environ)
    origin.keep(folder, workdir, python.path if python else None)
