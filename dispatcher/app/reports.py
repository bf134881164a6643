"""What a run's report is made of, from its folder and outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.domain.run import Run
from dispatcher.metrics.found import curves_in
from dispatcher.metrics.series import Series

TAIL_BYTES = 16 << 10
MOST_SAMPLES = 200_000


def curves_of(run: Run) -> list[Series]:
    """Curves in the outputs that stand at home."""
    workdir = (run.job.get("instructions") or {}).get("workdir")
    return curves_in(Path(workdir), [one.path for one in run.outputs]) if workdir else []


def samples_of(run: Run) -> list[dict[str, Any]]:
    """The measured seconds of the last attempt."""
    return _lines(_folder(run) / "samples.jsonl")[-MOST_SAMPLES:]


def notices_of(run: Run) -> list[str]:
    """What the machine said while the job ran."""
    return [str(one.get("message")) for one in _lines(_folder(run) / "notices.jsonl") if one.get("message")]


def job_of(run: Run) -> str:
    """The job file as it was."""
    return _text(paths.runs_dir() / run.id / "job.yaml")


def origin_of(run: Run) -> dict[str, Any]:
    """Commit, changes, packages and Python, as kept when it was submitted."""
    try:
        told = json.loads(_text(paths.runs_dir() / run.id / "origin.json") or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def tail_of(run: Run, lines: int) -> list[str]:
    """The last lines of its output, each whole: of a line that is cut, nobody could tell that it holds a secret."""
    file = _folder(run) / "log"
    try:
        with file.open("rb") as stream:
            begin = stream.seek(max(0, file.stat().st_size - TAIL_BYTES))
            found = stream.read().split(b"\n", 1)[-1] if begin else stream.read()
            return found.decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


def page_file(run: Run) -> Path:
    """Where its page stands."""
    return paths.runs_dir() / run.id / "report.html"


def _folder(run: Run) -> Path:
    attempt = run.attempt
    return paths.runs_dir() / run.id / (str(attempt.label) if attempt else "none")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lines(file: Path) -> list[dict[str, Any]]:
    found = []
    for line in _text(file).splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            found.append(told)
    return found
