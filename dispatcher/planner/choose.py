"""Which candidate a run would take: here, else the cheapest."""

from __future__ import annotations

from collections.abc import Sequence

from dispatcher.domain.plan import Candidate

_UNKNOWN = float("inf")


def ranked(candidates: Sequence[Candidate], prefer: str = "cheap") -> list[Candidate]:
    """This machine first, then by likely cost (or time); of unknown cost later, by price per hour; what does not fit last."""
    key = _by_time if prefer == "fast" else _by_cost
    return sorted(candidates, key=lambda c: (not c.fits, c.offer.where != "local", bool(c.changes), *key(c)))


def choose(candidates: Sequence[Candidate], prefer: str = "cheap") -> int | None:
    """The index of the choice among ranked candidates, or None.

    Local if the job as written surely fits here. Else the lowest likely cost; those closer than their price uncertainty tie,
    then the lower high end decides, then the shorter time.
    """
    able = [(i, c) for i, c in enumerate(candidates) if c.surely and c.offer.usable and not c.changes]
    here = [i for i, c in able if c.offer.where == "local"]
    if here:
        return here[0]
    if not able:
        return None
    if prefer == "fast":
        return min(able, key=lambda pair: _by_time(pair[1]))[0]
    least = min(_likely(c) for _, c in able)
    tied = [(i, c) for i, c in able if _likely(c) <= least * (1 + c.offer.price_spread)]
    return min(tied, key=lambda pair: (_high(pair[1]), _seconds(pair[1]), _by_cost(pair[1])))[0]


def _by_cost(candidate: Candidate) -> tuple[float, ...]:
    return (_likely(candidate), _high(candidate), candidate.offer.price_per_hour or 0.0, _seconds(candidate))


def _by_time(candidate: Candidate) -> tuple[float, ...]:
    return (_seconds(candidate), *_by_cost(candidate))


def _likely(candidate: Candidate) -> float:
    return candidate.cost.range.likely if candidate.cost and candidate.cost.range else _UNKNOWN


def _high(candidate: Candidate) -> float:
    return candidate.cost.range.high if candidate.cost and candidate.cost.range else _UNKNOWN


def _seconds(candidate: Candidate) -> float:
    return candidate.hours.likely if candidate.hours else _UNKNOWN
