"""Runs, read from their folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dispatcher.domain.run import Attempt, Label, Outcome, Run, RunState
from dispatcher.errors import HostError
from dispatcher.paths import write_private
from dispatcher.store.records import from_document

COPY = "run.json"
"""`<runs>/<id>/run.json`: what the database has of a run, for the day on which there is no database."""
RUN_ID = re.compile(r"[0-9a-z]{10}")
NAME = re.compile(r"^name:[ \t]*([a-z0-9][a-z0-9-]*)[ \t]*(?:#.*)?$", re.MULTILINE)


def keep_copy(folder: Path, document: str) -> None:
    """Write a run's document into its folder, where it has one; without space for it the database has it all the same."""
    part = folder / f".{COPY}.part"
    with suppress(OSError):
        try:
            write_private(part, document)
            part.replace(folder / COPY)
        except OSError:
            part.unlink(missing_ok=True)


def runs_in(runs: Path) -> Iterator[Run]:
    """Every run that has a folder here, as far as its files tell."""
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        if RUN_ID.fullmatch(folder.name):
            found = copied(folder) or _pieced_together(folder)
            if found is not None:
                yield found


def copied(folder: Path) -> Run | None:
    """The run as its folder's copy of the record has it; None where there is none that can be read."""
    with suppress(OSError, HostError, UnicodeDecodeError):
        return from_document((folder / COPY).read_text(encoding="utf-8"))
    return None


def _pieced_together(folder: Path) -> Run | None:
    """A run without its document: what its attempts, its job file and its receipt say."""
    labels = sorted({label.attempt: label for path in folder.iterdir() if (label := _label(path))}.items())
    if not labels:
        return None
    receipt, began = _object(folder / "receipt.json"), folder.stat().st_mtime
    over = bool(receipt) and not list(folder.glob("*.live"))
    instructions = {"command": "", "workdir": str(folder), "outputs": [], "secrets": []}
    attempts = [Attempt(label, "local", None, launched=began, ended=began if over else None) for _, label in labels]
    run = Run(folder.name, _name(folder), submitted=began, attempts=attempts, job={"instructions": instructions})
    if over:
        run.state, run.teardown_confirmed, run.ended = RunState.FINISHED, True, began
        run.outcome = Outcome(receipt["outcome"]) if receipt.get("outcome") else None
        run.reason, run.exit_code = receipt.get("reason"), receipt.get("exit_code")
    else:
        agent = _object(folder / str(attempts[-1].label) / "agent.json")
        run.state, run.started = RunState.RUNNING, agent.get("started") or began
    return run


def _label(path: Path) -> Label | None:
    return Label.parse(path.name.removesuffix(".live"))


def _name(folder: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        found = NAME.search((folder / "job.yaml").read_text(encoding="utf-8"))
        if found:
            return found[1]
    return str(_object(folder / "receipt.json").get("name") or folder.name)


def _object(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}
