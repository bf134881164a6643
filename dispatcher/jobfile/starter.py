"""A first job file for a folder: the fitting template, filled in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dispatcher.errors import UsageError
from dispatcher.jobfile.source import facts_of
from dispatcher.jobfile.survey import Data, Survey, survey
from dispatcher.paths import templates_dir
from dispatcher.units import show_bytes

KINDS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (
    ("transformer", frozenset({"transformers", "peft", "trl", "unsloth", "axolotl"}), frozenset({"from_pretrained"})),
    ("vision", frozenset({"torchvision", "timm", "ultralytics"}), frozenset()),
    ("gpt", frozenset({"torch"}), frozenset({"scaled_dot_product_attention", "MultiheadAttention", "TransformerEncoder"})),
    ("tabular", frozenset({"sklearn", "xgboost", "lightgbm", "catboost", "cuml"}), frozenset()),
)
"""Templates by what a script imports and, where that does not tell, by what it calls; the first that fits."""

SCRATCH = {"transformer": "gpt"}
"""What a library's user trains who loads nothing: a model from scratch."""

KEPT = ("run", "task", "model.family", "model.kind", "name")
_LINE = re.compile(r"(?P<indent> *)(?P<key>[a-z_]+):(?: +(?P<value>[^#]*?))?(?: +# (?P<note>.*))?")
_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9_./ =${}-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
_COLUMN = 41


@dataclass(frozen=True, slots=True)
class Entry:
    """A setting's value as YAML, a note on where it was found, and the flag that sets it on the command line.

    `guess`: nobody says that it is so; it stays a comment.
    """

    text: str
    note: str
    flag: str = ""
    guess: bool = False


@dataclass(frozen=True, slots=True)
class Starter:
    """Which template fits a folder, and what fills it. `name` is the job's, after the script that was asked for."""

    kind: str
    survey: Survey
    name: str = ""

    @property
    def template(self) -> Path:
        """The template's file."""
        return templates_dir() / "jobs" / f"{self.kind}.yaml"


def choose(folder: Path, *, script: Path | None = None) -> Starter:
    """The starter for what stands in a folder, or for a script in it. Raises JobFileError where that is no script."""
    if script and script.suffix in (".py", ".ipynb"):
        facts_of(script)  # says what is wrong with it, and what to do with a notebook
    found = survey(folder, _below(folder, script) if script else None)
    return Starter(_kind(found), found, script.stem if script else "")


def from_template(kind: str, folder: Path) -> Starter:
    """The starter of the kind asked for, filled with what stands in the folder, unless a script of another kind does."""
    if kind not in templates():
        raise UsageError(f"There is no template {kind!r}.", fix=f"choose one of: {', '.join(templates())}")
    found = survey(folder)
    return Starter(kind, found if not found.script or _kind(found) in (kind, "script") else Survey(folder))


def templates() -> tuple[str, ...]:
    """The kinds there are."""
    return tuple(sorted(file.stem for file in (templates_dir() / "jobs").glob("*.yaml")))


def render(starter: Starter) -> str:
    """The job file: what was found is filled in, what was not is asked for in a comment."""
    template = starter.template.read_text(encoding="utf-8")
    asked = _asked(template)
    known = dict(_known(starter.survey, asked, starter.name))
    known["run"] = _command(starter.survey, known)
    known |= _sectioned(known)
    lines = [line for block in _blocks(template) for line in _filled(block, known, asked)]
    return "\n".join([*lines, *_added(known, asked)]) + "\n"


def _below(folder: Path, script: Path) -> str:
    """The script as the command names it: from the folder where it is below it."""
    whole, home = script.absolute(), folder.absolute()
    return whole.relative_to(home).as_posix() if whole.is_relative_to(home) else whole.as_posix()


def _kind(found: Survey) -> str:
    facts = found.facts
    for kind, libraries, calls in KINDS:
        if not facts.libraries & libraries:
            continue
        if not calls or facts.names & calls:
            return kind
        if kind in SCRATCH:
            return SCRATCH[kind]
    if found.described.family == "vision":
        return "vision"
    if found.data and found.data.kind == "images" and (not found.script or "torch" in facts.libraries):
        return "vision"
    return "tabular" if not found.script and found.data and found.data.kind == "table" else "script"


def _known(found: Survey, asked: set[str], named: str) -> Iterator[tuple[str, Entry]]:
    """Settings by dotted name, as YAML text, each with where it was found."""
    if name := _legal(named or found.folder.resolve().name):
        yield "name", Entry(name, "")
    if found.setup:
        yield "setup", Entry(_scalar(found.setup), "done on rented machines; here only with --setup")
    if found.outputs:
        yield "outputs", Entry(f"[{', '.join(map(_scalar, found.outputs))}]", "what it seems to leave: is this all?")
    if not found.data and "dataset.path" in asked and (folder := found.data_folder):
        yield "dataset.path", Entry(_scalar(folder), "this folder is here: does the script read it?", guess=True)
    if found.data and "dataset.path" in asked:
        guess = bool(found.script) and not found.data.named
        yield from ((setting, replace(entry, guess=guess)) for setting, entry in _data(found.data, guess=guess))
    for setting, value in found.described.settings.items():
        spelled = "dataset.rows" if setting == "dataset.samples" and "dataset.rows" in asked else setting
        yield spelled, Entry(_yaml(value.value), value.origin, value.flag)


def _data(data: Data, *, guess: bool) -> Iterator[tuple[str, Entry]]:
    """What stands in the folder and looks like the data, where the script reads none."""
    counted = "counted" if data.kind == "images" else "counted in the file"
    asked = ": does the script read it?" if guess else ""
    yield "dataset.path", Entry(_scalar(data.path), f"found here, {show_bytes(data.size)}{asked}")
    yield "dataset.size", Entry(show_bytes(data.size).replace(" ", "").replace("kB", "KB"), "found here")
    if data.samples:
        yield "dataset.rows" if data.kind == "table" else "dataset.samples", Entry(f"{data.samples}", counted)
    if data.columns and data.kind == "table":
        yield "dataset.columns", Entry(f"{data.columns}", f"{counted}, the target among them")


def _sectioned(known: dict[str, Entry]) -> dict[str, Entry]:
    """The settings of a search in one line: a template's sections are one level deep."""
    inner = {key.rpartition(".")[2]: entry for key, entry in known.items() if key.startswith("model.search.")}
    if not inner:
        return {}
    text = ", ".join(f"{key}: {entry.text}" for key, entry in inner.items())
    return {"model.search": Entry(f"{{{text}}}", next(iter(inner.values())).note)}


def _more(known: dict[str, Entry], asked: set[str]) -> dict[str, Entry]:
    """What was found and has no line in the template."""
    return {key: entry for key, entry in known.items() if key not in asked and key.count(".") == 1}


def _added(known: dict[str, Entry], asked: set[str]) -> Iterator[str]:
    """Sections that the template has not, with what was found of them."""
    there = {setting.partition(".")[0] for setting in asked}
    heading = ""
    for setting, entry in sorted((key, entry) for key, entry in _more(known, asked).items() if not entry.guess):
        section, _, key = setting.partition(".")
        if section in there:
            continue
        if section != heading:
            yield f"{section}:"
            heading = section
        yield _noted(f"  {key}: {entry.text}", entry.note)


def _asked(template: str) -> set[str]:
    """The settings that a template has a line for."""
    asked, heading = set(), ""
    for parts in filter(None, map(_LINE.fullmatch, template.splitlines())):
        heading = heading if parts["indent"] else parts["key"]
        asked.add(f"{heading}.{parts['key']}" if parts["indent"] else heading)
    return asked


def _command(found: Survey, known: dict[str, Entry]) -> Entry:
    if not found.script:
        return Entry("python train.py", "CHANGE THIS: no script was found here")
    program = "bash" if found.script.endswith(".sh") else "python"
    bound = [f"{value.flag} ${{{setting}}}" for setting, value in known.items() if value.flag]
    return Entry(_scalar(" ".join([program, shlex.quote(found.script), *bound])), "")


def _blocks(template: str) -> Iterator[list[str]]:
    """Top-level entries with the lines indented below them."""
    block: list[str] = []
    for line in template.splitlines():
        if not line.startswith(" ") and block:
            yield block
            block = []
        block.append(line)
    yield block


def _filled(block: list[str], known: dict[str, Entry], asked: set[str]) -> list[str]:
    """A block with its values; one of which nothing is known becomes a comment, its heading too."""
    head = _LINE.fullmatch(block[0])
    if not head:
        return block
    if len(block) == 1:
        return [_line(block[0], head["key"], known)]
    lines = [_line(line, f"{head['key']}.{(_LINE.fullmatch(line) or head)['key']}", known) for line in block[1:]]
    more = {key: e for key, e in _more(known, asked).items() if key.startswith(f"{head['key']}.") and not e.guess}
    end = next((index for index, line in enumerate(lines) if not line.strip()), len(lines))
    lines[end:end] = [_noted(f"  {key.partition('.')[2]}: {entry.text}", entry.note) for key, entry in more.items()]
    heading = block[0] if any(line.strip() and not line.startswith("#") for line in lines) else f"# {block[0]}"
    return [heading, *lines]


def _line(line: str, setting: str, known: dict[str, Entry]) -> str:
    parts = _LINE.fullmatch(line)
    if not parts:
        return line
    entry = known.get(setting)
    if entry is None:
        return line if setting in KEPT else f"# {line}"
    told = _noted(f"{parts['indent']}{parts['key']}: {entry.text}", entry.note or parts["note"] or "")
    return f"# {told}" if entry.guess else told


def _noted(text: str, note: str) -> str:
    return f"{text:<{_COLUMN}} # {note}" if note else text


def _yaml(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _scalar(value) if isinstance(value, str) else f"{value}"


def _scalar(text: str) -> str:
    """The text as YAML: plain where that is safe, else in double quotes."""
    if text.isascii() and (
        text.isdigit() or (_PLAIN.fullmatch(text) and text.lower() not in _WORDS and not text.endswith(" "))
    ):
        return text
    return text if text in ("true", "false") else json.dumps(text)


def _legal(text: str) -> str:
    """The text as a job's name: lower-case letters, digits and hyphens, at most 39."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:39].rstrip("-")
