"""A second opinion on whether a job file is valid: another reading of the YAML, and the JSON Schema."""

from __future__ import annotations

import jsonschema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dispatcher.jobfile.schema import schema

_VALIDATOR = jsonschema.Draft7Validator(schema())
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class Refused(Exception):
    """The oracle's reason."""


def objection(text: str) -> str:
    """Why a file that was accepted is invalid after all; "" where nothing speaks against it."""
    try:
        return _judged(_read(text))
    except (Refused, YAMLError, ValueError) as why:
        return f"{type(why).__name__}: {why}"


def _judged(data: object) -> str:
    wrong = next(iter(_VALIDATOR.iter_errors(data)), None)
    if wrong:
        return f"schema: {wrong.json_path}: {wrong.message[:80]}"
    training, model = data.get("training") or {}, data.get("model") or {}  # type: ignore[attr-defined]
    if len({"epochs", "steps", "tokens"} & set(training)) > 1:
        return "two lengths"
    if isinstance(model, dict) and model.get("heads") and model.get("hidden", 0) % model["heads"]:
        return "heads"
    if {"at", "cron"} <= set(data.get("schedule") or {}):  # type: ignore[attr-defined]
        return "two times"
    return ""


def _read(text: str) -> object:
    if len(text.encode("utf-8", "surrogatepass")) > 256 * 1024:
        raise Refused("too large")
    if "\0" in text:
        raise Refused("NUL")
    yaml = YAML(typ="safe", pure=True)
    documents = list(yaml.compose_all(text.removeprefix("\ufeff")))
    if len(documents) != 1:
        raise Refused(f"{len(documents)} documents")
    return _value(documents[0], 0, set())


def _value(node: Node, depth: int, seen: set[int]) -> object:
    if node.anchor or id(node) in seen:
        raise Refused("anchor")
    seen.add(id(node))
    if isinstance(node, (MappingNode, SequenceNode)) and depth >= 32:
        raise Refused("nesting")
    if isinstance(node, ScalarNode):
        return _scalar(node)
    if isinstance(node, SequenceNode):
        return [_value(one, depth + 1, seen) for one in node.value]
    found: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode) or key.value in found:
            raise Refused("key")
        found[key.value] = _value(value, depth + 1, seen)
    return found


def _scalar(node: ScalarNode) -> object:
    """A number is what float() takes and looks like one; 0-led and other oddities are text."""
    text = node.value
    if node.style is not None:
        return text
    if text.lower() in _WORDS and text in (text.lower(), text.title(), text.upper()):
        return _WORDS[text.lower()]
    if text.lower().lstrip("+-") in (".nan", ".inf"):
        raise Refused("not a number")
    digits = text.lstrip("+-").lower()
    leading = digits[:1] == "0" and digits[1:2].isdigit()
    oddly = leading or not text.isascii() or text[-1] == "_" or digits in ("nan", "inf", "infinity")
    if oddly or len(text) - len(digits) > 1:
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    if number in (float("inf"), float("-inf")):
        raise Refused("overflow")
    return int(text) if digits.replace("_", "").isdigit() else number
