"""Machines that outlive their job: fetched from, held, visited, swept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.app.access import usable
from dispatcher.backends.base import Backend
from dispatcher.domain.run import Run
from dispatcher.engine import sweep as sweeping
from dispatcher.engine import visiting
from dispatcher.engine.context import Context
from dispatcher.errors import HostError, MlrunError
from dispatcher.events import Warned
from dispatcher.jobfile.settings import Settings

SSH_CONFIG = """# For `ssh {alias}`; written by mlrun, and removed with the machine.
Host {alias}
  HostName {address}
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  IdentityAgent none
  ForwardAgent no
  HostKeyAlias {alias}
  UserKnownHostsFile {known}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  UpdateHostKeys no
"""


def fetch(ctx: Context, run: Run) -> Run:
    """Bring a run's outputs home."""
    settle_here(ctx, run)
    return visiting.fetch(run.id, ctx)


def settle_here(ctx: Context, run: Run) -> None:
    """A run that another computer began has no work folder here: what is fetched of it comes below the current folder."""
    if "seen" in run.job and run.open:
        run.job["instructions"]["workdir"] = str(Path.cwd() / f"{run.name}-{run.id[:4]}")
        ctx.store.save(run)


def hold(ctx: Context, run: Run, seconds: float) -> Run:
    """Keep a run's machine for so long from now."""
    return visiting.hold(run.id, ctx, seconds)


def catch_up(ctx: Context, run: Run) -> None:
    """Have a rented run's log here as far as it goes, where nobody follows it; without a link, what is here will do."""
    if not run.open or run.attempt is None or run.attempt.where == "local" or ctx.store.driver(run.id):
        return
    try:
        visiting.catch_up(run.id, ctx)
    except MlrunError as error:
        ctx.tell(Warned(run.id, ctx.clock.now(), f"Shown is what was fetched before: {error.message}", error.fix))


def shell(ctx: Context, run: Run) -> tuple[Path, str]:
    """A configuration for ssh that reaches the run's machine and no other, and the name to say."""
    with visiting.visit(run, ctx) as work:
        target = getattr(work.host, "target", None)
        if target is None:
            raise HostError(f"{run.name} runs on this computer, in {run.job['instructions']['workdir']}: no shell is needed.")
        return written(run, target)


def written(run: Run, target: Any) -> tuple[Path, str]:
    """Write what ssh reads to reach a host as we do."""
    alias, folder = f"mlrun-{run.id}", ssh_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if target.config:
        text = f"Host {alias}\n  HostName {target.address}\n" + (f"  User {target.user}\n" if target.user else "")
    else:
        known = folder / f"{alias}.known_hosts"
        known.write_text("".join(f"{alias} {key}\n" for key in target.host_keys))
        fields = {"alias": alias, "address": target.address, "port": target.port, "user": target.user}
        text = SSH_CONFIG.format(**fields, key=target.key, known=known)
    file = folder / f"{alias}.conf"
    file.write_text(text)
    return file, alias


def tidy(open_runs: Iterable[Run]) -> None:
    """Remove the ssh configurations of runs that have ended."""
    folder = ssh_folder()
    if not folder.is_dir():
        return
    kept = {f"mlrun-{run.id}" for run in open_runs}
    for file in folder.iterdir():
        if file.name.split(".")[0] not in kept:
            file.unlink(missing_ok=True)


def ssh_folder() -> Path:
    """Where the configurations for `ssh mlrun-…` stand."""
    return paths.data_dir() / "ssh"


def swept_places(ctx: Context, settings: Settings) -> list[Backend]:
    """Every cloud with credentials."""
    return [ctx.backend(name) for name in usable(settings)]


def survey(ctx: Context, places: Iterable[Backend], *, any_owner: bool) -> list[sweeping.Found]:
    """What exists with our tags, and what should be done about it."""
    return sweeping.survey(places, ctx, any_owner=any_owner)


def sweep(ctx: Context, places: Iterable[Backend], found: Iterable[sweeping.Found]) -> list[sweeping.Found]:
    """Remove what should go; runs of ours that were in doubt about it are finished."""
    places = list(places)
    done = sweeping.sweep(places, ctx, found)
    settle(ctx)
    return done


def settle(ctx: Context) -> None:
    """Runs in doubt are looked at again: what is gone is gone."""
    from dispatcher.engine.lifecycle import resume

    for run in ctx.store.open_runs():
        if run.doubt and not ctx.store.driver(run.id):
            try:
                resume(run.id, ctx)
            except MlrunError as error:
                ctx.tell(Warned(run.id, ctx.clock.now(), error.message, error.fix))
