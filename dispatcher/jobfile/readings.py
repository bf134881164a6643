"""One setting read in a script: value, line, flag, strength."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dispatcher.jobfile.scope import Scope
from dispatcher.jobfile.value import Value

READ = "read in"
"""How the origin of what stands in a script begins."""
NAMED, GIVEN, CERTAIN = 1, 2, 3
"""How surely a reading is the setting: by its name alone, as a keyword of some call, of a call that is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A setting as a script says it. `value` is None where only a run would tell; `words` begin the origin, or say why."""

    setting: str
    value: Any
    line: int
    flag: str = ""
    strength: int = CERTAIN
    words: str = READ


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument means: the setting, and the change to its value; `convert` returns None for "says nothing"."""

    setting: str
    convert: Callable[[Any], Any] = lambda value: value


def read(
    scope: Scope, setting: str, node: ast.AST, *, convert: Callable[[Any], Any] | None = None, strength: int = CERTAIN
) -> Iterator[Reading]:
    """The reading of one expression; one without a value where it cannot be read; none where it says nothing."""
    line = getattr(node, "lineno", 0)
    known = scope.read(node)
    if known is None:
        yield Reading(setting, None, line, strength=strength)
        return
    value = known.value if convert is None else convert(known.value)
    if value is not None:
        flag = known.flag if value == known.value else ""
        words = f"the default of {known.flag} in" if known.flag else "read in"
        yield Reading(setting, value, line, flag, strength, words)


def positive(value: Any) -> Any:
    """A positive number; a whole one as an int."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 10**12:
        return None
    return int(value) if value == int(value) else value


def whole(value: Any) -> int | None:
    """A positive whole number."""
    found = positive(value)
    return found if isinstance(found, int) else None


def settled(readings: Iterable[Reading], script: str) -> tuple[dict[str, Value], dict[str, str]]:
    """Each setting's value, and for those without one the reason: a place that cannot be read, or two that differ."""
    by_setting: dict[str, list[Reading]] = {}
    for reading in readings:
        by_setting.setdefault(reading.setting, []).append(reading)
    values: dict[str, Value] = {}
    unread: dict[str, str] = {}
    for setting, some in by_setting.items():
        chosen = _surest([one for one in some if one.value is not None])
        if not chosen:
            unread[setting] = next((one.words for one in some if one.words != READ), f"line {some[0].line} computes it")
        elif any(one.value != chosen[0].value for one in chosen):
            unread[setting] = " and ".join(f"line {one.line} says {one.value}" for one in chosen[:3])
        else:
            values[setting] = Value(chosen[0].value, f"{chosen[0].words} {script} line {chosen[0].line}", chosen[0].flag)
    return values, unread


def _surest(known: list[Reading]) -> list[Reading]:
    """The readings that count: the surest ones, of them those that a flag gives."""
    best = max((one.strength for one in known), default=0)
    certain = [one for one in known if one.strength == best]
    flagged = [one for one in certain if one.flag]
    same = [one for one in known if one.flag and certain and one.value == certain[0].value]
    return flagged or (same[:1] if all(one.value == certain[0].value for one in certain) and same else certain)
