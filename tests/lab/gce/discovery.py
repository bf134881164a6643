"""Google's own description of its interfaces: routes, and checks of what is said."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Route:
    """A method that a request is for, and the values that its path carries."""

    name: str
    method: Mapping[str, Any]
    values: Mapping[str, str]


class Interface:
    """One of Google's interfaces, as google-api-python-client carries its description."""

    def __init__(self, document: str) -> None:
        file = importlib.resources.files("googleapiclient") / f"discovery_cache/documents/{document}.json"
        self._document = json.loads(file.read_text(encoding="utf-8"))
        self._common = frozenset(self._document["parameters"])
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], str, dict[str, Any]]]] = {}
        for name, method in _methods(self._document, ""):
            path = "/" + self._document["servicePath"] + (method.get("flatPath") or method["path"])
            found = self._routes.setdefault((method["httpMethod"], path.count("/")), [])
            found.append((_pattern(path), name, method))

    def route(self, verb: str, path: str) -> Route | None:
        for pattern, name, method in self._routes.get((verb, path.count("/")), ()):
            if found := pattern.fullmatch(path):
                return Route(name, method, found.groupdict())
        return None

    def wrong_query(self, route: Route, query: Mapping[str, str]) -> list[str]:
        known = route.method.get("parameters", {})
        return [f"unknown parameter {key}" for key in query if key not in known and key not in self._common]

    def wrong_request(self, route: Route, body: Any) -> list[str]:
        if "request" in route.method:
            return self.wrong(route.method["request"], body, route.name)
        return [f"{route.name}: no body is expected"] if body else []

    def wrong_response(self, route: Route, body: Any) -> list[str]:
        schema = route.method.get("response")
        return self.wrong(schema, body, route.name) if schema else []

    def wrong(self, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
        """What of a value the schema does not allow, each with its place."""
        if "$ref" in schema:
            schema = self._document["schemas"][schema["$ref"]]
        kind = schema.get("type")
        if kind == "object":
            return self._wrong_object(schema, value, at)
        if kind == "array":
            if not isinstance(value, list):
                return [f"{at}: a list is expected"]
            return [fault for n, one in enumerate(value) for fault in self.wrong(schema["items"], one, f"{at}[{n}]")]
        return _wrong_plain(schema, value, at)

    def _wrong_object(self, schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
        if not isinstance(value, dict):
            return [f"{at}: an object is expected"]
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        found: list[str] = []
        for key, one in value.items():
            if (inner := known.get(key, others)) is None:
                found.append(f"{at}.{key}: unknown field")
            else:
                found += self.wrong(inner, one, f"{at}.{key}")
        return found


def _wrong_plain(schema: Mapping[str, Any], value: Any, at: str) -> list[str]:
    kind = schema.get("type")
    if kind == "string" and schema.get("format") in ("int64", "uint64"):
        good = isinstance(value, str) and _WHOLE.fullmatch(value)
    elif kind == "string":
        good = isinstance(value, str) and value in schema.get("enum", (value,))
    elif kind == "boolean":
        good = isinstance(value, bool)
    elif kind == "integer":
        good = isinstance(value, int) and not isinstance(value, bool)
    elif kind == "number":
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        good = True
    return [] if good else [f"{at}: {value!r} is no {schema.get('format') or kind} of those allowed"]


def _methods(resource: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, inner in resource.get("resources", {}).items():
        for verb, method in inner.get("methods", {}).items():
            yield f"{prefix}{name}.{verb}", method
        yield from _methods(inner, f"{prefix}{name}.")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\\?\+?(\w+)\\\}", r"(?P<\1>[^/:]+)", re.escape(path)))
