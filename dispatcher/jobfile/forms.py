"""How a setting may be written: in words, and as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo

from dispatcher.domain.values import Form, Shorthand, Strict

_BOUNDS: tuple[tuple[type, str, str], ...] = (
    (Gt, "gt", "exclusiveMinimum"),
    (Ge, "ge", "minimum"),
    (Le, "le", "maximum"),
    (MinLen, "min_length", "minLength"),
    (MaxLen, "max_length", "maxLength"),
)


SAID = 10**6
"""Upper bounds beyond this are only there to stop nonsense, and are not told."""


def form_of(annotation: Any, metadata: tuple[Any, ...] = ()) -> Form:
    """The form of a type with the marks in its annotation."""
    marks = tuple(_flat(metadata))
    for mark in reversed(marks):
        if isinstance(mark, Form):
            return mark
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return form_of(inner, (*more, *metadata))
    if origin in (Union, UnionType):
        return _either([form_of(part) for part in get_args(annotation) if part is not NoneType])
    if origin is Literal:
        return _one_of(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return _section(annotation, marks)
    return _plain(origin or annotation, get_args(annotation), marks)


def section_of(annotation: Any) -> tuple[type[Strict] | None, str]:
    """The section that a type stands for, and the key its shorthand means; None and "" where it is a plain value."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        if any(isinstance(mark, Form) for mark in marks):
            return None, ""
        section, _ = section_of(inner)
        return section, next((mark.key for mark in marks if isinstance(mark, Shorthand)), "")
    if get_origin(annotation) in (Union, UnionType):
        found = [section_of(part) for part in get_args(annotation) if part is not NoneType]
        return next((one for one in found if one[0]), (None, ""))
    return (annotation, "") if isinstance(annotation, type) and issubclass(annotation, Strict) else (None, "")


def _flat(metadata: tuple[Any, ...]) -> Iterator[Any]:
    for mark in metadata:
        if isinstance(mark, FieldInfo):
            yield from mark.metadata
        else:
            yield mark


def _either(forms: list[Form]) -> Form:
    if len(forms) == 1:
        return forms[0]
    listed = [part for form in forms for part in form.words.replace(" or ", ", ").split(", ")]
    schemas = [schema for form in forms for schema in form.schema.get("anyOf", [form.schema])]
    return Form(_or(listed), {"anyOf": schemas})


def _one_of(values: tuple[Any, ...]) -> Form:
    if len(values) == 1:
        return Form(str(values[0]), {"const": values[0]})
    return Form("one of " + ", ".join(map(str, values)), {"enum": list(values)})


def _section(section: type[Strict], marks: tuple[Any, ...]) -> Form:
    link: dict[str, Any] = {"$ref": f"#/definitions/{section.__name__}"}
    if any(isinstance(mark, Shorthand) for mark in marks):
        return Form("a name, or a section", {"anyOf": [{"type": "string", "minLength": 1}, link, {"type": "null"}]})
    return Form("a section", {"anyOf": [link, {"type": "null"}]})


def _plain(kind: Any, inner: tuple[Any, ...], marks: tuple[Any, ...]) -> Form:
    if kind is bool:
        return Form("true or false", {"type": "boolean"})
    if kind in (int, float):
        bounds = _bounds(marks)
        word = "a whole number" if kind is int else "a number"
        return Form(word + _range(bounds), {"type": "integer" if kind is int else "number", **bounds})
    if kind is tuple:
        one = form_of(inner[0])
        return Form(f"a list: [{_example(one)}]", {"anyOf": [one.schema, {"type": "array", "items": one.schema}]})
    if kind is dict:
        return Form("names with their values", {"type": "object", "additionalProperties": form_of(inner[1]).schema})
    return Form("text", {"type": "string", "minLength": 1, **_bounds(marks)})


def _bounds(marks: tuple[Any, ...]) -> dict[str, Any]:
    return {name: getattr(mark, field) for mark in marks for kind, field, name in _BOUNDS if isinstance(mark, kind)}


def _range(bounds: dict[str, Any]) -> str:
    low = f" above {bounds['exclusiveMinimum']}" if "exclusiveMinimum" in bounds else ""
    low = f" from {bounds['minimum']}" if "minimum" in bounds else low
    high = bounds.get("maximum")
    shown = f"{high:,}" if high and high <= SAID else ""
    return f"{low}{' to ' if low.startswith(' from') else ', at most '}{shown}" if shown else low


def _example(form: Form) -> str:
    return str(form.schema.get("const") or form.words)


def _or(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]
