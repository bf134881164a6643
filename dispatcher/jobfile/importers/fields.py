"""A format as a table: their name, ours, and the change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Found = dict[str, Any]
"""Our dotted settings with values as a job file would have them."""


UNSAID = ("auto", "none", "null", "")
"""Words for a number that the tool finds by itself."""
YES, NO = ("true", "auto", "yes", "on", "1"), ("false", "no", "off", "0", "none", "null", "")
"""Words for true and false that these tools read, as YAML 1.1 or by themselves."""


@dataclass(frozen=True, slots=True)
class Field:
    """`theirs` (dotted) becomes `ours`; `convert` returns None for "says nothing", or several settings without `ours`."""

    theirs: str
    ours: str = ""
    convert: Callable[[Any], Any] = lambda value: value


def translate(data: Mapping[str, Any], fields: Iterable[Field]) -> tuple[Found, dict[str, str]]:
    """Our settings, and for each the name it had in the file. The first field that says something wins."""
    found: Found = {}
    origins: dict[str, str] = {}
    for field in fields:
        value = get(data, field.theirs)
        if value is None:
            continue
        converted = field.convert(value)
        several = {field.ours: converted} if field.ours else (converted or {})
        for name, one in several.items():
            if one is not None and name not in found:
                found[name], origins[name] = one, field.theirs
    return found, origins


def get(data: Any, dotted: str) -> Any:
    """The value at a.b.c, lists by index; None where there is none."""
    for part in dotted.split("."):
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        else:
            return None
    return data


def number(value: Any) -> Any:
    """A number, also one in quotes; nothing where the tool finds it ("auto"). What is none is passed on, and told as wrong."""
    if not isinstance(value, str):
        return value
    try:
        return None if value.strip().lower() in UNSAID else float(value) if set(value) & set(".eE") else int(value)
    except ValueError:
        return value


def positive(value: Any) -> Any:
    """A number above zero where the tool writes -1 or 0 for "not set"."""
    found = number(value)
    return None if isinstance(found, (int, float)) and not isinstance(found, bool) and found <= 0 else found


def yes(setting: Any) -> Callable[[Any], Any]:
    """`setting` where the value is true or "auto", nothing where it is false; anything else is passed on, and told as wrong."""

    def read(value: Any) -> Any:
        word = str(value).lower()
        return setting if word in YES else None if word in NO else value

    return read


def text(value: Any) -> str | None:
    """A non-empty text."""
    return value if isinstance(value, str) and value else None


def model_name(value: Any) -> Any:
    """The model's name without its owner, in lower case, as the catalog spells it: meta-llama/Llama-3.1-8B → llama-3.1-8b."""
    name = text(value)
    return name.rstrip("/").rsplit("/", 1)[-1].lower().replace("_", "-") if name else None


OPTIMIZERS = {
    "adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_hf": "adamw", "adamw_apex_fused": "adamw", "adamw": "adamw",
    "adamw_bnb_8bit": "adamw-8bit", "adamw_8bit": "adamw-8bit", "paged_adamw_8bit": "paged-adamw-8bit",
    "paged_adamw_32bit": "paged-adamw", "paged_adamw": "paged-adamw", "adafactor": "adafactor", "sgd": "sgd",
    "lion_32bit": "lion", "lion_pytorch": "lion", "lion_8bit": "lion-8bit", "paged_lion_8bit": "lion-8bit",
    "rmsprop": "rmsprop", "adagrad": "adagrad", "lamb": "lamb", "muon": "muon",
}  # fmt: skip
"""Hugging Face's names of optimizers (transformers' OptimizerNames) and ours."""


def optimizer(value: Any) -> str | None:
    """Our name of an optimizer; None for one we do not know."""
    return OPTIMIZERS.get(str(value).lower())


def sharding(value: Any) -> str | None:
    """ZeRO's stage from a DeepSpeed configuration, or from the name of its file."""
    stage = get(value, "zero_optimization.stage") if isinstance(value, Mapping) else None
    if stage is None:
        name = str(value).lower()
        stage = next(
            (number for number in (1, 2, 3) for word in (f"zero{number}", f"z{number}", f"stage{number}") if word in name), None
        )
    return f"zero{stage}" if stage in (1, 2, 3) else None


def targets(value: Any) -> Any:
    """LoRA targets: a list, a comma-separated text, or "all"."""
    if isinstance(value, str):
        names = [name.strip() for name in value.split(",") if name.strip()]
        return "all-linear" if names in (["all"], ["all-linear"]) else names or None
    return value if isinstance(value, list) and value else None
