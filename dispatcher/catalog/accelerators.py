"""GPUs, integrated graphics, Apple chips and TPUs, by any spelling."""

from __future__ import annotations

from functools import cache

from dispatcher.catalog.spelling import FORMS, SERIES, Spelling, nearest, spell
from dispatcher.catalog.tables import number, read_table, sources
from dispatcher.domain.hardware import Accelerator

TABLE = "accelerators"
NAMEPLATE_TOLERANCE = 0.07
"""Drivers report up to 7 % less than the nameplate: 22,888 MiB on a 24 GB card."""
_FIGURES = {
    "memory_gib": "memory_gib",
    "bandwidth_gbs": "bandwidth_gbs",
    "fp32_tflops": "fp32",
    "tf32_tflops": "tf32",
    "fp16_tflops": "fp16",
    "bf16_tflops": "bf16",
    "fp8_tflops": "fp8",
    "int8_tops": "int8",
    "compute_capability": "compute_capability",
    "interconnect_gbs": "interconnect_gbs",
    "tdp_w": "tdp_w",
}
_WORDS = ("name", "vendor", "arch", "tier", "interconnect", "as_of", "confidence")
_COLUMNS = (*_WORDS, *_FIGURES.values(), "year", "unified", "aliases", "source")


@cache
def accelerators() -> tuple[Accelerator, ...]:
    """Every accelerator of the catalog, in the table's order."""
    return tuple(map(_named, _rows()))


def find_accelerator(text: str, memory_gib: float | None = None) -> Accelerator | None:
    """The accelerator so spelled, by a person, a driver or a cloud; None where unknown.

    `memory_gib`, as a driver reports it, tells variants of one name apart. A slice of a GPU is not the GPU.
    """
    if " mig " in f" {text.lower()} ":
        return None
    if memory_gib is None and text in _rows():
        return _named(text)
    asked = spell(text)
    for words in (asked, Spelling((*asked.words, "sxm"), asked.memory, asked.cores), asked.without(FORMS)):
        named = _spellings().get(tuple(sorted(words.words)), ())
        if found := _variant(named, words, memory_gib):
            return found
    return _without_series(asked)


def similar_accelerators(text: str) -> tuple[str, ...]:
    """Names like this one, best first: for "did you mean"."""
    return nearest(text, (accelerator.name for accelerator in accelerators()))


def same_memory(nameplate: float, reported: float) -> bool:
    """Whether a reported memory can be that of a nameplate, both GiB."""
    return nameplate > 0 and abs(reported / nameplate - 1) <= NAMEPLATE_TOLERANCE


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in read_table(TABLE, _COLUMNS)}


@cache
def _named(name: str) -> Accelerator:
    return _accelerator(_rows()[name])


_Named = tuple[tuple[Spelling, Accelerator], ...]


@cache
def _spellings() -> dict[tuple[str, ...], _Named]:
    found: dict[tuple[str, ...], list[tuple[Spelling, Accelerator]]] = {}
    for accelerator in accelerators():
        for text in (accelerator.name, *accelerator.aliases):
            spelling = spell(text)
            found.setdefault(spelling.words, []).append((spelling, accelerator))
    return {words: tuple(named) for words, named in found.items()}


def _without_series(asked: Spelling) -> Accelerator | None:
    """What people mean by "A6000" and "1080 Ti", where only one can be meant."""
    same = (named for words, named in _spellings().items() if set(words) - SERIES == set(asked.words))
    meant = {part.name: part for named in same for _, part in named}
    return next(iter(meant.values())) if len(meant) == 1 else None


def _variant(named: _Named, asked: Spelling, reported: float | None) -> Accelerator | None:
    """Of accelerators with one name, the one with this memory and these cores; else the one that bears the bare name."""
    if asked.cores is not None:
        named = tuple(entry for entry in named if entry[0].cores == asked.cores)
    memory = asked.memory or reported
    exact = [part for spelling, part in named if spelling.memory == asked.memory and spelling.cores == asked.cores]
    if memory is None or (exact and asked.memory):
        return exact[0] if exact else _only(named)
    if fitting := [part for _, part in named if part.unified or same_memory(part.memory_gib, memory)]:
        return next((part for part in fitting if part in exact), fitting[0])
    return exact[0] if exact and asked.memory is None else None


def _only(named: _Named) -> Accelerator | None:
    parts = {part.name: part for _, part in named}
    return next(iter(parts.values())) if len(parts) == 1 else None


def _accelerator(row: dict[str, str]) -> Accelerator:
    figures = {field: number(row, column, TABLE) or 0.0 for field, column in _FIGURES.items()}
    words = {word: row[word] for word in _WORDS}
    source = sources().get(row["source"], (row["source"], ""))[0]
    aliases = tuple(row["aliases"].split(";")) if row["aliases"] else ()
    year = int(number(row, "year", TABLE) or 0)
    return Accelerator(**words, **figures, year=year, unified=row["unified"] == "yes", aliases=aliases, source=source)  # type: ignore[arg-type]
