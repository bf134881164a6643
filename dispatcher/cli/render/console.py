"""Where text goes: words to stderr, documents and job output to stdout."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from typing import IO, Any

import click

NARROWEST, WIDEST = 60, 120


def width() -> int:
    """Columns to write for: the terminal's, 80 where there is none."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((80, 24)).columns))


def plain(stream: IO[str]) -> bool:
    """Whether colour and cursor movement must be left out."""
    return not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


def on_screen(text: str, indent: str) -> list[str]:
    """Lines of stderr: broken at words where a terminal shows them; what is piped is left whole, to be searched."""
    from dispatcher.cli.render.tables import wrapped

    return wrapped(text, width(), indent) if sys.stderr.isatty() else [text]


def say(text: str = "", *, to_stdout: bool = False, nl: bool = True) -> None:
    """Write a line for people; colours are stripped where they cannot be shown. A stderr that takes none stops nothing."""
    stream = sys.stdout if to_stdout else sys.stderr
    try:
        click.echo(printable(text, stream), file=stream, nl=nl, color=not plain(stream))
    except OSError:
        if to_stdout:
            raise
        silence(stream)


def silence(stream: IO[str]) -> None:
    """What cannot be written to a stream, now and later, goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def document(data: Any, *, line: bool = False) -> None:
    """Write one JSON document to stdout; `line` keeps it on one line, for streams of events."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=None if line else 2, default=str))


def bold(text: str) -> str:
    """Emphasis that is lost without harm."""
    return click.style(text, bold=True)


def dim(text: str) -> str:
    """Less than the rest."""
    return click.style(text, dim=True)


def good(text: str) -> str:
    """Green, where the words say already that it is well."""
    return click.style(text, fg="green")


def bad(text: str) -> str:
    """Red, where the words say already that it is not."""
    return click.style(text, fg="red")


def caution(text: str) -> str:
    """Yellow, where the words say already that care is needed."""
    return click.style(text, fg="yellow")


_ASCII = str.maketrans(
    {"×": "x", "–": "-", "−": "-", "·": "|", "█": "#", "✓": "+", "✗": "x", "│": "|", "…": "...", "→": "->", "≤": "<="}
)


def printable(text: str, stream: IO[str]) -> str:
    """`text` in what the stream's encoding can show."""
    encoding = getattr(stream, "encoding", None) or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text
