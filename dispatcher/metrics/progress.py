"""How far a job says it is: bars and counters, read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

PATTERNS: tuple[tuple[str, str], ...] = (
    # tqdm, which Hugging Face and Lightning use too: 45%|████▌     | 450/1000 [00:10<00:12, 45.0it/s, loss=0.3]
    (
        "tqdm",
        (
            r"(?:^\s*|(?P<name>[^|%]{0,80}?)[:\s]\s*)\d{1,3}%\|[^|]*\|\s*"
            r"(?P<done>[\d.]+[kMG]?)/(?P<total>[\d.]+[kMG]?) \[(?P<rest>.*)\]"
        ),
    ),
    ("tqdm", r"(?:^\s*|(?P<name>[^|%]{0,80}?):\s*)(?P<done>\d+)it \[(?P<rest>\d.*)\]"),
    # Lightning's rich bar: Epoch 0/9 ━━━━━━━━ 23/188 0:00:01 • 0:00:10 15.50it/s
    ("Lightning", r"^Epoch (?P<epoch>\d+)/(?P<last>\d+)\s+[━╸╺ ]+ (?P<done>\d+)/(?P<total>\d+) "),
    # Keras: 12/1563 ━━━━━━━━━━━━ 5s 3ms/step - loss: 0.5, or with [====>....], or 1563/1563 - 5s - loss: 0.4
    ("Keras", r"^\s*(?P<done>\d+)/(?P<total>\d+|Unknown) +(?:\[[=>.]+\]|[━ ]*━[━ ]*|- \d+m?s\b)"),
    ("Keras", r"^Epoch (?P<epoch>\d+)/(?P<epochs>\d+)\s*$"),
    # Hugging Face's log, where its bar is off: {'loss': 2.3, 'learning_rate': 5e-05, 'epoch': 0.5}
    ("Hugging Face", r"^\{'loss': .*'epoch': '?(?P<part>[\d.]++)'?.*\}"),
    # PyTorch's examples: Epoch: [0][ 10/1563]
    ("the job's lines", r"Epoch:? ?\[(?P<epoch>\d+)\] ?\[\s*(?P<done>\d+)/(?P<total>\d+)\]"),
    ("the job's lines", r"\bepochs?:?\s*\[?(?P<epoch>\d+)\s*(?:/|of)\s*(?P<epochs>\d+)\]?"),
    (
        "the job's lines",
        r"\b(?P<name>step|iter|iteration|round|batch|tree)s?:?\s*\[?(?P<done>\d+)\s*(?:/|of)\s*(?P<total>\d+)\]?",
    ),
    # nanoGPT: iter 100: loss 3.2, time 500ms
    ("the job's lines", r"^\W*(?P<name>step|iter|iteration)\s*[:#=]?\s*(?P<done>\d+)\b(?![./])"),
    # XGBoost and LightGBM: [12]	validation_0-logloss:0.5
    ("the library's rounds", r"^\[(?P<round>\d+)\]\s.*:"),
)
_COMPILED = tuple((source, re.compile(text, re.IGNORECASE if source == "the job's lines" else 0)) for source, text in PATTERNS)
_ASIDE = re.compile(
    r"valid|eval|test|predict|sanity|download|upload|fetch|load|map|tokeni|filter|generat|extract|sav|shard|convert|prepar",
    re.IGNORECASE,
)
"""Bars beside the training: what they take shows as a pause of the training's own."""
_EPOCHS = re.compile(r"\bepochs?\b(?!\s*\d)", re.IGNORECASE)
_EPOCH = re.compile(r"\bepoch\b", re.IGNORECASE)
_NEEDS = {"tqdm": (" [",), "Lightning": ("Epoch ",), "Hugging Face": ("'epoch'",)}
"""What a line has that the slower patterns could match."""
_BARS = ("%|", "it [", "━", "[=", "[>", "[.")
"""Only a bar counts before its line has ended."""
_BLANKS = re.compile(r"\s+")
_BREAK = re.compile(r"[\r\n]|\x08+")
_PAINT = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LONGEST = 4096
"""Bytes of one line that are looked at."""
SCALES = {"k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, slots=True)
class Mark:
    """At `at` seconds, `done` of `total` units of the bar of that name were done. `unit` is step, epoch, round or fraction.

    `epochs` is how many times the bar runs in all, where the job says so; `each_epoch` that it starts anew with each.
    """

    at: float
    unit: str
    done: float
    total: float | None
    source: str
    epochs: float | None = None
    each_epoch: bool = False
    bar: str = ""


class Output:
    """What a job prints, read as it comes."""

    def __init__(self) -> None:
        self._open = ""
        self._read = ""
        self._lost = False
        self._epochs: float | None = None
        self._in_epochs = False

    def missed(self) -> None:
        """Bytes were left out: what comes until the next line begins is the rest of one that was not read."""
        self._open, self._lost = "", True

    def feed(self, data: bytes, at: float) -> list[Mark]:
        """The marks in bytes that came at `at`; a bar that still stands open counts at once, and not again."""
        text = _PAINT.sub("", self._open + data.decode("utf-8", "replace"))
        *whole, rest = _BREAK.split(text)
        if self._lost:
            if not whole:
                return []
            self._lost = False
            del whole[0]
        self._open = rest[-LONGEST:]
        bar = any(sign in self._open for sign in _BARS)
        found: list[Mark] = []
        for line in (*whole, self._open) if bar else whole:
            if line and line != self._read:
                found += self._line(_BLANKS.sub(" ", line[:LONGEST]), at)
        self._read = self._open if bar else ""
        return found

    def _line(self, line: str, at: float) -> Iterator[Mark]:
        if line.startswith('{"'):
            if mark := _row(line, at):
                yield mark
            return
        for source, pattern in _COMPILED:
            if not all(sign in line for sign in _NEEDS.get(source, ())) or not (match := pattern.search(line)):
                continue
            said = match.groupdict()
            if "epochs" in said:
                yield from self._of_epochs(line, said, source, at)
                if line[match.end() :].strip():
                    continue  # epoch 3/20, step 40/100: the rest may have a counter of its own
            elif mark := self._of(said, source, at):
                yield mark
            return

    def _of_epochs(self, line: str, said: dict[str, str | None], source: str, at: float) -> Iterator[Mark]:
        self._in_epochs, self._epochs = True, _number(said["epochs"])
        yield Mark(at, "epoch", _number(said["epoch"]) or 0.0, self._epochs, source)

    def _of(self, said: dict[str, str | None], source: str, at: float) -> Mark | None:
        if part := said.get("part"):
            seen = _number(part)
            return None if seen is None else Mark(at, "epoch", seen, None, source)
        if (rounds := _number(said.get("round"))) is not None:
            return Mark(at, "round", rounds + 1, None, source)
        name = said.get("name") or ""
        if _ASIDE.search(name) or re.search(r"[kMG]?i?B/s", said.get("rest") or ""):
            return None
        done, total = _number(said.get("done")), _number(said.get("total"))
        if done is None:
            return None
        if _EPOCHS.search(name):
            self._in_epochs, self._epochs = True, total
            return Mark(at, "epoch", done, total, source)
        epochs = (_number(said["last"]) or 0.0) + 1 if "last" in said else self._epochs
        each = self._in_epochs or bool(_EPOCH.search(name)) or "epoch" in said
        unit = name.lower() if name.lower() in ("round", "tree", "batch") else "step"
        named = re.sub(r"\d+", "", name).strip()
        return Mark(at, {"tree": "round", "batch": "step"}.get(unit, unit), done, total, source, epochs, each, named)


def told(row: Mapping[str, Any], at: float) -> Mark | None:
    """The mark in a row of DISPATCHER_PROGRESS: {"step": 40, "total": 100, "epoch": 3, "epochs": 20}, or {"fraction": 0.1}."""

    def figure(*names: str) -> float | None:
        values = (number(row.get(name)) for name in names)
        return next((value for value in values if value is not None and value >= 0), None)

    source, epochs = "DISPATCHER_PROGRESS", figure("epochs")
    step, total = figure("step", "global_step", "iteration"), figure("total", "steps", "total_steps", "max_steps")
    if step is not None:
        each = "step" in row and figure("epoch") is not None
        return Mark(at, "step", step, total, source, epochs, each)
    if (part := figure("fraction")) is not None:
        return Mark(at, "fraction", part, 1.0, source)
    epoch = figure("epoch")
    return Mark(at, "epoch", epoch, epochs, source) if epoch is not None else None


def number(value: object) -> float | None:
    """A figure as a job or its agent wrote it; None for what is none, or is more than any computer counts."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _row(line: str, at: float) -> Mark | None:
    """The mark in a line of JSON among what a job prints."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    mark = told(row, at)
    return mark and replace(mark, source="the job's lines")


def _number(text: str | None) -> float | None:
    if not text or text == "Unknown":
        return None
    scale = SCALES.get(text[-1])
    try:
        return number(float(text[:-1]) * scale if scale else float(text))
    except ValueError:
        return None
