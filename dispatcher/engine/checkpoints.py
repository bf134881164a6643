"""A job's saved state, copied home and on to its next machine."""

from __future__ import annotations

import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dispatcher.domain.run import Run
from dispatcher.engine.context import Context, JobInstructions, Work
from dispatcher.errors import MlrunError
from dispatcher.events import Progress
from dispatcher.hosts.base import Entry, Tree
from dispatcher.hosts.collect import manifest, same_here
from dispatcher.units import show_bytes

FOLDER = "checkpoint"
"""Where, in a run's folder, the newest copy stands."""


def home_of(runs: Path, run_id: str) -> Path:
    """Where a run's checkpoint stands here, below it in the folder that the job names."""
    return runs / run_id / FOLDER


def at_hand(ctx: Context, run: Run, job: JobInstructions) -> Tree | None:
    """The newest saved state that is here: of this run, else of the run that it goes on from."""
    if not job.checkpoint or ctx.runs is None:
        return None
    places = [home_of(ctx.runs, run.id), *([Path(job.resume)] if job.resume else [])]
    trees = (Tree(place / job.checkpoint, _files(place / job.checkpoint)) for place in places)
    return next((tree for tree in trees if tree.entries), None)


def send(ctx: Context, work: Work) -> None:
    """Have the saved state on the machine, and the job told to go on from it."""
    tree = at_hand(ctx, work.run, work.job)
    if tree is None:
        return
    count, size = len(tree.entries), show_bytes(sum(one.size for one in tree.entries))
    words = f"its checkpoint goes along: {count} file{'s' * (count != 1)}, {size}"
    ctx.tell(Progress(work.run.id, ctx.clock.now(), "sync", words))
    work.reached().push(tree, f"{work.cwd}/{work.job.checkpoint}")
    work.resuming = True


def lay_out(ctx: Context, work: Work) -> bool:
    """Where the job works in the user's own folder: whether it goes on from what is saved there, or is now."""
    job = work.job
    if not job.resume or not job.checkpoint or work.adopting:
        return False
    target, tree = job.workdir / job.checkpoint, at_hand(ctx, work.run, job)
    if not _files(target) and tree is not None:
        shutil.copytree(tree.root, target, dirs_exist_ok=True)
    return bool(_files(target))


def bring(ctx: Context, work: Work) -> bool:
    """Have here what the job has saved there. Whole and verified, or as it was: False where it could not be had."""
    if not work.job.checkpoint or ctx.runs is None or work.in_place or "seen" in work.run.job:
        return False
    local = home_of(ctx.runs, work.run.id)
    with work.saving:
        try:
            entries = manifest(work.reached(), work.cwd, [f"{work.job.checkpoint}/"]).entries
            work.reached().pull([one for one in entries if not same_here(local, one)], work.cwd, local)
        except MlrunError:
            return False
        keep_only(local, {one.path for one in entries})
    return bool(entries)


@contextmanager
def kept_home(ctx: Context, work: Work) -> Iterator[None]:
    """While it lasts, the saved state is copied home every so often; a copy that fails is tried again at the next turn."""
    over = threading.Event()

    def keep() -> None:
        while not ctx.clock.sleep(work.job.checkpoint_seconds, over):
            with suppress(MlrunError, OSError):
                bring(ctx, work)

    if work.job.checkpoint and not work.in_place:
        threading.Thread(target=keep, name="checkpoints", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _files(folder: Path) -> tuple[Entry, ...]:
    found = []
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode):
            found.append(Entry(path.relative_to(folder).as_posix(), info.st_size, stat.S_IMODE(info.st_mode)))
    return tuple(found)


def keep_only(local: Path, kept: set[str]) -> None:
    """What the job has removed since is removed here too; where it has nothing at all, the last copy stays."""
    if not kept:
        return
    for path in local.rglob("*"):
        if path.is_file() and path.relative_to(local).as_posix() not in kept:
            path.unlink(missing_ok=True)
