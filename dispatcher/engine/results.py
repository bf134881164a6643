"""Results kept in a bucket, brought home where the machine is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from dispatcher.domain.run import Output, Run
from dispatcher.engine.checkpoints import home_of, keep_only
from dispatcher.engine.context import Context, Work
from dispatcher.engine.elsewhere import STARTED
from dispatcher.engine.following import record_end
from dispatcher.engine.patience import GivenUp, waited
from dispatcher.engine.step import AllHome, Left
from dispatcher.errors import MlrunError, Preempted
from dispatcher.events import LogBytes, Progress, Warned
from dispatcher.hosts.base import Entry
from dispatcher.hosts.collect import believe, inside, same_here
from dispatcher.hosts.job import JobStatus, agent_folder, status_of
from dispatcher.overnight import keeping
from dispatcher.overnight.keeping import Kept, Place, Results

LOOK_SECONDS = 0.5
CHUNK = 1 << 20


def keep_in(run: Run, place: Place | None) -> None:
    """Note where a run's results go."""
    if place is not None:
        run.job["results"] = asdict(place)


def place_of(run: Run) -> Place | None:
    """Where a run's results go, if anywhere."""
    noted = run.job.get("results")
    return Place(**noted) if isinstance(noted, dict) else None


def role_of(run: Run) -> str:
    """What the run's machine must be allowed to act as."""
    place = place_of(run)
    return place.role if place else ""


def begin(ctx: Context, work: Work) -> None:
    """Have what the job leaves copied by its machine, from before it starts."""
    if (place := place_of(work.run)) is None or place.where != work.attempt.where:
        return
    job = work.job
    told = _side(ctx, place).told(place, work.label)
    looked_after = keeping.job(agent_folder(), work.cwd, job.outputs, job.checkpoint, job.checkpoint_seconds)
    keeping.begin(work.reached(), work.label, told, looked_after)
    ctx.tell(Progress(work.run.id, ctx.clock.now(), "prepare", f"what it leaves is also kept in {place.url}"))


def settle(ctx: Context, work: Work) -> None:
    """Before its machine is given back: wait until everything is in the bucket, and say what is not."""
    if (place := place_of(work.run)) is None or place.where != work.attempt.where:
        return
    try:
        said = waited(lambda: _said(ctx, work), lambda: ctx.hurry.is_set() or ctx.detach.is_set())
    except GivenUp:
        _warn(ctx, work, f"You left before everything was in {place.url}")
        return
    except MlrunError as error:
        _warn(ctx, work, f"Not everything may be in {place.url}: {error.message}")
        return
    for one in _rows(said, "missed"):
        _warn(ctx, work, f"{one.get('path')!r} is not in {place.url}: {one.get('why')}")


def without_machine(ctx: Context, work: Work, otherwise: Exception) -> Exception:
    """What to raise where the machine is gone: AllHome where the bucket told how the job ended, else `otherwise`.

    What the bucket has is brought home first. Where that cannot be, the run is left, to be tried again.
    """
    run, place = work.run, place_of(work.run)
    if place is None or place.where != work.attempt.where or run.state not in STARTED:
        return otherwise
    try:
        found = _side(ctx, place).look(place, work.label)
        return otherwise if found is None else _brought(ctx, work, place, found, otherwise)
    except Exception as error:  # noqa: BLE001  (a read that broke off, a full disk, a bug: what is in the bucket is not given up)
        if ctx.cancel.is_set():
            return otherwise
        words = f"The machine is gone, and what {place.url} has is not here yet: {_why(error)}"
        _warn(ctx, work, words, f"mlrun fetch {run.id[:4]}")
        if work.attempt.gone is None:  # it costs nothing any more, however long its run stays open
            now = ctx.clock.now()
            work.attempt.gone = min(now, run.ends_itself or now)
        return Left()


def bring_checkpoint(ctx: Context, work: Work) -> None:
    """Have the newest checkpoint here that the bucket has; what it lacks, or cannot tell, changes nothing."""
    if (place := place_of(work.run)) is None or not work.job.checkpoint:
        return
    try:
        if found := _side(ctx, place).look(place, work.label):
            _checkpoint(ctx, work, place, found)
    except Exception as error:  # noqa: BLE001  (whatever it is: the run goes on without)
        _warn(ctx, work, f"The checkpoint in {place.url} cannot be had: {_why(error)}")


def _brought(ctx: Context, work: Work, place: Place, found: Kept, otherwise: Exception) -> Exception:
    _log(ctx, work, place, found)
    _checkpoint(ctx, work, place, found)
    _outputs(ctx, work, place, found)
    status = _status(found)
    if status is None or not status.over:
        return otherwise
    work.status = status
    record_end(work, status)
    if status.reason == "preempted":
        return Preempted(f"{work.attempt.where} took the machine back", fix=f"mlrun JOB --resume {work.run.id[:4]}")
    return AllHome()


def _log(ctx: Context, work: Work, place: Place, found: Kept) -> None:
    """The whole output, in place of what is here of it; what is new is told."""
    if ctx.runs is None:
        return
    folder = ctx.runs / work.run.id / str(work.label)
    fresh = folder / "brought"
    _side(ctx, place).bring_log(place, found, fresh)
    log, here = fresh / "log", folder / "log"
    begun = max(work.offset, here.stat().st_size if here.is_file() else 0)
    with log.open("rb") as file:
        file.seek(begun)
        while chunk := file.read(CHUNK):
            ctx.tell(LogBytes(work.run.id, ctx.clock.now(), begun, chunk))
            begun += len(chunk)
    work.offset = begun
    if log.stat().st_size == begun:
        log.replace(here)
    if (setup := fresh / "setup.log").is_file():
        setup.replace(folder / "setup.log")
    shutil.rmtree(fresh, ignore_errors=True)


def _outputs(ctx: Context, work: Work, place: Place, found: Kept) -> None:
    """Outputs, those that were whole where the machine said no last word."""
    told = found.seen.outcome if "outputs" in found.seen.outcome else found.seen.partial
    entries = _entries(_rows(told, "outputs"))
    workdir = work.job.workdir
    wanted = [one for one in entries if not same_here(workdir, one)]
    _side(ctx, place).bring_files(place, found, wanted, inside(workdir, tuple(wanted)))
    work.run.outputs = [Output(one.path, one.size, one.sha256) for one in entries]
    words = f"its machine is gone; {len(entries)} output{'s' * (len(entries) != 1)} came from {place.url}"
    ctx.tell(Progress(work.run.id, ctx.clock.now(), "collect", words))
    for one in _rows(found.seen.outcome, "missed"):
        _warn(ctx, work, f"The output {one.get('path')!r} is not here: {one.get('why')}")


def _checkpoint(ctx: Context, work: Work, place: Place, found: Kept) -> None:
    entries = _entries(_rows(found.checkpoint, "files"))
    saved = found.checkpoint.get("time")
    if ctx.runs is None or not entries or not isinstance(saved, (int, float)):
        return
    home = home_of(ctx.runs, work.run.id)
    if saved < _newest(home):
        return
    with work.saving:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        wanted = [one for one in entries if not same_here(home, one)]
        _side(ctx, place).bring_files(place, found, wanted, home)
        keep_only(home, {one.path for one in entries})


def _newest(folder: Path) -> float:
    return max((path.lstat().st_mtime for path in folder.rglob("*") if path.is_file()), default=0.0)


def _entries(rows: Iterable[dict[str, Any]]) -> list[Entry]:
    """Files that a machine told of, without what could write elsewhere than it should."""
    return [*believe(json.dumps(one).encode() for one in rows).entries]


def _status(found: Kept) -> JobStatus | None:
    told = found.seen.outcome.get("status")
    try:
        return status_of(told) if isinstance(told, dict) else None
    except (TypeError, AttributeError):
        return None


def _rows(told: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = told.get(name)
    return [one for one in rows if isinstance(one, dict)] if isinstance(rows, list) else []


def _said(ctx: Context, work: Work) -> dict[str, Any]:
    while (found := keeping.standing(work.reached(), work.label)) is None:
        ctx.clock.sleep(LOOK_SECONDS)
    return found


def _side(ctx: Context, place: Place) -> Results:
    return cast(Results, getattr(ctx.backend(place.where), "results"))  # noqa: B009  (only some backends have it)


def _why(error: Exception) -> str:
    if isinstance(error, MlrunError):
        return error.message
    return str((isinstance(error, OSError) and error.strerror) or error or type(error).__name__)


def _warn(ctx: Context, work: Work, words: str, fix: str = "") -> None:
    ctx.tell(Warned(work.run.id, ctx.clock.now(), words, fix))
