"""Settings' value types: each knows how people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dispatcher.domain.plan import GpuRequest
from dispatcher.units import GB, GIB, parse_bytes, parse_seconds


class Strict(BaseModel):
    """Settings: unknown keys are errors, types are not guessed, values never change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, populate_by_name=True, allow_inf_nan=False,
        defer_build=True,  # a section inside another is compiled once, with it
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How a value is written: in words, and as JSON Schema. Stands in a type's annotation, where it must be hashable."""

    words: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shorthand:
    """A section that may be written as one text: the value of this key. Stands in a type's annotation."""

    key: str


class Span(Strict):
    """At least `minimum`, at most `maximum`; a plain amount is a minimum."""

    minimum: float = 0.0
    maximum: float | None = None


def short(value: Any) -> str:
    """The value as one reads it in a file, text in quotes; cut where it is long."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:56]}…{text[-1]}"


LONGEST_SECONDS = 10 * 366 * 86400.0
LARGEST_BYTES = 1e18
LARGEST_CORES, LARGEST_RAM_GIB, LARGEST_DISK_GB = 1e5, 1e6, 1e9
MOST_GPUS = 4096

_SIZE = r"[0-9][0-9_]*(?:\.[0-9]+)? *(?:[KkMmGgTtPp][Ii]?[Bb]?|[Bb])?"
_CORES = r"[0-9]+(?:\.[0-9]+)?"
_NAME = r"[A-Za-z][A-Za-z0-9 _.\-]*"
_MEMORY = r"[0-9]+(?:\.[0-9]+)? *[KkMmGgTt][Ii]?[Bb]?"


def whole(value: Any) -> Any:
    """1e6 is a whole number, as 1000000 is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= 1e18 else value


def _spans(amount: str) -> str:
    return rf"^\s*(?:{amount}\s*\+?|{amount}\s*\.\.(?:\s*{amount})?|\.\.\s*{amount})\s*$"


def _cores(value: Any) -> Any:
    return _span(value, lambda text: _limited(_number(text), LARGEST_CORES, text), "Write 4, 4+ or 2..8")


def _ram(value: Any) -> Any:
    return _span(value, lambda text: _limited(_parsed(_sized(text), nameplate=True) / GIB, LARGEST_RAM_GIB, text), _SIZES)


def _disk(value: Any) -> Any:
    return _span(value, lambda text: _limited(_parsed(_sized(text)) / GB, LARGEST_DISK_GB, text), _SIZES)


def _span(value: Any, amount: Any, fix: str) -> Any:
    if isinstance(value, Span):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"not an amount. {fix}")
    low, high = _ends(str(value).strip())
    if not low and not high:
        raise ValueError(f"not an amount. {fix}")
    span = Span(minimum=amount(low) if low else 0.0, maximum=amount(high) if high else None)
    if span.maximum is not None and span.maximum < span.minimum:
        raise ValueError("the upper end is below the lower end. Write the smaller one first")
    return span


def _ends(text: str) -> tuple[str, str]:
    """The lower and upper end of "4", "4+", "4..", "4..8" and "..8"; "" where open."""
    if text.endswith("+"):
        return text[:-1].strip(), ""
    low, dots, high = text.partition("..")
    return (low.strip(), high.strip()) if dots else (low.strip(), "")


def _sized(text: str) -> str:
    """A plain number of memory or disk is in GB."""
    return text + "GB" if re.fullmatch(_CORES, text) else text


def _parsed(value: str | float, *, nameplate: bool = False) -> float:
    readable = not isinstance(value, str) or re.fullmatch(_SIZE, value.strip())
    try:
        return parse_bytes(value if readable else "", nameplate=nameplate)
    except ValueError:
        raise ValueError(f"{short(value)} is not a size. {_SIZES}") from None


def _number(text: str) -> float:
    if not re.fullmatch(_CORES, text):
        raise ValueError(f"{short(text)} is not a number. Write 4, 4+ or 2..8")
    return float(text)


def _limited(value: float, most: float, text: Any) -> float:
    if value <= 0:
        raise ValueError(f"{short(text)} is nothing. Give an amount above 0, or leave the line out")
    if value > most:
        raise ValueError(f"{short(text)} is beyond any machine. Check the unit")
    return value


def _seconds(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("not a duration. Write 2h, 90m or 1h30m")
    seconds = parse_seconds(value)
    if seconds <= 0:
        raise ValueError("a duration must be longer than nothing. Write 2h, 90m or 1h30m")
    if seconds > LONGEST_SECONDS:
        raise ValueError("longer than ten years. Write 2h, 90m or 1h30m")
    return seconds


def _bytes(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"not a size. {_SIZES}")
    return _limited(_parsed(value), LARGEST_BYTES, value)


def _gpus(value: Any) -> Any:
    if isinstance(value, tuple) and all(isinstance(entry, GpuRequest) for entry in value):
        return value
    if isinstance(value, dict):
        value = [f"{name}:{count}" for name, count in value.items()]
    entries = list(value) if isinstance(value, (list, tuple)) else [value]
    if not entries:
        raise ValueError("an empty list. Write 0 for no GPU, or leave the line out")
    if any(_is_none(entry) for entry in entries):
        if len(entries) > 1:
            raise ValueError("0 (no GPU) stands beside other GPUs. Choose one of the two")
        return ()
    return tuple(entry if isinstance(entry, GpuRequest) else _gpu(entry) for entry in entries)


def _is_none(entry: Any) -> bool:
    return not isinstance(entry, bool) and entry in (0, "0")


def _gpu(entry: Any) -> GpuRequest:
    """T4, L4:1, A100-80GB:8, 24GB+, 24GB.., 24GB..80GB, A100:80GB:2, 2."""
    if isinstance(entry, bool) or not isinstance(entry, (int, str)):
        raise ValueError(f"{short(entry)} is not a GPU. {_GPUS}")
    request: dict[str, Any] = {}
    for part in str(entry).split(":"):
        found = _gpu_part(part.strip(), request)
        if not found or found.keys() & request.keys():
            raise ValueError(f"{short(entry)} is not a GPU. {_GPUS}")
        request |= found
    return GpuRequest(**request)


def _gpu_part(text: str, request: dict[str, Any]) -> dict[str, Any]:
    """What one part between colons asks for; empty where it is nothing we know."""
    if re.fullmatch(r"[0-9]+", text):
        return {"count": _count(text)}
    if re.fullmatch(_NAME, text):
        return {"name": text}
    if not re.fullmatch(_spans(_MEMORY), text):
        return {}
    low, high = _ends(text)
    least = _gpu_memory(low) if low else 0.0
    most = _gpu_memory(high) if high else None
    if most is not None and most < least:
        raise ValueError("the upper end is below the lower end. Write the smaller one first")
    exact = most is None and low == text and "name" in request
    return {"min_memory_gib": least, "max_memory_gib": least if exact else most}


def _gpu_memory(text: str) -> float:
    return _limited(_parsed(text, nameplate=True) / GIB, LARGEST_RAM_GIB, text)


def _count(text: str) -> int:
    count = int(text) if len(text) < 9 else MOST_GPUS + 1
    if not 1 <= count <= MOST_GPUS:
        raise ValueError(f"{short(text)} GPUs: the number must be from 1 to {MOST_GPUS}. {_GPUS}")
    return count


_SIZES = "Write 16GB, 1.5TB or 500MB"
_GPUS = "Write T4, L4:1, A100-80GB:8, 24GB+ or 0 for none"
_GPU_TEXT = {"type": "string", "pattern": r"^[A-Za-z0-9 _.:+\-]+$", "examples": ["T4", "L4:1", "A100-80GB:8", "24GB+"]}
_GPU_ONE = {"anyOf": [_GPU_TEXT, {"type": "integer", "minimum": 0, "maximum": MOST_GPUS}]}
_GPU_FORMS = {
    "anyOf": [
        *_GPU_ONE["anyOf"],
        {"type": "array", "items": _GPU_ONE, "minItems": 1},
        {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1, "maximum": MOST_GPUS}, "minProperties": 1},
    ]
}


def _written(pattern: str, *examples: Any, most: float) -> dict[str, Any]:
    """A number, or text of that pattern: JSON Schema asks each bound only of its own type."""
    return {
        "type": ["number", "string"],
        "exclusiveMinimum": 0,
        "maximum": most,
        "pattern": pattern,
        "examples": list(examples),
    }


_TIME = r"^\s*(?=[0-9])(?:[0-9.]+ *[dD])? *(?:[0-9.]+ *[hH])? *(?:[0-9.]+ *[mM](?:[iI][nN])?)? *(?:[0-9.]+ *[sS])?\s*$"

Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Form("a duration: 2h, 90m, 1h30m, or seconds", _written(_TIME, "2h", "90m", "1h30m", most=LONGEST_SECONDS)),
]
"""A duration in seconds, written 2h, 90m or 1h30m."""
Bytes = Annotated[
    float,
    BeforeValidator(_bytes),
    Form("a size: 1.1GB, 500MB, or bytes", _written(rf"^\s*{_SIZE}\s*$", "1.1GB", "500MB", most=LARGEST_BYTES)),
]
"""A size in bytes, decimal units: 1.1GB is 1.1e9."""
Cores = Annotated[
    Span,
    BeforeValidator(_cores),
    Form("4, 4+ or 2..8", _written(_spans(_CORES), 4, "4+", "2..8", most=LARGEST_CORES)),
]
"""CPU cores: 4, 4+, 2..8."""
RamGib = Annotated[
    Span,
    BeforeValidator(_ram),
    Form("16GB+, 16GB or 16GB..64GB", _written(_spans(_SIZE), "16GB+", "16GB..64GB", most=LARGEST_RAM_GIB)),
]
"""RAM in GiB: 16GB means 16 GiB, as memory is sold."""
DiskGb = Annotated[
    Span,
    BeforeValidator(_disk),
    Form("100GB, 100GB+ or 1TB", _written(_spans(_SIZE), "100GB", "1TB", most=LARGEST_DISK_GB)),
]
"""Disk in GB, decimal."""
Gpus = Annotated[
    tuple[GpuRequest, ...],
    BeforeValidator(_gpus),
    Form("T4, L4:1, A100-80GB:8, 24GB+, a list of these, or 0 for none", _GPU_FORMS),
]
"""Acceptable GPUs; an empty tuple asks for none."""
