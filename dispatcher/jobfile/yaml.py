"""YAML 1.2 text to plain data; everything keeps its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from dispatcher.domain.values import short
from dispatcher.errors import Problem

LARGEST = 256 * 1024
DEEPEST = 32
LONGEST_NUMBER = 300
LONGEST_KEY = 1024
"""YAML's own limit."""

Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*(?:_[0-9]+)*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_A_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INVISIBLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_UNWRITABLE = re.compile("[\0\ud800-\udfff]")
_SAID = (
    ("mapping values are not allowed", "a second ':' in this value.", "Put the value in quotes, or check the indentation."),
    ("could not find expected ':'", "a key without its ':'.", "Write key: value, or indent the line below its key."),
    (
        "cannot start any token",
        "a character that cannot begin a value.",
        "Put the value in quotes; indent with spaces, not tabs.",
    ),
    ("found unexpected end of stream", "a quote is opened and never closed.", "Close it on the same line."),
    ("while parsing a flow", "a bracket is not closed, or a comma is missing.", "Write [a, b] or {a: 1, b: 2}."),
    ("expected <block end>", "the indentation does not match the lines above.", "Indent all keys of a section alike."),
    ("expected '<document start>'", "text that belongs to nothing above it.", "Write key: value, with the same indentation."),
    ("while scanning a block scalar", "the lines after | or > are not indented below their key.", "Indent them by two spaces."),
    ("while scanning a double-quoted", "an escape that YAML does not know.", "Write \\\\, or use 'single quotes'."),
)
"""What the YAML library says, and what people read instead: the reason and the fix."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column from 1, and how many characters on that line."""

    line: int
    column: int
    width: int = 1


@dataclass(slots=True)
class Document:
    """A file's data, where each key and value stands, its scalars as they were written, and what is wrong with it.

    `broken` where the text could not be read to its end.
    """

    data: Any = None
    lines: list[str] = field(default_factory=list)
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False

    def problem(self, place: Place, message: str, fix: str = "", path: str = "") -> Problem:
        """A problem at a place of this document."""
        source = self.lines[place.line - 1] if 0 < place.line <= len(self.lines) else ""
        width = max(1, min(place.width, len(source) - place.column + 1))
        return Problem(message, fix, place.line, place.column, width, source, path)

    def broken_at(self, place: Place, message: str, fix: str) -> None:
        """Nothing can be read from this place on."""
        self.broken = True
        self.problems.append(self.problem(place, message, fix))

    def place(self, path: Path, *, key: bool = False) -> Place | None:
        """Where the value (or the key) stands, or the nearest thing around it that is written."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


def parse(raw: bytes | str) -> Document:
    """The one document in `raw`. What YAML allows and a job file does not is listed in `problems`."""
    document = Document()
    text = _text(raw, document)
    if text is None:
        document.broken = True
        return document
    document.lines = text.split("\n")
    invisible = _INVISIBLE.search(text)
    if invisible:
        name = f"U+{ord(invisible.group()):04X}"
        document.broken_at(_at(text, invisible.start()), f"an invisible character, {name}.", "Delete it.")
        return document
    builder = _Builder(document)
    for event in _events(text, builder):
        if not builder.take(event):
            document.broken = True
            break
    return document


def _events(text: str, builder: _Builder) -> Iterator[Event]:
    """What the scanner finds, up to where it stops."""
    source = YAML(typ="safe", pure=True).parse(text)
    while True:
        try:
            event = next(source, None)
        except YAMLError as error:
            builder.document.broken_at(*_reason(builder, error))
            return
        except (ValueError, OverflowError, IndexError, TypeError, AttributeError, AssertionError, RecursionError):
            # what the scanner lets slip on malformed escapes and directives
            builder.document.broken_at(builder.last, "not YAML from here on.", "Check quotes, escapes and brackets.")
            return
        if event is None:
            return
        yield event


def scalar(text: str) -> Any:
    """What a plain word means: YAML 1.2's numbers (also 1e-4 and 50_000), true, false, null; all else is text."""
    if text in _WORDS:
        return _WORDS[text]
    if not text[:1].isdigit() and text[:1] not in "-+.":
        return text
    if len(text) > LONGEST_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def dotted(path: Path) -> str:
    """training.batch_size, outputs[1]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _text(raw: bytes | str, document: Document) -> str | None:
    size = len(raw)
    if size > LARGEST:
        document.problems.append(
            Problem(f"a job file has at most {LARGEST:,} bytes, this one more.", "Keep data and code in files of their own.")
        )
        return None
    if isinstance(raw, str):
        return _lines(raw)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        document.problems.append(Problem("UTF-16 text.", "Save the file as UTF-8.", line=1, column=1))
        return None
    try:
        return _lines(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        place = _at(before, len(before))
        document.lines = _lines(raw.decode("utf-8", errors="replace")).split("\n")
        document.problems.append(document.problem(place, "a byte that is not UTF-8.", "Save the file as UTF-8."))
        return None


def _lines(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _at(text: str, index: int) -> Place:
    return Place(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _reason(builder: _Builder, error: YAMLError) -> tuple[Place, str, str]:
    document = builder.document
    said = str(error)
    mark = None
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if "unexpected end of stream" in said:
            mark = error.context_mark or mark
    place = Place(min(mark.line + 1, len(document.lines)), mark.column + 1) if mark else Place(1, 1)
    if "a flow" in said and builder.open:
        place = document.values.get(builder.open[-1].path, place)
    if _long_key(document, error):
        start = error.context_mark  # type: ignore[attr-defined]
        return (
            Place(start.line + 1, start.column + 1),
            "a key of over 1,024 characters.",
            "YAML reads none so long: shorten it.",
        )
    for words, message, fix in _SAID:
        if words in said:
            return place, message, fix
    return place, "not YAML from here on.", "Check quotes, brackets and indentation."


def _long_key(document: Document, error: YAMLError) -> bool:
    start = getattr(error, "context_mark", None)
    if start is None or start.line >= len(document.lines) or "while scanning a simple key" not in str(error):
        return False
    key, colon, _ = document.lines[start.line][start.column :].partition(": ")
    return bool(colon) and len(key) > LONGEST_KEY


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being filled; `key` is the key that waits for its value."""

    path: Path
    into: dict[str, Any] | list[Any]
    key: str | None = None
    skipped: bool = False


class _Builder:
    """Puts events together; what is refused is noted and left out."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.open: list[_Open] = []
        self.documents = 0
        self.last = Place(1, 1)

    def take(self, event: Event) -> bool:
        """Use one event; False to stop reading."""
        self.last = _place(event)
        if isinstance(event, DocumentStartEvent):
            return self._starts()
        if isinstance(event, AliasEvent):
            self._refuse(self.last, f"an alias, {short(f'*{event.anchor}')}.", "Write the value out.")
            self._put(None, event)
        elif isinstance(event, ScalarEvent):
            self._decorations(event)
            self._scalar(event)
        elif isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            self._decorations(event)
            return self._opens(event)
        elif isinstance(event, (MappingEndEvent, SequenceEndEvent)):
            self.open.pop()
        return True

    def _starts(self) -> bool:
        self.documents += 1
        if self.documents > 1:
            self._refuse(self.last, "a second document begins here.", "Keep one job per file.")
        return self.documents == 1

    def _opens(self, event: MappingStartEvent | SequenceStartEvent) -> bool:
        if len(self.open) >= DEEPEST:
            self._refuse(self.last, f"nested deeper than {DEEPEST} levels.", "Write it flatter.")
            return False
        into: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        path, wanted = self._put(into, event)
        self.open.append(_Open(path, into, skipped=not wanted))
        return True

    def _scalar(self, event: ScalarEvent) -> None:
        text = event.value
        if _UNWRITABLE.search(text):
            self._refuse(self.last, "a character that cannot be written to a command.", "Leave the escape out.")
        parent = self.open[-1] if self.open else None
        if parent and isinstance(parent.into, dict) and parent.key is None:
            self._key(parent, text)
            return
        plain = event.style is None
        path, wanted = self._put(self._meaning(text) if plain else text, event)
        if plain and wanted:
            self.document.written[path] = text

    def _meaning(self, text: str) -> Any:
        if _NOT_A_NUMBER.fullmatch(text):
            self._refuse(self.last, f"{text} is not a number.", "Write a number, or put the text in quotes.")
            return text
        value = scalar(text)
        too_long = len(text) > LONGEST_NUMBER and (_INT.fullmatch(text) or _FLOAT.fullmatch(text))
        if too_long or (isinstance(value, float) and not math.isfinite(value)):
            self._refuse(self.last, f"{short(text)} is beyond any use as a number.", "Check it, or put the text in quotes.")
            return text
        return value

    def _key(self, parent: _Open, text: str) -> None:
        assert isinstance(parent.into, dict)
        parent.key = text
        path = (*parent.path, text)
        if text in parent.into:
            first = self.document.keys.get(path)
            where = f", after line {first.line}" if first else ""
            self._refuse(self.last, f"{short(text)} is here a second time{where}.", "Keep one of the two.")
            return
        if not parent.skipped:
            self.document.keys[path] = self.last

    def _put(self, value: Any, event: Event) -> tuple[Path, bool]:
        """Store a value in what is open; its path, and whether it was wanted there."""
        if not self.open:
            self.document.data = value
            self.document.values[()] = self.last
            return (), True
        parent = self.open[-1]
        if isinstance(parent.into, list):
            path: Path = (*parent.path, len(parent.into))
            parent.into.append(value)
        elif parent.key is None:
            self._refuse(self.last, "a key must be a word.", "Write key: value.")
            parent.key = ""
            return parent.path, False
        else:
            path = (*parent.path, parent.key)
            fresh = parent.key not in parent.into
            parent.into.setdefault(parent.key, value)
            parent.key = None
            if not fresh:
                return path, False
        if not parent.skipped:
            self.document.values[path] = _valued(event, self.last)
        return path, not parent.skipped

    def _decorations(self, event: Any) -> None:
        if event.anchor:
            self._refuse(self.last, f"an anchor, {short(f'&{event.anchor}')}.", "Write the value out where it is needed.")
        if event.tag:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._refuse(self.last, f"a tag, {short(tag)}.", "Leave it out: the setting knows its type.")

    def _refuse(self, place: Place, message: str, fix: str) -> None:
        self.document.problems.append(self.document.problem(place, message, fix))


def _place(event: Event) -> Place:
    start, end = event.start_mark, event.end_mark
    width = end.column - start.column if end.line == start.line else 10**6
    return Place(start.line + 1, start.column + 1, max(1, width))


def _valued(event: Event, place: Place) -> Place:
    """An open bracket or section is marked by its first character; a text by what stands on its first line."""
    return place if isinstance(event, ScalarEvent) else Place(place.line, place.column)


def problems_in_order(problems: list[Problem]) -> list[Problem]:
    """As they stand in the file; those without a place come last."""
    return sorted(dict.fromkeys(problems), key=lambda one: (one.line == 0, one.line, one.column))


def leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no mapping, with its path."""
    if not isinstance(data, dict):
        yield path, data
        return
    for key, value in data.items():
        yield from leaves(value, (*path, key))
