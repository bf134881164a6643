"""Times whole processes, side by side, and says whether a goal is met."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

MIB = 2**20
PYTHON = sys.executable
MLRUN = str(Path(PYTHON).with_name("mlrun"))


@dataclass(frozen=True)
class Sample:
    """One process: wall seconds, the most memory it held in MiB, and seconds of CPU."""

    seconds: float
    peak_mib: float
    cpu: float = 0.0


@dataclass(frozen=True)
class Row:
    """A figure of ours, its reference, how they are compared, and the goal. `bound` None: shown, not judged."""

    figure: str
    ours: str
    reference: str
    value: float
    compared: str
    bound: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def goal(self) -> str:
        """The goal in figures."""
        return "–" if self.bound is None else f"{'≥' if self.at_least else '≤'} {self.bound:g}"


class Broken(Exception):
    """A measured command failed; its words are the message."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Sample:
    """One process to its end, silent; a failing one measures nothing and is told."""
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, cwd=cwd
    )
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Broken(f"{' '.join(argv[:4])} ended with {process.returncode}: {words.decode(errors='replace').strip()[-200:]}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Sample(seconds, usage.ru_maxrss * scale / MIB, usage.ru_utime + usage.ru_stime)


def in_turns(turns: int, *tasks: Callable[[], Sample]) -> list[Sample]:
    """Each task's medians over `turns`, taken in turns so that the machine's moods meet all alike; the first turn is warmth."""
    taken: list[list[Sample]] = [[] for _ in tasks]
    for turn in range(turns + 1):
        for samples, task in zip(taken, tasks, strict=True):
            sample = task()
            if turn:
                samples.append(sample)
    return [Sample(*map(middle, zip(*map(astuple, samples), strict=True))) for samples in taken]


def reading(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.Popen[bytes]:
    """A process whose stdout is ours to read, in binary and unbuffered by us."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(argv, **streams, env=env, cwd=cwd)


def middle(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def seconds(value: float) -> str:
    """0.123 s."""
    return f"{value:.3f} s"


def home(folder: Path) -> dict[str, str]:
    """An environment in which mlrun keeps everything below `folder`."""
    return {**os.environ, "DISPATCHER_HOME": str(folder), "NO_COLOR": "1"}
