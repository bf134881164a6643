"""A parsed file becomes settings, or everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from dispatcher.domain.values import Strict, short
from dispatcher.errors import Problem
from dispatcher.jobfile.keys import Key, every, keys_of, resolve, similar, spellings
from dispatcher.jobfile.yaml import Document, Path, Place, dotted, problems_in_order

S = TypeVar("S", bound=Strict)
MOST_PROBLEMS = 100
_YES_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


@dataclass(slots=True)
class Tree:
    """A file's data under the settings' own names, and the path at which each stands in the file."""

    data: dict[str, Any] = field(default_factory=dict)
    stands: dict[Path, Path] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Checker(Generic[S]):
    """Checks one file against one section's class; `refused` are foreign keys with reason and fix."""

    def __init__(
        self, document: Document, root: type[S], refused: Mapping[str, tuple[str, str]], *, kind: str = "a job file"
    ) -> None:
        self.document = document
        self.root = root
        self.refused = refused
        self.kind = kind
        self.tree = Tree(problems=list(document.problems))
        self.wrong: set[Path] = set()
        self.outside: dict[Path, str] = {}
        """Settings that the command line gives, each as it is told there."""
        self._meant: set[Path] = set()

    def named(self) -> Tree:
        """The file's data under the settings' own names; what has no such name is a problem."""
        data = self.document.data
        if isinstance(data, dict):
            self.tree.data = self._section(data, self.root, (), ())
        elif not self.document.problems:
            fix = "Write run: python train.py" if "run" in keys_of(self.root) else ""
            self._note((), f"{self.kind} is settings with their values.", fix)
        return self.tree

    def settings(self) -> S | None:
        """The tree as settings; None, with the problems noted, where it is not valid."""
        try:
            return self.root.model_validate(self.tree.data)
        except ValidationError as error:
            self.tree.problems += self._explained(error)
            return None

    def place(self, path: Path, *, key: bool = False) -> Place | None:
        """Where a setting stands in the file."""
        if not path:
            return self.document.place(())
        while path and path not in self.tree.stands:
            path = path[:-1]
        return self.document.place(self.tree.stands.get(path, ()), key=key) if path else None

    def problem(self, path: Path, message: str, fix: str = "", *, key: bool = False) -> Problem:
        """A problem with a setting, at its place where it has one: on the command line, or in the file."""
        if given := next((self.outside[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self.outside), None):
            return Problem(message, fix, path=given)
        place = self.place(path, key=key)
        if place:
            return self.document.problem(place, message, fix, dotted(path))
        return Problem(message, fix, path=dotted(path))

    def _note(self, path: Path, message: str, fix: str = "", *, key: bool = False) -> None:
        self.tree.problems.append(self.problem(path, message, fix, key=key))

    def _section(self, data: dict[str, Any], section: type[Strict], path: Path, stands: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in data.items():
            known = spellings(section).get(name)
            below = (*path, known.name if known else name)
            here = (*stands, name)
            if known is None:
                self.tree.stands[below] = here
                self._unknown(section, below, name)
            elif known.name in found:
                other = known.other if name == known.name else known.name
                self.tree.problems.append(self._twice(below, here, other))
            else:
                self.tree.stands[below] = here
                self._value(found, known, value, below, here)
        return found

    def _value(self, found: dict[str, Any], known: Key, value: Any, path: Path, stands: Path) -> None:
        section, shorthand = known.section
        if section and isinstance(value, dict):
            found[known.name] = self._section(value, section, path, stands)
        elif section and shorthand and isinstance(value, str):
            found[known.name] = {shorthand: value}
            self.tree.stands[*path, shorthand] = stands
        elif known.entries and isinstance(value, dict):
            found[known.name] = {
                name: self._entry(one, known.entries, (*path, name), (*stands, name)) for name, one in value.items()
            }
        elif value is not None:
            found[known.name] = self._as_written(value, known, path, stands)
        elif not section and not self._told(stands):
            self._note(path, f"{known.name} has no value.", f"Give {known.form.words}, or delete the line.", key=True)

    def _told(self, stands: Path) -> bool:
        """Whether what stands there is no value for a reason that is told already: an alias, a tag."""
        place = self.document.values.get(stands)
        return place is not None and any((one.line, one.column) == (place.line, place.column) for one in self.document.problems)

    def _entry(self, value: Any, section: type[Strict], path: Path, stands: Path) -> Any:
        self.tree.stands[path] = stands
        return self._section(value, section, path, stands) if isinstance(value, dict) else value

    def _as_written(self, value: Any, known: Key, path: Path, stands: Path) -> Any:
        """Entries of lists and open mappings have places too; numbers in an environment stay as they were written."""
        parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, _ in parts:
            self.tree.stands[*path, name] = (*stands, name)
        if known.field != "env" or not isinstance(value, dict):
            return value
        written = self.document.written
        return {name: written.get((*stands, name), one) if type(one) in (int, float) else one for name, one in value.items()}

    def _twice(self, path: Path, stands: Path, other: str) -> Problem:
        place = self.document.place(stands, key=True) or Place(0, 0)
        return self.document.problem(place, f"the same setting as {other}, which is there too.", "Keep one.", dotted(path))

    def _unknown(self, section: type[Strict], path: Path, name: str) -> None:
        within = f" under {dotted(path[:-1])}" if len(path) > 1 else ""
        near = similar(name, list(spellings(section)))
        if name in self.refused:
            reason, fix = self.refused[name]
            self._note(path, f"{name}: {reason}", fix, key=True)
            return
        if near:
            self._meant.add((*path[:-1], spellings(section)[near].name))
        fix = f"Did you mean {near!r}?" if near else self._elsewhere(section, name)
        self._note(path, f"unknown setting{within}.", fix, key=True)

    def _elsewhere(self, section: type[Strict], name: str) -> str:
        """Where a setting of that name does exist; else the names there are here."""
        for path, key in every(self.root):
            if name in (key.name, key.other) and len(path) > 1:
                return f"It belongs under {'.'.join(path[:-1])}."
        if name in keys_of(self.root):
            return "It belongs at the top, without indentation."
        if near := similar(name, [key.name for _, key in every(self.root)]):
            path = next(path for path, key in every(self.root) if key.name == near)
            return f"Did you mean {near!r}, {_standing(path[:-1])}?"
        names = list(keys_of(section))
        return f"Settings here: {', '.join(names)}." if len(names) <= 12 else "All settings: mlrun schema"

    def _explained(self, error: ValidationError) -> Iterator[Problem]:
        """One problem per setting; what the members of a union have to say is one sentence."""
        wrong: dict[Path, Any] = {}
        keys = set()
        for one in error.errors(include_url=False):
            path = self._path(one["loc"], missing=one["type"] == "missing")
            if one["type"] == "missing" or one["loc"][-1] == "[key]":
                keys.add(path)
            first = wrong.setdefault(path, one)
            if one["type"] == "value_error" and first["type"] != "value_error":
                wrong[path] = one
        deeper = [path for path in wrong for above in wrong if len(above) < len(path) and path[: len(above)] == above]
        self.wrong |= wrong.keys()
        told = {(problem.line, problem.column) for problem in self.document.problems if problem.line}
        for path, one in wrong.items():
            if one["type"] == "missing" and path in self._meant:
                continue
            if path not in deeper or one["type"] == "value_error":
                message, fix = self._said(path, one)
                problem = self.problem(path, message, fix, key=path in keys)
                if (problem.line, problem.column) not in told:
                    yield problem

    def _path(self, loc: tuple[int | str, ...], *, missing: bool) -> Path:
        """The setting's path: pydantic also names the members of unions on its way."""
        path: Path = ()
        here: Any = self.tree.data
        for part in loc:
            inside = part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
            if inside and (isinstance(here, dict) or (isinstance(part, int) and part < len(here))):
                here = here[part]
                path = (*path, part)
        return (*path, loc[-1]) if missing else path

    def _said(self, path: Path, one: Any) -> tuple[str, str]:
        if one["type"] == "missing":
            keys = resolve(self.root, tuple(map(str, path)))
            return f"{path[-1]} is missing.", f"It is {keys[-1].description}." if keys else ""
        if one["type"] == "value_error":
            return _split(str(one["ctx"]["error"]))
        names = tuple(part for part in path if isinstance(part, str))
        keys = resolve(self.root, names)
        if not keys:
            return _split(str(one["msg"]))
        return _expected(keys[-1], one, within=path[-1] != keys[-1].name)


def _standing(above: tuple[str, ...]) -> str:
    return f"under {'.'.join(above)}" if above else "at the top"


def listed(problems: list[Problem]) -> list[Problem]:
    """All problems in file order; beyond a hundred, how many more there are."""
    found = problems_in_order(problems)
    if len(found) <= MOST_PROBLEMS:
        return found
    return [*found[:MOST_PROBLEMS], Problem(f"and {len(found) - MOST_PROBLEMS:,} more.", "Mend these first.")]


def _split(said: str) -> tuple[str, str]:
    """A message and its fix, which is the last sentence."""
    message, _, fix = said.partition(". ")
    return f"{message.rstrip('.')}.", fix if fix.endswith(("?", ".")) or not fix else f"{fix}."


def _expected(key: Key, one: Any, *, within: bool) -> tuple[str, str]:
    """What a value is not, and what is meant instead."""
    value, form = one["input"], key.form
    if key.field == "nodes":
        from dispatcher.jobfile.refused import MORE_NODES

        return MORE_NODES
    if isinstance(value, (dict, list)) and not within:
        kind = "a section" if isinstance(value, dict) else "a list"
        return f"{key.name} cannot be {kind}.", f"Write {form.words}."
    if one["type"] == "less_than_equal":
        return f"{value:,.15g} is too much.", f"The most is {one['ctx']['le']:,.15g}: check it."
    if one["type"] == "string_too_long":
        return f"too long, with {len(value):,} characters.", f"At most {one['ctx']['max_length']:,}: keep the rest in a file."
    if key.section[0] and not isinstance(value, dict):
        return f"{key.name} is a section.", "Write its settings below it, indented."
    return f"{short(value)} is not {form.words}." if not within else f"{short(value)} cannot stand here.", _meant(
        key, value, one
    )


def _meant(key: Key, value: Any, one: Any) -> str:
    """The most likely correction of a value."""
    schema, kind = key.form.schema, one["type"]
    choices = [str(choice) for part in schema.get("anyOf", [schema]) for choice in part.get("enum", [part.get("const")])]
    if isinstance(value, str):
        if kind == "bool_type" and value.lower() in _YES_NO:
            return f"Write {_YES_NO[value.lower()]}: YAML 1.2 reads {value} as text."
        if kind in ("int_type", "float_type"):
            return "Write the number alone, without quotes or unit."
        near = similar(value, choices)
        return f"Did you mean {near!r}?" if near else ""
    if kind == "string_type":
        return "Put it in quotes." if isinstance(value, (int, float)) else ""
    return ""
