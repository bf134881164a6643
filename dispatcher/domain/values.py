"""Settings' value types: each knows how people write it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from dispatcher.domain.plan import GpuRequest
from dispatcher.units import GB, GIB, parse_bytes, parse_seconds


class Strict(BaseModel):
    """Settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Span(Strict):
    """At least `minimum`, at most `maximum`; a plain amount is a minimum."""

    minimum: float = 0.0
    maximum: float | None = None


def _span(unit: float, *, nameplate: bool, sized: bool) -> Any:
    def read(value: Any) -> Any:
        if isinstance(value, (Span, dict)) or value is None:
            return value
        if isinstance(value, bool):
            raise ValueError("not an amount. Write 4, 4+ or 16GB+")
        low, high = _ends(str(value).strip())

        def amount(text: str) -> float:
            if sized and re.fullmatch(r"[0-9.]+", text):
                text += "GB"
            return (parse_bytes(text, nameplate=nameplate) / unit) if sized else _number(text)

        span = Span(minimum=amount(low) if low else 0.0, maximum=amount(high) if high else None)
        if span.maximum is not None and span.maximum < span.minimum:
            raise ValueError("the upper end is below the lower end")
        return span

    return read


def _ends(text: str) -> tuple[str, str]:
    """The lower and upper end of "4", "4+", "4..", "4..8" and "..8"; "" where open."""
    if text.endswith("+"):
        return text[:-1].strip(), ""
    low, dots, high = text.partition("..")
    return (low.strip(), high.strip()) if dots else (low.strip(), "")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number. Write 4, 4+ or 2..8") from None
    if not 0 <= value < 1e9:
        raise ValueError(f"{text!r} is out of range")
    return value


def _seconds(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a duration. Write 2h, 90m or 1h30m")
    seconds = parse_seconds(value)
    if seconds <= 0:
        raise ValueError("a duration must be longer than nothing. Write 2h, 90m or 1h30m")
    return seconds


def _bytes(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a size. Write 16GB, 1.5TB or 500MB")
    return parse_bytes(value)


_NAME = r"[A-Za-z][A-Za-z0-9 _.\-]*"
_MEMORY = r"[0-9.]+ *[KMGT]i?B?"


def _gpus(value: Any) -> Any:
    if value is None or isinstance(value, tuple):
        return value
    if isinstance(value, dict):
        return tuple(_gpu(f"{name}:{count}") for name, count in value.items())
    entries = value if isinstance(value, list) else [value]
    if entries == [0] or entries == ["0"]:
        return ()
    return tuple(entry if isinstance(entry, GpuRequest) else _gpu(entry) for entry in entries)


def _gpu(entry: Any) -> GpuRequest:
    """T4, L4:1, A100-80GB:8, 24GB+, 24GB.., 24GB..80GB, A100:80GB:2, 2."""
    if isinstance(entry, bool) or not isinstance(entry, (int, str)):
        raise ValueError(f"{entry!r} is not a GPU. Write T4, L4:1, 24GB+ or 0 for none")
    if isinstance(entry, int):
        return GpuRequest(count=_count(str(entry)))
    request: dict[str, Any] = {}
    for part in str(entry).strip().split(":"):
        text = part.strip()
        low, high = _ends(text)
        if re.fullmatch(r"[0-9]+(?:\.0)?", low) and "count" not in request and ("name" in request or entry == part):
            request["count"] = _count(low)
        elif re.fullmatch(_MEMORY, low or high, re.IGNORECASE) and "min_memory_gib" not in request:
            exact = not high and low == text
            minimum = parse_bytes(low, nameplate=True) / GIB if low else 0.0
            request["min_memory_gib"] = minimum
            if high or (exact and "name" in request):
                request["max_memory_gib"] = parse_bytes(high, nameplate=True) / GIB if high else minimum
        elif re.fullmatch(r"[0-9]+", low) and "count" not in request:
            request["count"] = _count(low)
        elif re.fullmatch(_NAME, text) and "name" not in request:
            request["name"] = text
        else:
            raise ValueError(f"{entry!r} is not a GPU. Write T4, L4:1, A100-80GB:8, 24GB+ or 0 for none")
    return GpuRequest(**request)


def _count(text: str) -> int:
    count = int(float(text))
    if not 1 <= count <= 4096:
        raise ValueError(f"{text} GPUs: the number must be from 1 to 4096")
    return count


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A duration in seconds, written 2h, 90m or 1h30m."""
Bytes = Annotated[float, BeforeValidator(_bytes)]
"""A size in bytes, decimal units: 1.1GB is 1.1e9."""
Cores = Annotated[Span, BeforeValidator(_span(1, nameplate=False, sized=False))]
"""CPU cores: 4, 4+, 2..8."""
RamGib = Annotated[Span, BeforeValidator(_span(GIB, nameplate=True, sized=True))]
"""RAM in GiB: 16GB means 16 GiB, as memory is sold."""
DiskGb = Annotated[Span, BeforeValidator(_span(GB, nameplate=False, sized=True))]
"""Disk in GB, decimal."""
Gpus = Annotated[tuple[GpuRequest, ...], BeforeValidator(_gpus)]
"""Acceptable GPUs; an empty tuple asks for none."""
