"""A first job file for a folder: the fitting template, filled in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dispatcher.errors import UsageError
from dispatcher.jobfile.source import Value
from dispatcher.jobfile.survey import Survey, survey
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
class Starter:
    """Which template fits a folder, and what fills it."""

    kind: str
    survey: Survey

    @property
    def template(self) -> Path:
        """The template's file."""
        return templates_dir() / "jobs" / f"{self.kind}.yaml"


def choose(folder: Path, *, script: Path | None = None) -> Starter:
    """The starter for what stands in a folder, or for a script in it."""
    found = survey(folder, _below(folder, script) if script else None)
    return Starter(_kind(found), found)


def from_template(kind: str, folder: Path) -> Starter:
    """The starter of the kind asked for, filled with what stands in the folder."""
    if kind not in templates():
        raise UsageError(f"There is no template {kind!r}.", fix=f"choose one of: {', '.join(templates())}")
    return Starter(kind, survey(folder))


def templates() -> tuple[str, ...]:
    """The kinds there are."""
    return tuple(sorted(file.stem for file in (templates_dir() / "jobs").glob("*.yaml")))


def render(starter: Starter) -> str:
    """The job file: what was found is filled in, what was not is asked for in a comment."""
    template = starter.template.read_text(encoding="utf-8")
    asked = _asked(template)
    known = {setting: value for setting, value in _known(starter.survey) if setting in asked}
    if {"training.epochs", "training.steps"} <= known.keys():
        only_steps = known["training.steps"].flag and not known["training.epochs"].flag
        del known["training.epochs" if only_steps else "training.steps"]
    known["run"] = _command(starter.survey, known)
    lines = [line for block in _blocks(template) for line in _filled(block, known)]
    return "\n".join(lines) + "\n"


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
    if "model.image_size" in facts.settings:
        return "vision"
    if found.data and found.data.kind == "images" and (not found.script or "torch" in facts.libraries):
        return "vision"
    return "tabular" if not found.script and found.data and found.data.kind == "table" else "script"


def _known(found: Survey) -> Iterator[tuple[str, Value]]:
    """Settings by dotted name, as YAML text, each with where it was found."""
    if name := _legal(found.folder.resolve().name):
        yield "name", Value(name, "")
    if found.setup:
        yield "setup", Value(_scalar(found.setup), "done on rented machines; here only with --setup")
    if found.outputs:
        yield "outputs", Value(f"[{', '.join(map(_scalar, found.outputs))}]", "what it seems to leave: is this all?")
    if found.data:
        counted = "counted" if found.data.kind == "images" else "counted in the file"
        yield "dataset.path", Value(_scalar(found.data.path), f"found here, {show_bytes(found.data.size)}")
        yield "dataset.size", Value(show_bytes(found.data.size).replace(" ", "").replace("kB", "KB"), "found here")
        if found.data.samples:
            for key in ("dataset.samples", "dataset.rows"):
                yield key, Value(f"{found.data.samples}", counted)
        if found.data.columns:
            yield "dataset.columns", Value(f"{found.data.columns}", counted)
    for setting, value in found.facts.settings.items():
        yield setting, Value(_scalar(value.text), value.origin, value.flag)


def _asked(template: str) -> set[str]:
    """The settings that a template has a line for."""
    asked, heading = set(), ""
    for parts in filter(None, map(_LINE.fullmatch, template.splitlines())):
        heading = heading if parts["indent"] else parts["key"]
        asked.add(f"{heading}.{parts['key']}" if parts["indent"] else heading)
    return asked


def _command(found: Survey, known: dict[str, Value]) -> Value:
    if not found.script:
        return Value("python train.py", "CHANGE THIS: no script was found here")
    program = "bash" if found.script.endswith(".sh") else "python"
    bound = [f"{value.flag} ${{{setting}}}" for setting, value in known.items() if value.flag]
    return Value(_scalar(" ".join([program, shlex.quote(found.script), *bound])), "")


def _blocks(template: str) -> Iterator[list[str]]:
    """Top-level entries with the lines indented below them."""
    block: list[str] = []
    for line in template.splitlines():
        if not line.startswith(" ") and block:
            yield block
            block = []
        block.append(line)
    yield block


def _filled(block: list[str], known: dict[str, Value]) -> list[str]:
    """A block with its values; one of which nothing is known becomes a comment, its heading too."""
    head = _LINE.fullmatch(block[0])
    if not head:
        return block
    if len(block) == 1:
        return [_line(block[0], head["key"], known)]
    lines = [_line(line, f"{head['key']}.{(_LINE.fullmatch(line) or head)['key']}", known) for line in block[1:]]
    heading = block[0] if any(not line.startswith("#") for line in lines) else f"# {block[0]}"
    return [heading, *lines]


def _line(line: str, setting: str, known: dict[str, Value]) -> str:
    parts = _LINE.fullmatch(line)
    if not parts:
        return line
    value = known.get(setting)
    if value is None:
        return line if setting in KEPT else f"# {line}"
    text = f"{parts['indent']}{parts['key']}: {value.text}"
    note = value.origin or parts["note"] or ""
    return f"{text:<{_COLUMN}} # {note}" if note else text


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
