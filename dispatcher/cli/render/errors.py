"""Errors on the screen: place, reason, fix; and the exit code."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
import unicodedata
from pathlib import Path

from rich.cells import cell_len, chop_cells

from dispatcher.cli.render.console import bad, bold, caution, dim, document, on_screen, say, width
from dispatcher.cli.render.records import moment
from dispatcher.cli.render.tables import wrapped
from dispatcher.errors import JobFileError, MlrunError, Problem

LEAST_SOURCE = 20
"""Columns of a job file's line that are shown on the narrowest screen."""


def show_error(error: MlrunError, *, as_json: bool = False, as_event: bool = False) -> int:
    """Tell a user's error, and return its exit code. `as_event`: it is the last line of a stream of events."""
    if as_json and as_event:
        event = {"event": "result", "time": moment(time.time()), "run": None, "exit_code": error.exit_code, "result": None}
        document({"schema": "1.0", **event, **_as_dict(error)}, line=True)
    elif as_json:
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
    stop = "" if not fix or message.rstrip().endswith((".", "!", "?", ":", "…")) else "."
    said = caution("  ! ") + clean(message) + stop
    typed = " ".join(bold(word) for word in clean(fix).split())
    for line in on_screen(f"{said} {typed}".rstrip(), "    "):
        say(line)


def clean(text: str) -> str:
    """`text` without the control characters that could move the cursor or ring."""
    return "".join(c if c in "\n\t" or not unicodedata.category(c).startswith("C") else "�" for c in text)


def _show_problems(error: JobFileError) -> None:
    say(bad(error.message))
    digits = max((len(str(problem.line)) for problem in error.problems), default=1)
    for problem in error.problems:
        _show_problem(problem, digits)


def _show_problem(problem: Problem, digits: int) -> None:
    for line in problem_lines(problem, digits, width()):
        say(line)


def problem_lines(problem: Problem, digits: int, columns: int) -> list[str]:
    """A problem with its line of the file, a caret under its place, and what to do, within so many columns."""
    words = clean(problem.message) + (f" {clean(problem.fix)}" if problem.fix else "")
    if not problem.line:
        named = not problem.path or words.startswith(clean(problem.path))
        return wrapped(f"  {words}" if named else f"  {clean(problem.path)}: {words}", columns, "    ")
    margin = f"  {' ' * digits} {dim('│')} "
    room = max(LEAST_SOURCE, columns - digits - 5)
    source, before, carets = _excerpt(problem, room)
    pointer = " " * before + bad("^" * carets)
    lines = [f"  {dim(str(problem.line).rjust(digits))} {dim('│')} {source}"]
    if before + carets + 1 + cell_len(words) <= room:
        return [*lines, f"{margin}{pointer} {words}"]
    return [*lines, margin + pointer, *(margin + part for part in wrapped(words, room))]


def _excerpt(problem: Problem, room: int) -> tuple[str, int, int]:
    """The part of the source line around the problem, and the columns before its carets, and how many carets."""
    source, column = clean(problem.source.expandtabs(1)).rstrip(), max(0, problem.column - 1)
    start = _start(source, column, room) if cell_len(source) > room else 0
    rest = ("…" if start else "") + source[start:]
    cut = chop_cells(rest, room)[0] if rest else ""
    before = min(cell_len(rest[: column - start + (start > 0)]), room - 1)
    marked = cell_len(source[column : column + max(1, problem.width)])
    return cut, before, max(1, min(marked, cell_len(cut) - before))


def _start(source: str, column: int, room: int) -> int:
    """Where the excerpt begins, so that three quarters of it follow the problem, as far as the line goes on."""
    before = room - 1 - min(cell_len(source[column:]), 3 * room // 4)
    start = min(column, len(source))
    while start and cell_len(source[start - 1 : column]) <= before:
        start -= 1
    return start


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
