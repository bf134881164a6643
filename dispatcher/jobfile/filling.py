"""What a job file leaves open, filled from other files.

Their readers are loaded where they are used: most plans need none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from dispatcher.domain.job import Import, JobConfig
from dispatcher.domain.values import short
from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.keys import every, resolve, similar
from dispatcher.jobfile.value import Value
from dispatcher.jobfile.words import words

REMOTE = ("s3://", "gs://", "hf://", "http://", "https://", "ftp://")
LENGTHS = ("training.steps", "training.epochs", "training.tokens")
ADAPTERS = ("training.lora_rank", "training.lora_targets", "training.train_embeddings")
TREES = ("model.trees", "model.depth", "model.leaves", "model.bins", "model.threads", "model.search")
GROWN = ("model.trees", "model.depth", "model.threads")
"""Where these are said, the script is not read for more of its trees."""
SIZES = ("model.sequence_length", "model.image_size")
WANTED = ("training.batch_size", "training.precision")
COMMAND = (
    "import.command would run your code: nothing was read from it. Write its output to a file, and name that in import.file."
)
NAMED = 8
"""Names of an imported file that are told as not read."""
STARTERS = frozenset({"python", "python3", "torchrun", "accelerate", "deepspeed", "uv", "poetry", "pdm", "time", "nice"})

Stated = Callable[[str], Any]
"""A setting's value so far; None where nobody has said it."""


@dataclass(frozen=True, slots=True)
class Filling:
    """Values with their origins, what is wrong, what a reader should know, and overrides that settings have in `run`."""

    values: dict[str, Value] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    overrides: dict[str, str] = field(default_factory=dict)


def from_import(section: dict[str, Any], folder: Path) -> Filling:
    """What an `import:` section's file says; what it asks and cannot have is a problem."""
    if "from" not in section or set(section) - {"from", "file", "command", "map"}:
        return Filling()
    from dispatcher.jobfile.importers import read_import

    try:
        source = Import.model_validate(section)
        if bool(source.file) == bool(source.command) or (source.map and source.from_ not in ("yaml", "json", "toml")):
            return Filling()
        if source.command:
            return Filling(notes=(COMMAND,))
        found = read_import(source, folder)
    except ValidationError:
        return Filling()
    except JobFileError as why:
        return Filling(problems=tuple(why.problems))
    file = source.file or ""
    values = {_own(key): Value(value, f"import {file}: {found.origins[key]}") for key, value in found.values.items()}
    asked = (one.partition(": ") for one in found.refused)
    refused = [Problem(f"{file} asks for {key}.", why, path="import") for key, _, why in asked]
    refused += _mapped(source, found.values)
    known = {key: value for key, value in values.items() if key}
    notes = (_read(file, known, found.unread), *(f"{file}: {note}" for note in found.notes))
    return Filling(
        known, tuple(refused), notes, overrides={_own(ours): theirs for ours, theirs in source.map.items() if _own(ours)}
    )


def _read(file: str, known: Mapping[str, Value], unread: tuple[str, ...]) -> str:
    """What an import read, and which of the file's names it passed over."""
    values = ", ".join(f"{key} {short(value.value)}" for key, value in known.items()) or "nothing"
    more = f", and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    return f"Read from {file}: {values}." + (f" Not read: {', '.join(unread[:NAMED])}{more}." if unread else "")


def _mapped(source: Import, found: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with `map`: a setting that we have not, a name that the file has not."""
    for ours, theirs in source.map.items():
        if not _own(ours):
            near = similar(ours, [".".join(path) for path, _ in every(JobConfig)])
            yield Problem(f"{short(ours)} is no setting.", f"Did you mean {near!r}?" if near else "", path="import.map")
        elif ours not in found:
            yield Problem(f"{source.file} has no {short(theirs)}.", "Name it as that file does: section.key", path="import.map")


def _own(name: str) -> str:
    """A setting's own dotted name: dataset.rows is dataset.samples; "" where there is none."""
    return ".".join(key.name for key in resolve(JobConfig, tuple(name.split("."))))


def from_config(stated: Stated, folder: Path) -> Filling:
    """The dimensions in the config.json that `model.config` names."""
    name = stated("model.config")
    if not isinstance(name, str) or stated("model.name"):
        return Filling()
    from dispatcher.jobfile.architecture import read_architecture

    found = read_architecture(folder / name)
    values = {f"model.{key}": Value(value, f"{name}: {found.origins[key]}") for key, value in found.values.items()}
    problems = tuple(Problem(one.message, one.fix, path="model.config") for one in found.problems)
    return Filling(values, problems, found.notes)


def from_script(command: str, stated: Stated, folder: Path) -> Filling:
    """What the script in `run` says of its training, as far as the plan needs it and the command does not say it."""
    model = stated("model")
    script = script_in(command) if isinstance(model, dict) and model else None
    tabular = isinstance(model, dict) and bool({"library", "algorithm"} & set(model) or model.get("family") == "tabular")
    if script is None or (not tabular and not _open(stated)) or (tabular and all(stated(key) for key in GROWN)):
        return Filling()
    from dispatcher.jobfile.described import described
    from dispatcher.jobfile.source import read_script

    facts = read_script(folder / script)
    told = described(facts, folder, wanted=tuple(str(model[key]) for key in ("algorithm", "library") if key in model))
    said = {word.text.partition("=")[0] for word in words(command)}
    wanted = {
        key: value
        for key, value in told.settings.items()
        if not (value.flag and value.flag in said) and _belongs(key, tabular=tabular, family=told.family)
    }
    return Filling(dict(_adapters(wanted, stated)))


def from_data(stated: Stated, folder: Path) -> Filling:
    """Bytes, rows and columns of the file or folder that `dataset.path` names."""
    name = stated("dataset.path")
    if not isinstance(name, str) or name.startswith(REMOTE) or "\0" in name:
        return Filling()
    tabular = any(stated(key) for key in ("model.library", "model.algorithm")) or stated("model.family") == "tabular"
    asked = ("dataset.size", "dataset.samples", *(("dataset.columns",) if tabular else ()))
    if all(stated(key) is not None for key in asked):
        return Filling()
    from dispatcher.jobfile.datafile import describe, filled

    found = describe(folder / Path(name).expanduser())
    values = {key: value for key, value in filled(found, name) if key in asked}
    notes = (
        (f"{short(name)} {found.trouble}: nothing is known of the data but what the job file says.",) if found.trouble else ()
    )
    return Filling(values, notes=notes)


def fitting(values: Mapping[str, Value], stated: Stated) -> Iterator[tuple[str, Value]]:
    """Those of the values that nobody has said yet, and that contradict nothing said."""
    said = [key for key in LENGTHS if stated(key) is not None] or [key for key in LENGTHS if key in values]
    described_otherwise = any(stated(key) for key in ("model.name", "model.config", "model.layers", "model.algorithm"))
    for key, value in values.items():
        inner = stated(key)
        if inner is not None and not (isinstance(inner, dict) and isinstance(value.value, dict)):
            continue
        if key in LENGTHS and key != said[0]:
            continue
        if key in ("model.name", "model.family") and described_otherwise and not stated("model.config"):
            continue
        if isinstance(inner, dict):
            value = Value({**value.value, **inner}, value.origin)
        yield key, value


def script_in(command: str) -> str | None:
    """The Python script that a command starts; None where it starts none, or something else first."""
    found = words(command)
    if not found or PurePosixPath(found[0].text).name.rstrip("0123456789.") not in STARTERS | {"python"}:
        return None
    script = next((word for word in found if word.text.endswith(".py")), None)
    return script.text if script and script.fixed else None


def _open(stated: Stated) -> bool:
    """Whether something that the plan of a network needs is not said."""
    return any(stated(key) is None for key in WANTED) or all(stated(key) is None for key in LENGTHS)


def _belongs(setting: str, *, tabular: bool, family: str) -> bool:
    if tabular:
        return family == "tabular" and setting.startswith(TREES)
    return family != "tabular" and (setting.startswith("training.") or setting in SIZES)


def _adapters(found: dict[str, Value], stated: Stated) -> Iterator[tuple[str, Value]]:
    """Adapters' settings only where there are adapters."""
    method = stated("training.method") or (found["training.method"].value if "training.method" in found else "full")
    for key, value in found.items():
        if method in ("lora", "qlora") or key not in ADAPTERS:
            yield key, value
