"""Filters, ids and pages: what all Describe calls share."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tests.lab.ec2.errors import AwsError

Field = str | Callable[[Mapping[str, Any]], Any]


def matching(rows: Sequence[dict[str, Any]], filters: Sequence[Mapping[str, Any]], fields: Mapping[str, Field]) -> list[Any]:
    """Rows that every filter lets pass. `fields` says where a filter's name lies in a row: a path, or a function."""
    for one in filters:
        name, values = one.get("Name", ""), one.get("Values", [])
        if not (name in fields or name == "tag-key" or name.startswith("tag:")):
            raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
        rows = [row for row in rows if any(_meets(found, values) for found in _values(row, name, fields))]
    return list(rows)


def _values(row: Mapping[str, Any], name: str, fields: Mapping[str, Field]) -> list[Any]:
    tags = {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}
    if name == "tag-key":
        return list(tags)
    if name.startswith("tag:"):
        return [tags[name[4:]]] if name[4:] in tags else []
    where = fields[name]
    found = where(row) if callable(where) else _at(row, where)
    return found if isinstance(found, list) else [found]


def _at(row: Any, path: str) -> Any:
    for step in path.split("."):
        row = [_step(one, step) for one in row] if isinstance(row, list) else _step(row, step)
    return row


def _step(row: Any, step: str) -> Any:
    return row.get(step) if isinstance(row, Mapping) else None


def _meets(found: Any, values: Sequence[str]) -> bool:
    text = str(found).lower() if isinstance(found, bool) else str(found)
    return found is not None and any(fnmatchcase(text, value.replace("[", "[[]")) for value in values)


def page(rows: Sequence[Any], parameters: Mapping[str, Any], most: int = 1000) -> tuple[list[Any], dict[str, str]]:
    """The rows of this page, and the reply's members that lead to the next one."""
    first = _first(parameters.get("NextToken"))
    size = min(int(parameters.get("MaxResults") or most), most)
    rest = {"NextToken": base64.b64encode(f"lab:{first + size}".encode()).decode()} if first + size < len(rows) else {}
    return list(rows[first : first + size]), rest


def _first(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token).decode().removeprefix("lab:"))
    except ValueError:
        raise AwsError("InvalidNextToken", "The token is not valid.") from None
