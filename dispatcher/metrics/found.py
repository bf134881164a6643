"""Which of a job's outputs hold curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from dispatcher.metrics import events, rows
from dispatcher.metrics.series import Series

Reader = Callable[[Path, str], list[Series]]
MOST_CURVES = 24
MOST_FILES = 50


def curves_in(folder: Path, outputs: Iterable[str]) -> list[Series]:
    """Curves of the outputs (paths below `folder`), the ones people look for first. What cannot be read has none."""
    found: list[Series] = []
    read = 0
    for path in sorted(outputs):
        reader = reader_of(path)
        file = folder / path
        if reader is None or read >= MOST_FILES or not file.is_file() or file.stat().st_size > rows.LARGEST_BYTES:
            continue
        read += 1
        try:
            found += reader(file, path)
        except (OSError, ValueError, RecursionError):
            continue
    return sorted(_newest(found), key=_interest)[:MOST_CURVES]


def reader_of(path: str) -> Reader | None:
    """Who reads a file of this name."""
    name = path.rsplit("/", 1)[-1].lower()
    if name == "trainer_state.json":
        return rows.read_trainer_state
    if ".tfevents." in name:
        return events.read_events
    if name.endswith((".jsonl", ".ndjson")):
        return rows.read_lines
    return rows.read_table if name.endswith(".csv") else None


def _newest(found: list[Series]) -> list[Series]:
    """Of one name, the longest: checkpoints carry their trainer's history up to them again and again."""
    longest: dict[str, Series] = {}
    for one in found:
        if one.name not in longest or one.count > longest[one.name].count:
            longest[one.name] = one
    return list(longest.values())


def _interest(one: Series) -> tuple[int, str]:
    words = ("loss", "acc", "f1", "auc", "score", "perplexity", "bleu", "lr", "learning_rate")
    name = one.name.lower()
    return next((place for place, word in enumerate(words) if word in name), len(words)), name
