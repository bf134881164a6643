"""The job file's JSON Schema, draft-07: what editors complete and check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.values import Strict
from dispatcher.jobfile.keys import Key, keys_of


def schema() -> dict[str, Any]:
    """The whole schema; other spellings of a setting are properties too."""
    top = _object(JobConfig)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mlrun job file",
        "description": _first_line(JobConfig),
        **top,
        "definitions": {section.__name__: _object(section) for section in dict.fromkeys(_sections(JobConfig))},
    }


def _object(section: type[Strict]) -> dict[str, Any]:
    keys = keys_of(section).values()
    properties = {name: _property(key, name) for key in keys for name in (key.name, key.other) if name}
    made: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    required = [key.name for key in keys if key.required]
    if required:
        made["required"] = required
    twice = [{"required": [key.name, key.other]} for key in keys if key.other]
    if twice:
        made["not"] = {"anyOf": twice} if len(twice) > 1 else twice[0]
    return made


def _property(key: Key, name: str) -> dict[str, Any]:
    text = key.description[:1].upper() + key.description[1:] + "."
    if name == key.other:
        text = f"The same as {key.name}: {key.description}."
    made: dict[str, Any] = {"description": text, **key.form.schema}
    if isinstance(key.default, (str, int, float)):
        made["default"] = key.default
    return made


def _sections(root: type[Strict]) -> Iterator[type[Strict]]:
    for key in keys_of(root).values():
        section = key.section[0]
        if section:
            yield section
            yield from _sections(section)


def _first_line(section: type[Strict]) -> str:
    return (section.__doc__ or "").strip().splitlines()[0]
