"""What the last output of a failed run means for its user."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dispatcher.cli.render.errors import clean
from dispatcher.domain.run import Run

NO_PYTHON = re.compile(r"\b(python3?|pip3?): (?:command )?not found")
NOT_FOUND = 127
"""What a shell ends with that does not find its command."""
TAIL_BYTES = 1 << 14
SETUP_LINES = 15
MISSING_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([\w.]+)'", re.MULTILINE)


def setup_lines(setup_log: Path | None) -> list[str]:
    """The last lines of a setup that failed."""
    said = [f"    {clean(line)}" for line in tail(setup_log).splitlines()[-SETUP_LINES:] if line.strip()]
    return [*said, f"  setup's log: {setup_log}"] if setup_log else []


def missing_module(run: Run, log: Path | None) -> str:
    """Which Python had no such module, and what to do; "" where that was not the job's last error."""
    found = MISSING_MODULE.findall(tail(log))
    if not run.exit_code or not found:
        return ""
    folder = run.job.get("instructions", {}).get("path_prefix", "").rpartition(os.pathsep)[2]
    name = "python3" if (Path(folder) / "python3").exists() and not (Path(folder) / "python").exists() else "python"
    python = f"{folder}/{name}" if folder else "the `python` on PATH"
    return (
        f"{found[-1]!r} is not installed in {python}, which ran the job. "
        "Activate the environment that has it, or install it there (a `setup` in the job file, run with --setup)."
    )


def no_python(run: Run, log: Path | None) -> str:
    """What to do where the shell found no Python for the job."""
    found = NO_PYTHON.findall(tail(log))
    if run.exit_code != NOT_FOUND or not found:
        return ""
    if found[-1].startswith("pip"):
        return f"There is no `{found[-1]}` for this job. Write python -m pip, or activate the environment that has it."
    return (
        f"There is no `{found[-1]}` for jobs here; mlrun's own is never used. python3 -m venv .venv in the job's folder "
        "makes one, or activate yours."
    )


def tail(path: Path | None) -> str:
    """The end of a text file, as far as it can be read."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
