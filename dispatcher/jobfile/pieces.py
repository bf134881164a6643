"""Paths, values and words that a job is assembled from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from dispatcher.domain.job import Budget, JobConfig, Training
from dispatcher.jobfile.keys import Key, keys_of
from dispatcher.jobfile.yaml import Path, parse, scalar


def workdir_of(folder: FilePath, data: Mapping[str, Any]) -> FilePath:
    """Where files that the job names lie; the folder itself where workdir cannot be a path."""
    try:
        return folder / FilePath(str(data.get("workdir", "."))).expanduser()
    except (RuntimeError, ValueError):
        return folder


def full_path(keys: list[Key], name: str) -> Path:
    """The setting's path under its own names; a plain text for a model is its name."""
    path: Path = tuple(key.name for key in keys)
    rest = tuple(name.split("."))[len(keys) :]
    return (*path, *rest, *((keys[-1].section[1],) if keys[-1].section[1] else ()))


def as_in_file(value: Any) -> Any:
    """What a text after = means: as in the file."""
    if not isinstance(value, str):
        return value
    if value[:1] not in "[{'\"":
        return scalar(value)
    document = parse(value)
    return document.problems[0] if document.problems else document.data


def shell_text(value: Any) -> str:
    """A value for a command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(shell_text, value))
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def drop(data: dict[str, Any], path: Path) -> None:
    """Leave out what stands at a path; of a list, the whole; where nothing stands there, what lacks it."""
    here = data
    for depth, part in enumerate(path[:-1]):
        inner = here.get(str(part))
        if not isinstance(inner, dict) or (depth == len(path) - 2 and path[-1] not in inner):
            here.pop(str(part), None)
            return
        here = inner
    here.pop(str(path[-1]), None)


def quoted(text: str) -> str:
    """A text as one word of a shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


@cache
def defaults() -> tuple[str, ...]:
    """Settings that hold even where nobody says them."""
    sections = (("", JobConfig), ("training.", Training), ("budget.", Budget))
    keys = ((above, key) for above, section in sections for key in keys_of(section).values())
    return tuple(above + key.name for above, key in keys if not key.required and key.default not in (None, ()))
