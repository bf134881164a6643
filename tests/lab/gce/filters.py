"""The part of Google's filter language that lists are asked with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.lab.gce.refusals import invalid

_TERM = re.compile(r'\(?\s*([\w.-]+?)\s*(=|!=|:|eq|ne)\s*("[^"]*"|[^\s()]+)\s*\)?')


def chosen(items: list[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Those that meet every term of `filter`. A term that is not understood is refused, never ignored."""
    text = query.get("filter", "").strip()
    terms = [_parsed(one) for one in re.split(r"\s+AND\s+|(?<=\))\s*(?=\()", text)] if text else []
    return [item for item in items if all(_meets(item, *term) for term in terms)]


def _parsed(text: str) -> tuple[str, str, str]:
    if not (found := _TERM.fullmatch(text.strip())):
        raise invalid("filter", text, "Invalid list filter expression.")
    field, operator, value = found.groups()
    return field, operator, value.strip('"')


def _meets(item: Mapping[str, Any], field: str, operator: str, value: str) -> bool:
    said: Any = item
    for step in field.split(".", 1) if field.startswith("labels.") else field.split("."):
        said = said.get(step) if isinstance(said, Mapping) else None
    if operator == ":":
        return said is not None and (value == "*" or re.fullmatch(re.escape(value).replace(r"\*", ".*"), str(said)) is not None)
    equal = said is not None and (
        re.fullmatch(value, str(said)) is not None if operator in ("eq", "ne") else str(said) == value
    )
    return equal if operator in ("=", "eq") else not equal
