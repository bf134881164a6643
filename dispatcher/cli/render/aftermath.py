"""What the last output of a failed run means for its user."""

from __future__ import annotations

import re
from pathlib import Path

from dispatcher.cli.render.errors import clean
from dispatcher.domain.run import Run

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
    folder = run.job.get("instructions", {}).get("path_prefix")
    python = f"{folder}/python" if folder else "the `python` on PATH"
    return (
        f"{found[-1]!r} is not installed in {python}, which ran the job. "
        "Activate the environment that has it, or install it there (a `setup` in the job file, run with --setup)."
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
