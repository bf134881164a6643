"""What a short run of a job on this computer showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Range, figures


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a job gets on once it is warm.

    `seconds` are those of one unit (step, epoch, round or fraction), pauses between epochs shared out where there were any.
    `total` is how many units the whole job has, None where neither it nor its file says; `before` passed until the first began.
    `source` is who counted, `marks` how often the count moved, `pauses` how often it began anew.
    """

    unit: str
    seconds: Range
    done: float
    total: float | None
    before: float
    source: str
    marks: int
    pauses: int = 0

    @property
    def whole(self) -> Range | None:
        """Seconds of the whole job; None where its length is not known."""
        if self.total is None:
            return None
        return Range(*(self.before + self.total * each for each in (self.seconds.low, self.seconds.likely, self.seconds.high)))

    def as_dict(self) -> dict[str, Any]:
        """As the plan's document tells it."""
        return {
            "unit": self.unit,
            "seconds_each": self.seconds.as_dict(),
            "done": figures(self.done),
            "total": None if self.total is None else figures(self.total),
            "startup_seconds": figures(self.before),
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Probed:
    """A run of `seconds` on `device`: the most memory in GiB, cores busy on average, the GPU's busy share, and the pace.

    `finished` is whether the job came to its own end meanwhile, and `shortened` whether its code asks if it is only probed.
    """

    device: Device
    seconds: float
    finished: bool = False
    shortened: bool = False
    ram_gib: float | None = None
    gpu_memory_gib: float | None = None
    gpu_busy: float | None = None
    cores_busy: float = 0.0
    pace: Pace | None = None

    @property
    def whole(self) -> Range | None:
        """Seconds of the whole job here; None where that did not show."""
        if self.finished and not self.shortened and (self.pace is None or self._reached):
            return Range(0.95 * self.seconds, self.seconds, 1.1 * self.seconds)
        return self.pace.whole if self.pace else None

    @property
    def _reached(self) -> bool:
        total = self.pace.total if self.pace else None
        return total is None or bool(self.pace and self.pace.done >= 0.98 * total)
