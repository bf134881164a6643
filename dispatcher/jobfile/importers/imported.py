"""Reading another tool's file: format, values, origins, refusals."""

from __future__ import annotations

import json
import stat
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.domain.job import Import
from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.importers.clusters import DSTACK, REFUSED, SKYPILOT
from dispatcher.jobfile.importers.fields import Field, Found, get, translate
from dispatcher.jobfile.importers.finetuning import AXOLOTL, LLAMA_FACTORY, SETTLED, TRAINER, cautions, contradicting, settle

FORMATS: dict[str, tuple[Field, ...]] = {
    "hf-trainer": TRAINER,
    "axolotl": AXOLOTL,
    "llama-factory": LLAMA_FACTORY,
    "skypilot": SKYPILOT,
    "dstack": DSTACK,
}
LARGEST = 1 << 20
"""Bytes; a configuration is not larger."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Our dotted settings, the name each had in the file, what cannot be done, which of its values were not read.

    `notes` is what a reader of the plan should know of values that change what the figures mean.
    """

    values: Found
    origins: dict[str, str]
    refused: tuple[str, ...] = ()
    unread: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = ()


def imported(form: str, data: Any, names: Mapping[str, str] | None = None) -> Imported:
    """What `data`, parsed already, says in our words. `names` maps our settings to their names, for yaml, json and toml."""
    if not isinstance(data, Mapping):
        raise ValueError("it holds no settings: a mapping was expected")
    fields = FORMATS.get(form) or tuple(Field(theirs, ours) for ours, theirs in (names or {}).items())
    values, origins = translate(data, fields)
    values = settle(form, values, data)
    refused = tuple(
        f"{key}: {why}" for key, why in REFUSED.items() if form in ("skypilot", "dstack") and _asked(get(data, key))
    )
    refused = (*refused, *contradicting(form, data))
    unread = tuple(_unread(data, {one.theirs for one in fields} | {*SETTLED}, {key.partition(":")[0] for key in refused}))
    return Imported(values, {k: origins.get(k, "its format") for k in values}, refused, unread, cautions(form, data))


def _unread(data: Any, known: Collection[str], refused: Collection[str], above: str = "") -> Iterator[str]:
    """Names of the file that no field reads; of a section that is read in part, what is left of it."""
    entries = data.items() if isinstance(data, Mapping) else enumerate(data)
    for key, value in entries:
        name = f"{above}{key}"
        if name in known or name in refused:
            continue
        if isinstance(value, (Mapping, list)) and any(one.startswith(f"{name}.") for one in known):
            yield from _unread(value, known, refused, f"{name}.")
        else:
            yield name


def read_import(source: Import, folder: Path) -> Imported:
    """Read the file that an `import:` names. Raises JobFileError that names the file and what is wrong with it."""
    assert source.file is not None  # whoever names a command is told so before
    path = folder / source.file
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise _wrong(source.file, "is not a file.", "Name the file itself in import.file.")
        if facts.st_size > LARGEST:
            raise _wrong(source.file, "is larger than 1 MiB.", "A configuration was expected.")
        return imported(source.from_, _parsed(path, old=source.from_ in FORMATS), source.map)
    except OSError as why:
        raise _wrong(source.file, f"cannot be read: {why.strerror}.", "Correct import.file.") from None
    except (ValueError, RecursionError) as why:
        raise _wrong(
            source.file, f"cannot be understood: {str(why).splitlines()[0]}.", f"Is it a file of {source.from_}?"
        ) from None


def _parsed(path: Path, *, old: bool) -> Any:
    """What the file holds; `old` where the tool that it is for reads YAML 1.1, in which yes is true."""
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(content)
    if path.suffix == ".toml":
        return tomllib.loads(content)
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe", pure=True)
    if old:
        reader.version = (1, 1)
    try:
        return reader.load(content)
    except YAMLError as why:
        raise ValueError(str(why)) from None


def _asked(value: Any) -> bool:
    return value not in (None, 1, "1", {}, [])


def _wrong(file: str, message: str, fix: str) -> JobFileError:
    return JobFileError(file, [Problem(f"{file} {message}", fix, path="import")])
