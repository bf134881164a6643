"""The same table job with less in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.tables.algorithms import find_algorithm, streams


@dataclass(frozen=True, slots=True)
class Leaner:
    """One change: the job's settings, the work with it, and what it does to results ("" for nothing)."""

    change: dict[str, object]
    work: TableWorkload
    results: str = ""


def leaner(work: TableWorkload) -> tuple[Leaner, ...]:
    """Changes that save memory, least intrusive first, then all of them together."""
    single: list[Leaner] = []
    together = Leaner({}, work)
    for step in (_one_at_a_time, _single_precision, _in_chunks):
        found = step(work)
        if found:
            single.append(found)
            after = step(together.work)
            assert after is not None
            said = "; ".join(filter(None, (together.results, after.results)))
            together = Leaner(together.change | after.change, after.work, said)
    return (*single, together) if len(single) > 1 else tuple(single)


def _one_at_a_time(work: TableWorkload) -> Leaner | None:
    if work.parallel_fits == 1:
        return None
    return Leaner({"model.search.jobs": 1}, replace(work, parallel_fits=1))


def _single_precision(work: TableWorkload) -> Leaner | None:
    if work.dtype_bytes <= 4:
        return None
    return Leaner({"dataset.dtype": "float32"}, replace(work, dtype_bytes=4), "seven digits instead of sixteen")


def _in_chunks(work: TableWorkload) -> Leaner | None:
    algorithm = find_algorithm(work.algorithm)
    if not work.in_memory or algorithm is None or not streams(work.library, algorithm):
        return None
    return Leaner({"dataset.in_memory": False}, replace(work, in_memory=False, keeps_raw=False))
