"""What mlrun keeps on disk, and removing it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from dispatcher import paths
from dispatcher.app import runs
from dispatcher.cli.render.console import document, good, say
from dispatcher.cli.run import interactive
from dispatcher.errors import Cancelled, UsageError
from dispatcher.units import parse_seconds, show_bytes

DAY = 86400.0


def purge(older_than: str, *, everything: bool, yes: bool, as_json: bool) -> int:
    """Show what is kept, ask, and remove records of finished runs; jobs' own outputs stand elsewhere and stay."""
    age = 0.0 if everything else _age(older_than)
    kept = {str(folder): _size(folder) for folder in (paths.data_dir(), paths.cache_dir(), paths.config_dir())}
    with runs.opened() as ctx:
        before = ctx.clock.now() - age
        finished = [run for run in ctx.store.recent(-1) if not run.open and run.submitted < before]
        if not as_json:
            for folder, size in kept.items():
                say(f"  {show_bytes(size):>9}  {folder}", to_stdout=True)
        if finished and _agreed(len(finished), yes=yes, as_json=as_json):
            removed = ctx.store.purge(before)
            freed = sum(_removed(paths.runs_dir() / run_id) for run_id in removed)
        else:
            removed, freed = [], 0
        if everything and (yes or removed):
            ctx.store.forget_observations()
    if everything and (yes or removed):
        freed += sum(map(_removed, (paths.cache_dir(), *_put_aside())))
    if as_json:
        document({"schema": "1.0", "kept_bytes": kept, "removed_runs": removed, "freed_bytes": freed})
    else:
        say(f"{good('✓')} {len(removed)} runs forgotten, {show_bytes(freed)} freed." if removed else "Nothing was removed.")
    return 0


def forget(*, as_json: bool) -> int:
    """Forget what estimates learned from runs: the formulas stand as they came. The runs' records stay."""
    with runs.opened() as ctx:
        count = ctx.store.forget_observations()
    if as_json:
        document({"schema": "1.0", "forgotten_runs": count})
    else:
        say(f"{good('✓')} What {count} runs taught was forgotten." if count else "Nothing was learned yet.")
    return 0


def _removed(place: Path) -> int:
    """Remove a folder or a file; the bytes that it held and holds no more."""
    held = _size(place)
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
    return held - _size(place)


def _put_aside() -> list[Path]:
    """Records of runs that were damaged, or of a newer version, and were moved out of the way."""
    record = paths.database()
    return [file for kind in ("corrupt", "newer") for file in record.parent.glob(f"{record.name}.{kind}-*") if file.is_file()]


def _agreed(count: int, *, yes: bool, as_json: bool) -> bool:
    if yes:
        return True
    if as_json or not interactive():
        raise UsageError(f"{count} finished runs would be forgotten; nobody is there to agree.", fix="Add --yes.")
    if not click.confirm(f"Forget {count} finished runs, with their logs and receipts?", default=False, err=True):
        raise Cancelled("Cancelled. Nothing was removed.")
    return True


def _age(text: str) -> float:
    try:
        if text.endswith("d") and text[:-1].isdigit():
            return int(text[:-1]) * DAY
        return parse_seconds(text)
    except ValueError as why:
        raise UsageError(f"--older-than {text}: {why}") from None


def _size(place: Path) -> int:
    if place.is_file():
        return place.lstat().st_size
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file()) if place.is_dir() else 0
