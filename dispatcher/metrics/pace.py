"""From marks to a pace: warm-up discarded, the rest told ahead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from dispatcher.domain.plan import Range
from dispatcher.domain.probed import Pace
from dispatcher.metrics.progress import Mark

LEAST_MARKS = 3
"""Fewer say nothing about what comes."""
LEAST_SECONDS = 1.0
"""A shorter stretch is the start of Python, and noise."""
WARM_UP = 0.25
"""Of the stretch in which marks came, the share at its start that is left out: compiling, filling caches, tuning kernels."""
COLD = 2.0
"""A step that takes so many times longer than later ones is a part of the warm-up."""
STRETCHES = 8
"""Into so many parts the rest is cut, to see how steady it is."""
NINETY = 1.645
"""Standard deviations from the middle within which nine of ten normal values lie."""
DRIFT = (0.05, 0.1)
"""What a run of hours differs from its first minutes, below and above: caches, heat, longer samples. A stated assumption."""
FEW = 0.25
"""How far the mean of one or two stretches may be off. A stated assumption."""
SAME = 0.03
"""Counts that differ less are of the same thing."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the job file says of the whole: optimizer steps, passes per epoch, epochs, rounds; None where it does not."""

    steps: float | None = None
    steps_each: float | None = None
    epochs: float | None = None
    rounds: float | None = None


NOTHING = Expected()


def pace(marks: Sequence[Mark], expected: Expected = NOTHING) -> Pace | None:
    """The pace that the most telling counter shows; None where no counter moved for long enough."""
    found = [(series, one) for series in _counters(marks) if (one := _pace(series, expected))]
    return min(found, key=_interest)[1] if found else None


def _interest(found: tuple[list[Mark], Pace]) -> tuple[bool, bool, float]:
    """What the job tells us itself, then what tells the whole, then what went on longest and moved most often."""
    marks, one = found
    lasted = marks[-1].at - marks[0].at
    return one.source != "DISPATCHER_PROGRESS", one.total is None, -lasted * math.log(1 + len(marks))


def _counters(marks: Sequence[Mark]) -> list[list[Mark]]:
    """What belongs together: bars of one name and size. A validation's bar has another size than the training's."""
    found: dict[tuple[str, str, str, float | None], list[Mark]] = {}
    for mark in marks:
        held = found.setdefault((mark.source, mark.unit, mark.bar, mark.total), [])
        if not held or mark.done != held[-1].done:
            held.append(mark)
    return list(found.values())


def _pace(marks: list[Mark], expected: Expected) -> Pace | None:
    if len(marks) < LEAST_MARKS or marks[-1].at - marks[0].at < LEAST_SECONDS:
        return None
    kept = _warm(marks)
    moves = [(b.at - a.at, b.done - a.done) for a, b in pairwise(kept) if b.done > a.done]
    seconds, units = sum(t for t, _ in moves), sum(u for _, u in moves)
    if not units or seconds <= 0:
        return None
    each = seconds / units
    size = max((m.total for m in marks if m.total), default=None)
    pauses = [max(0.0, b.at - a.at - each * b.done) for a, b in pairwise(kept) if b.done < a.done]
    whole, repeats = _whole(marks, size, expected)
    between = sum(pauses) / len(pauses) if pauses else 0.0
    likely = each + (between / size if size and repeats > 1 else 0.0)
    spread = _spread(moves, each)
    first = marks[0]
    return Pace(
        unit=first.unit,
        seconds=Range(likely * (1 - DRIFT[0] - spread), likely, likely * (1 + DRIFT[1] + spread)),
        done=_done(marks),
        total=whole,
        before=max(0.0, first.at - first.done * each),
        source=first.source,
        marks=len(marks),
        pauses=len(pauses),
    )


def _warm(marks: list[Mark]) -> list[Mark]:
    """Without the first ones, and those after them that are still far slower than the second half."""
    since = marks[0].at + WARM_UP * (marks[-1].at - marks[0].at)
    later = [one for one in marks if one.at >= since]
    if len(later) < LEAST_MARKS - 1:
        return marks[1:]
    rates = [(b.at - a.at) / (b.done - a.done) if b.done > a.done else 0.0 for a, b in pairwise(later)]
    usual = median(rates[len(rates) // 2 :])
    slow = next((i for i, rate in enumerate(rates) if rate <= COLD * usual), 0)
    return later[slow:] if slow < len(rates) // 2 else later


def _done(marks: list[Mark]) -> float:
    """Units done in all, over every time that the counter began anew."""
    before = sum((a.total or a.done) for a, b in pairwise(marks) if b.done < a.done)
    return before + marks[-1].done


def _spread(moves: list[tuple[float, float]], each: float) -> float:
    """How far the mean of what was seen may be off, as a share."""
    parts = min(STRETCHES, len(moves))
    if parts < 3:
        return FEW
    size = len(moves) / parts
    cut = [moves[round(i * size) : round((i + 1) * size)] for i in range(parts)]
    rates = [sum(t for t, _ in part) / sum(u for _, u in part) for part in cut if part]
    variance = sum((rate / each - 1) ** 2 for rate in rates) / max(1, len(rates) - 1)
    return min(0.5, NINETY * math.sqrt(variance / len(rates)))


def _whole(marks: list[Mark], size: float | None, expected: Expected) -> tuple[float | None, float]:
    """Units of the whole job, and how many times the counter runs through; the job's own words before the job file's."""
    last = marks[-1]
    if last.unit == "epoch":
        return size or expected.epochs, 1.0
    if last.unit == "round" and size is None:
        return expected.rounds, 1.0
    if size is None:
        return expected.steps, 1.0
    anew = last.each_epoch or any(b.done < a.done for a, b in pairwise(marks))
    if not anew and not _alike(size, expected.steps_each):
        return size, 1.0
    if _alike(size, expected.steps) and not _alike(size, expected.steps_each):
        return size, 1.0
    epochs = last.epochs or expected.epochs
    return (size * epochs, epochs) if epochs else (None, 1.0)


def _alike(one: float | None, other: float | None) -> bool:
    return bool(one and other and abs(one - other) <= max(1.0, SAME * other))
