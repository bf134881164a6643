"""Charts as SVG, each with its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dispatcher.metrics.series import Point, Series, thinned

WIDTH, HEIGHT, PAD = 340.0, 120.0, 6.0


@dataclass(frozen=True, slots=True)
class Chart:
    """A title, a sentence that says what the picture shows, and its line in the units of the picture."""

    title: str
    words: str
    line: str
    low: str
    high: str
    start: str
    end: str
    count: int


def curve(series: Series) -> Chart:
    """A curve over its steps."""
    first, last, best = series.first, series.last, series.most if _rises(series) else series.least
    kind = "highest" if _rises(series) else "lowest"
    words = f"{show(first[1])} at first, {show(last[1])} at the end, {kind} {show(best[1])} at {series.axis} {show(best[0])}"
    return _chart(series.name, f"{words}; {series.count} values from {series.source}", series.points, series.axis)


def strip(title: str, unit: str, points: Sequence[Point], *, most: float | None = None) -> Chart | None:
    """A measure over the run's seconds, from zero; None where nothing was measured."""
    if len(points) < 2:
        return None
    values = [value for _, value in points]
    mean = sum(values) / len(values)
    words = f"{show(mean)} {unit} on average, {show(max(values))} {unit} at most"
    return _chart(title, words, thinned(points), "s", floor=0.0, ceiling=most)


def show(value: float) -> str:
    """Four figures that matter, whole numbers as they are."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _chart(
    title: str, words: str, points: Sequence[Point], axis: str, *, floor: float | None = None, ceiling: float | None = None
) -> Chart:
    low = min([value for _, value in points] + ([floor] if floor is not None else []))
    high = max([value for _, value in points] + ([ceiling] if ceiling is not None else []))
    left, right = points[0][0], points[-1][0]
    across, up = (right - left) or 1.0, (high - low) or 1.0
    line = " ".join(
        f"{PAD + (x - left) / across * (WIDTH - 2 * PAD):.1f},{HEIGHT - PAD - (y - low) / up * (HEIGHT - 2 * PAD):.1f}"
        for x, y in points
    )
    return Chart(title, words, line, show(low), show(high), _at(axis, left), _at(axis, right), len(points))


def _at(axis: str, x: float) -> str:
    return f"{show(x)} s" if axis == "s" else f"{axis} {show(x)}"


def _rises(series: Series) -> bool:
    return series.last[1] > series.first[1]
