"""Cuts the link and kills the client, again and again, while a job writes: is every byte here, and how soon again?"""

from __future__ import annotations

import hashlib
import random
import shlex
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.guarantees.real.place import Place, place
from tests.guarantees.row import Size

WRITER = Path(__file__).with_name("writer.py")
LEAST = {Size.WHOLE: 30 << 20, Size.QUICK: 30 << 20, Size.LEAST: 10 << 20}
"""Bytes of the log."""
SILENCE_SECONDS = 60.0
"""A log that does not grow for so long will not."""


@dataclass
class Ordeal:
    """What was done, and what came of it. Seconds from each cut or kill to the next new byte."""

    cuts: int = 0
    kills: int = 0
    size: int = 0
    identical: bool = False
    exit_code: int | None = None
    after_cuts: list[float] = field(default_factory=list)
    after_kills: list[float] = field(default_factory=list)


@cache
def ordeal(cuts: int, kills: int, rate: float, least: int, seed: int = 1) -> Ordeal:
    """One job under so many cuts and kills, evenly mixed; some cuts come while the client still dials."""
    dice, done = random.Random(seed), Ordeal()
    faults = ["cut"] * (cuts - kills) + ["kill"] * kills
    dice.shuffle(faults)
    with place() as at:
        words = [sys.executable, str(WRITER), str(at.folder), str(least), str(rate)]
        driver = at.drive(shlex.join(words))
        grown(at, 0)
        for fault in faults:
            if fault == "kill":
                driver.kill()
                driver.wait()
                done.kills += 1
                driver = at.drive()
            if fault == "cut" and dice.random() < 0.1:
                at.wire.cut()  # twice in a row: the second meets a client that is dialling
                time.sleep(dice.random() * 0.2)
                done.cuts += 1
            at.wire.cut()
            done.cuts += 1
            size = at.kept.stat().st_size
            seconds = grown(at, size)
            (done.after_kills if fault == "kill" else done.after_cuts).append(seconds)
            time.sleep(dice.random() * 0.05)
        (at.folder / "enough").touch()
        done.exit_code = driver.wait(timeout=300)
        told, digest = (at.folder / "truth").read_text().split()
        kept = at.kept.read_bytes()
        done.size = len(kept)
        done.identical = (int(told), digest) == (len(kept), hashlib.sha256(kept).hexdigest())
    return done


def grown(at: Place, size: int) -> float:
    """Seconds until the kept log is longer than that."""
    begun = time.monotonic()
    while not at.kept.exists() or at.kept.stat().st_size <= size:
        assert time.monotonic() - begun < SILENCE_SECONDS, f"no new byte after {SILENCE_SECONDS:.0f} s:\n{at.said()[-6000:]}"
        time.sleep(0.005)
    return time.monotonic() - begun


def asked(size: Size) -> Ordeal:
    """The ordeal of rows R5 and R6."""
    cuts, kills, rate = size.of((1000, 100, 1e5), (40, 5, 1.5e6), (15, 2, 1.5e6))
    return ordeal(cuts, kills, rate, LEAST[size])


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]
