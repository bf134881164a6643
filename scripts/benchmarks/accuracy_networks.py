"""Small networks on the CPU: predicted, then trained here and measured.

Seconds are those of a step on one core, RAM is the most that the process held. The one core's speed is its share of what was
measured of all; other work on the machine makes both coarser.

python scripts/benchmarks/accuracy_networks.py                 every case, as a table
python scripts/benchmarks/accuracy_networks.py --only resnet --write runs.csv
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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.plan import Range
from dispatcher.hosts.probe import probe
from dispatcher.planner.assess import assess
from dispatcher.planner.devices import here, only_cpu

HERE = Path(__file__).parent
LONGEST = 60.0
"""Seconds after which a case is given up."""
STEPS = 4


@dataclass(frozen=True)
class Run:
    """One case: seconds of a step and GiB, predicted and measured."""

    case: dict[str, str]
    seconds: Range
    ram: Range
    measured_seconds: float
    measured_ram: float
    parameters: tuple[float, float]

    @property
    def name(self) -> str:
        """The case in a line."""
        case = self.case
        shape = "×".join(case[key] for key in ("layers", "hidden", "vocab") if case[key])
        marks = [case["optimizer"], "checkpointed" if case["checkpointing"] == "true" else ""]
        return " ".join(filter(None, [case["kind"], shape, f"{case['length']}, batch {case['batch']}", *marks]))


def job_of(case: dict[str, str]) -> dict[str, Any]:
    """The job file of a case."""
    model: dict[str, Any] = {"name": case["kind"], "image_size": int(case["length"])}
    if case["layers"]:
        model = {key: int(case[key]) for key in ("layers", "hidden", "heads", "ffn", "vocab")}
        model |= {"family": "transformer", "kind": "encoder" if case["kind"] == "bert" else "decoder"}
        model |= {"sequence_length": int(case["length"]), "mlp": "gated" if case["kind"] == "llama" else "plain"}
        model |= {"tied_embeddings": case["kind"] != "llama"}
    training = {"batch_size": int(case["batch"]), "steps": STEPS, "precision": case["precision"], "workers": 0}
    training |= {"optimizer": case["optimizer"], "gradient_checkpointing": case["checkpointing"] == "true"}
    return {"run": "python step.py", "task": "train", "model": model, "training": training}


def one_core(device: Device) -> Device:
    """The same computer with one core of its CPU."""
    cpu = device.cpu
    share = max(1.0, min(cpu.cores, device.usable_cores))
    return replace(device, usable_cores=1.0, cpu=replace(cpu, cores=1, threads=1, gflops=cpu.gflops / share))


def measure(case: dict[str, str], device: Device) -> Run:
    """Predict a case, then run it."""
    need = assess(JobConfig.model_validate(job_of(case)), device)
    assert need.step is not None
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TRANSFORMERS_OFFLINE": "1"}
    argv = [sys.executable, str(HERE / "accuracy_step.py"), json.dumps(case)]
    done = subprocess.run(argv, env=env, capture_output=True, timeout=LONGEST, check=False, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
    found = json.loads(done.stdout.splitlines()[-1])
    counts = (need.parameters or 0.0, float(found["parameters"]))
    return Run(case, need.step, need.ram.range, found["seconds"], found["peak"], counts)


def report(runs: list[Run]) -> Iterator[str]:
    """Median and worst factor per kind, and how often the range held."""
    yield f"\n{'':10} {'runs':>4}  {'time: median':>12} {'worst':>7} {'held':>5}  {'RAM: median':>11} {'worst':>7} {'held':>5}"
    for kind in [*dict.fromkeys(run.case["kind"] for run in runs), ""]:
        found = [run for run in runs if kind in ("", run.case["kind"])]
        cells = [*_cells([(r.seconds, r.measured_seconds) for r in found]), *_cells([(r.ram, r.measured_ram) for r in found])]
        yield "{:10} {:4}  {:>12} {:>7} {:>5}  {:>11} {:>7} {:>5}".format(kind or "all", len(found), *cells)


def _cells(pairs: list[tuple[Range, float]]) -> tuple[str, str, str]:
    off = [factor(one, measured) for one, measured in pairs]
    held = sum(one.low <= measured <= one.high for one, measured in pairs)
    return f"×{statistics.median(off):.2f}", f"×{max(off):.2f}", f"{held}/{len(pairs)}"


def factor(predicted: Range, measured: float) -> float:
    """How many times off, never below one."""
    return max(predicted.likely / measured, measured / predicted.likely)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose line matches")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep every run as CSV, as replay.py reads it")
    options = parser.parse_args()
    device, runs = one_core(only_cpu(here(probe(measure=True)))), []
    with (HERE / "accuracy_networks.csv").open(newline="", encoding="utf-8") as file:
        cases = [case for case in csv.DictReader(file) if re.search(options.only, ",".join(case.values()))]
    for case in cases:
        try:
            run = measure(case, device)
        except (RuntimeError, subprocess.TimeoutExpired) as why:
            print(
                f"{' '.join(case.values())}: not measured: {why if isinstance(why, RuntimeError) else 'too long'}", flush=True
            )
            continue
        runs.append(run)
        print(
            f"{run.name:46} {1000 * run.seconds.likely:7.0f} ms, measured {1000 * run.measured_seconds:7.0f} "
            f"(×{factor(run.seconds, run.measured_seconds):.2f})   {run.ram.likely:5.2f} GiB, measured {run.measured_ram:5.2f} "
            f"(×{factor(run.ram, run.measured_ram):.2f})   {run.parameters[0] / run.parameters[1]:.3f} of its parameters",
            flush=True,
        )
    if not runs:
        return 1
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"\n{device.cpu.name}, {platform.system()}, {names}, one thread, {datetime.now(UTC).date()}", *report(runs), sep="\n")
    if options.write:
        _keep(options.write, runs, device)
    return 0


def _keep(path: Path, runs: list[Run], device: Device) -> None:
    head = ["source", "subject", "method", "device", "model", "quantity", "predicted", "low", "high", "measured"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for run in runs:
            family = "transformer" if run.case["layers"] else "vision"
            about = ["own", family, "full", device.cpu.name, run.case["kind"]]
            for name, one, measured in (
                ("seconds", run.seconds, run.measured_seconds),
                ("ram_gib", run.ram, run.measured_ram),
            ):
                writer.writerow([*about, name, *(f"{value:.6g}" for value in (one.likely, one.low, one.high, measured))])


if __name__ == "__main__":
    raise SystemExit(main())
