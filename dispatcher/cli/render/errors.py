"""Errors on the screen: place, reason, fix; and the exit code."""

from __future__ import annotations

import os
import tempfile
import traceback
import unicodedata
from pathlib import Path

from dispatcher.cli.render.console import bad, bold, caution, dim, document, say
from dispatcher.errors import JobFileError, MlrunError, Problem

WIDEST_SOURCE = 100


def show_error(error: MlrunError, *, as_json: bool = False) -> int:
    """Tell a user's error, and return its exit code."""
    if as_json:
        document(_as_dict(error))
    elif isinstance(error, JobFileError):
        _show_problems(error)
    else:
        say(bad("error: ") + clean(error.message))
    if error.fix and not as_json:
        say(bold("  fix: ") + clean(error.fix))
    return error.exit_code


def show_bug(bug: Exception) -> int:
    """Tell an error of ours without a stack trace on the screen; it goes to a file."""
    text = "".join(traceback.format_exception(bug))
    handle, name = tempfile.mkstemp(prefix="mlrun-bug-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)
    last = clean(str(bug)).splitlines()[0][:200] if str(bug) else ""
    say(bad("This is a bug in mlrun: ") + f"{type(bug).__name__}: {last}")
    say(f"  The details are in {Path(name)}. Please report it with that file.")
    say("  Runs that are open are not lost: mlrun ps")
    return 70


def warn(message: str, fix: str = "") -> None:
    """Something to know, with the next command to type."""
    say(caution("  ! ") + clean(message) + (f" {bold(clean(fix))}" if fix else ""))


def clean(text: str) -> str:
    """`text` without the control characters that could move the cursor or ring."""
    return "".join(c if c in "\n\t" or not unicodedata.category(c).startswith("C") else "�" for c in text)


def _show_problems(error: JobFileError) -> None:
    say(bad(error.message))
    digits = max((len(str(problem.line)) for problem in error.problems), default=1)
    for problem in error.problems:
        _show_problem(problem, digits)


def _show_problem(problem: Problem, digits: int) -> None:
    words = clean(problem.message) + (f" {clean(problem.fix)}" if problem.fix else "")
    if not problem.line:
        say(f"  {clean(problem.path) + ': ' if problem.path else ''}{words}")
        return
    source, column = _excerpt(problem)
    say(f"  {dim(str(problem.line).rjust(digits))} {dim('│')} {source}")
    say(f"  {' ' * digits} {dim('│')} {' ' * column}{bad('^' * max(1, problem.width))} {words}")


def _excerpt(problem: Problem) -> tuple[str, int]:
    """The part of the source line around the problem, and the caret's column in it."""
    source, column = clean(problem.source.expandtabs(1)).rstrip(), max(0, problem.column - 1)
    start = max(0, column - WIDEST_SOURCE // 2) if len(source) > WIDEST_SOURCE else 0
    cut = source[start : start + WIDEST_SOURCE]
    return ("…" + cut[1:] if start else cut), column - start


def _as_dict(error: MlrunError) -> dict[str, object]:
    problems = error.problems if isinstance(error, JobFileError) else []
    return {
        "schema": "1.0",
        "error": {
            "exit_code": error.exit_code,
            "kind": type(error).__name__,
            "message": error.message,
            "fix": error.fix,
            "problems": [{name: getattr(p, name) for name in p.__slots__} for p in problems],
        },
    }
