"""Where a job's code came from: commit, changes, packages, Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from dispatcher.paths import write_private

GIT_SECONDS = 5.0
LARGEST_DIFF = 200_000


def origin(workdir: Path, python: Path | None) -> dict[str, Any]:
    """What could be learned within seconds; nothing where there is no repository, or no Python."""
    found: dict[str, Any] = {}
    if commit := _git(workdir, "rev-parse", "HEAD"):
        found["commit"] = commit.strip()
        if branch := _git(workdir, "rev-parse", "--abbrev-ref", "HEAD"):
            found["branch"] = branch.strip()
        if diff := _git(workdir, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--", "."):
            cut = "\n… and more" if len(diff) > LARGEST_DIFF else ""
            found["diff"] = diff[:LARGEST_DIFF] + cut
    if python:
        found["python"] = str(python)
        found["packages"] = packages(python)
    return found


def packages(python: Path) -> list[str]:
    """name==version of what that interpreter's environment holds; read from its folders, nothing is run."""
    names = []
    for folder in sorted(python.parent.parent.glob("lib/python3*/site-packages/*.dist-info")):
        name, dash, version = folder.name.removesuffix(".dist-info").rpartition("-")
        if dash:
            names.append(f"{name}=={version}")
    return names


def keep(folder: Path, workdir: Path, python: Path | None) -> None:
    """Write it beside the run's log; a run goes on without it."""
    try:
        write_private(folder / "origin.json", json.dumps(origin(workdir, python)))
    except OSError:
        return


def _git(workdir: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(workdir), *words], capture_output=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
