"""Jobs on tables: predicted, then run here and measured.

Seconds are those of one thread's CPU, RAM is the most that the process held.

python scripts/benchmarks/accuracy.py                 every case, as a table
python scripts/benchmarks/accuracy.py --only xgboost --write runs.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.hosts.probe import probe
from dispatcher.planner import tables
from dispatcher.planner.devices import here, only_cpu
from dispatcher.planner.workload.tabular import build

FIT = Path(__file__).with_name("accuracy_fit.py")
LONGEST = 120.0
"""Seconds after which a case is given up."""
CASES = Path(__file__).with_name("accuracy_cases.csv")


@dataclass(frozen=True)
class Run:
    """One case with what was predicted and what was measured; seconds of CPU, GiB."""

    set: str
    library: str
    algorithm: str
    rows: int
    columns: int
    dtype: str
    trees: str
    depth: str
    leaves: str
    predicted_s: float
    low_s: float
    high_s: float
    measured_s: float
    predicted_gib: float
    low_gib: float
    high_gib: float
    measured_gib: float
    version: str = ""
    cpu: str = ""
    date: str = ""

    @property
    def time_factor(self) -> float:
        """How many times off, never below one."""
        return max(self.predicted_s / self.measured_s, self.measured_s / self.predicted_s)

    @property
    def ram_factor(self) -> float:
        """How many times off, never below one."""
        return max(self.predicted_gib / self.measured_gib, self.measured_gib / self.predicted_gib)


def cases(only: str) -> list[dict[str, str]]:
    """The table of jobs, those whose line matches."""
    with CASES.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if re.search(only, " ".join(row.values()))]


def job_of(case: dict[str, str]) -> dict[str, object]:
    """The job file of a case."""
    sizes = {key: int(case[key]) for key in ("trees", "depth", "leaves") if case[key]}
    return {
        "run": "python fit.py",
        "env": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        "model": {"family": "tabular", "library": case["library"], "algorithm": case["algorithm"], **sizes},
        "dataset": {"rows": int(float(case["rows"])), "columns": int(case["columns"]), "dtype": case["dtype"]},
    }


def measure(case: dict[str, str], device: Device) -> Run:
    """Predict a case, then run it."""
    job = job_of(case)
    work = build(JobConfig.model_validate(job), device)
    time, (_, ram) = tables.seconds(work, device), tables.memory(work, device)
    assert time is not None
    found = _run(job)
    return Run(
        **{name: case[name] for name in ("set", "library", "algorithm", "dtype", "trees", "depth", "leaves")},
        rows=int(float(case["rows"])),
        columns=int(case["columns"]),
        predicted_s=round(time.likely, 4),
        low_s=round(time.low, 4),
        high_s=round(time.high, 4),
        measured_s=round(found["cpu"], 4),
        predicted_gib=round(ram.range.likely, 4),
        low_gib=round(ram.range.low, 4),
        high_gib=round(ram.range.high, 4),
        measured_gib=round(found["peak"], 4),
        version=_version(case["library"]),
        cpu=device.cpu.name,
        date=datetime.now(UTC).date().isoformat(),
    )


def _run(job: dict[str, object]) -> dict[str, float]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(FIT), json.dumps(job)], env=env, capture_output=True, timeout=LONGEST, check=False, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _version(library: str) -> str:
    names = {"sklearn": ("scikit-learn",), "xgboost": ("xgboost", "xgboost-cpu"), "lightgbm": ("lightgbm",)}[library]
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def report(runs: list[Run]) -> Iterator[str]:
    """A line per algorithm: how many times off, median and worst, in time and RAM."""
    yield f"{'':40} {'runs':>4}  {'time: median':>12} {'worst':>7}  {'RAM: median':>11} {'worst':>7}"
    groups = {f"{run.library} {run.algorithm}" for run in runs}
    for name in sorted(groups):
        yield _line(name, [run for run in runs if f"{run.library} {run.algorithm}" == name])
    for name in sorted({run.set for run in runs}):
        yield _line(f"all, {name}", [run for run in runs if run.set == name])


def _line(name: str, runs: list[Run]) -> str:
    times, rams = [run.time_factor for run in runs], [run.ram_factor for run in runs]
    figures = (f"×{value:.2f}" for value in (statistics.median(times), max(times), statistics.median(rams), max(rams)))
    return "{:40} {:4}  {:>12} {:>7}  {:>11} {:>7}".format(name, len(runs), *figures)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose line matches")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep every run as CSV")
    options = parser.parse_args()
    device, runs = only_cpu(here(probe())), []
    for case in cases(options.only):
        try:
            run = measure(case, device)
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            print(f"{' '.join(case.values())}: not measured: {why}", flush=True)
            continue
        runs.append(run)
        print(
            f"{run.library:9} {run.algorithm:28} {run.rows:>9,} × {run.columns:<5} {run.dtype}  "
            f"{run.predicted_s:8.2f} s, measured {run.measured_s:8.2f} (×{run.time_factor:.2f})   "
            f"{run.predicted_gib:6.2f} GiB, measured {run.measured_gib:6.2f} (×{run.ram_factor:.2f})",
            flush=True,
        )
        if options.write:
            _keep(options.write, runs)
    print(f"\n{device.cpu.name}, {platform.system()}, Python {platform.python_version()}, one thread", *report(runs), sep="\n")
    return 0


def _keep(path: Path, runs: list[Run]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, asdict(runs[0]).keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(run) for run in runs)


if __name__ == "__main__":
    raise SystemExit(main())
