"""Obtaining the text that probes read: files, and tools that exist."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

TOOL_SECONDS = 5.0
"""A tool that takes longer than this is not waited for."""
UNTRANSLATED = {"LC_ALL": "C", "LANG": "C"}


class ToolFailed(OSError):
    """A tool is here but did not answer."""


def read_text(path: Path) -> str:
    """A small file's text; "" where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def read_number(path: Path) -> float | None:
    """A file's number; None where it holds none."""
    try:
        return float(read_text(path))
    except ValueError:
        return None


def ask_tool(argv: Sequence[str], *, timeout: float = TOOL_SECONDS) -> str:
    """A tool's output; "" where it is not installed. Raises ToolFailed where it fails or hangs."""
    program = shutil.which(argv[0])
    if program is None:
        return ""
    import subprocess  # a plan on a computer without such tools starts none

    try:
        done = subprocess.run(
            [program, *argv[1:]],
            capture_output=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **UNTRANSLATED},
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{argv[0]} did not answer within {timeout:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ToolFailed(f"{argv[0]} failed ({done.returncode})" + (f": {said[-1]}" if said else ""))
    return done.stdout.decode(errors="replace")
