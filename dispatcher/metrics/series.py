"""A curve: its name, its source, its points, thinned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST_POINTS = 400
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """Values over steps (or whatever the job counted by), in order of x. `count` is how many there were before thinning."""

    name: str
    source: str
    axis: str
    points: tuple[Point, ...]
    count: int

    @property
    def first(self) -> Point:
        """Where it begins."""
        return self.points[0]

    @property
    def last(self) -> Point:
        """Where it ends."""
        return self.points[-1]

    @property
    def least(self) -> Point:
        """Its lowest point; the first of several."""
        return min(self.points, key=lambda point: point[1])

    @property
    def most(self) -> Point:
        """Its highest point; the first of several."""
        return max(self.points, key=lambda point: point[1])


def series_of(name: str, source: str, axis: str, points: Iterable[Point]) -> Series | None:
    """A curve of at least two finite points; None where there are fewer."""
    finite = sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))
    return Series(name, source, axis, tuple(thinned(finite)), len(finite)) if len(finite) > 1 else None


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most so many of them; ends and extremes stay, as of each stretch the lowest and the highest are kept."""
    if len(points) <= most:
        return list(points)
    stretches = max(1, (most - 2) // 2)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        part = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return [*kept, points[-1]]
