"""The settings there are, by section and name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dispatcher.domain.values import Form, Strict
from dispatcher.jobfile.forms import form_of, section_of


@dataclass(frozen=True)
class Key:
    """One setting: its name, its other spelling, its field in the section's class."""

    name: str
    other: str
    field: str
    info: FieldInfo

    @cached_property
    def form(self) -> Form:
        """How its value is written."""
        return form_of(self.info.annotation, tuple(self.info.metadata))

    @cached_property
    def section(self) -> tuple[type[Strict] | None, str]:
        """The section it opens and the key that a plain text there means."""
        found, short = section_of(self.info.annotation)
        marks = [mark.key for mark in self.info.metadata if hasattr(mark, "key")]
        return found, short or (marks[0] if marks else "")

    @cached_property
    def entries(self) -> type[Strict] | None:
        """The section that each entry of an open mapping is."""
        inner = get_args(self.info.annotation) if get_origin(self.info.annotation) is dict else ()
        return section_of(inner[1])[0] if inner else None

    @property
    def description(self) -> str:
        """What it is, in a few words."""
        return self.info.description or ""

    @property
    def required(self) -> bool:
        """Whether the section needs it."""
        return self.info.is_required()

    @property
    def default(self) -> Any:
        """What holds where it is not said; None where nothing does."""
        if self.info.default is not PydanticUndefined:
            return self.info.default
        return None


@cache
def keys_of(section: type[Strict]) -> dict[str, Key]:
    """A section's keys by name, in the order of its class."""
    return {key.name: key for key in (_key(name, info) for name, info in section.model_fields.items())}


@cache
def spellings(section: type[Strict]) -> dict[str, Key]:
    """A section's keys by every name they have."""
    found = dict(keys_of(section))
    return found | {key.other: key for key in found.values() if key.other}


def find(root: type[Strict], dotted: str) -> Key | None:
    """The key that training.batch_size names, or dataset.rows; None where there is none."""
    found = resolve(root, tuple(dotted.split(".")))
    return found[-1] if found else None


def resolve(root: type[Strict], names: tuple[str, ...]) -> list[Key]:
    """The keys along a path; empty where a part of it is unknown. Names in an open mapping end the path."""
    section: type[Strict] | None = root
    found: list[Key] = []
    for depth, name in enumerate(names):
        if section is None:
            open_mapping = found[-1].form.schema.get("type") == "object"
            if found[-1].entries and depth + 1 < len(names):
                return [*found, *resolve(found[-1].entries, names[depth + 1 :])]
            return found if open_mapping and depth + 1 == len(names) else []
        key = spellings(section).get(name)
        if key is None:
            return []
        found.append(key)
        section = key.section[0]
    return found


def every(root: type[Strict], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Key]]:
    """Each setting that is no section, with its path."""
    for key in keys_of(root).values():
        section = key.section[0]
        if section:
            yield from every(section, (*above, key.name))
        else:
            yield (*above, key.name), key


def similar(name: str, known: Iterator[str] | list[str]) -> str:
    """The known name that was probably meant, or ""."""
    names = list(known)
    folded = name.lower().replace("-", "_")
    if folded in names:
        return folded
    import difflib

    return next(iter(difflib.get_close_matches(folded[:80], names, 1, 0.6)), "")


def _key(field: str, info: FieldInfo) -> Key:
    """A trailing _ only keeps a Python keyword apart: there the alias is the one name."""
    alias = info.alias or ""
    return Key(alias, "", field, info) if field.endswith("_") else Key(field, alias, field, info)
