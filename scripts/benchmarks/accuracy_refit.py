"""Refit the constants of jobs on tables to what was measured.

That is: to published measurements, and to runs that accuracy.py has kept.

python scripts/benchmarks/accuracy_refit.py --runs runs.csv                              errors per group, constants as they are
python scripts/benchmarks/accuracy_refit.py --runs runs.csv --scorer DIR --data DIR --vary xgboost_value,xgboost_row --write
DIR with `score.py` and `questions.py`, which turn a row of a measured table into a job and a machine.
"""

from __future__ import annotations

import argparse
import collections
import csv
import dataclasses
import math
import re
import statistics
import sys
from fnmatch import fnmatch
from pathlib import Path

from accuracy import job_of

from dispatcher import catalog, paths
from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import TableWorkload
from dispatcher.errors import MlrunError
from dispatcher.hosts.probe import probe
from dispatcher.planner import constants as table
from dispatcher.planner import tables
from dispatcher.planner.devices import here, only_cpu, rented
from dispatcher.planner.workload.tabular import build

TABLE = "constants-tables.csv"
STEPS = (0.5, 0.7, 0.85, 0.95, 1.05, 1.2, 1.4, 2.0)
PULL = 0.02
"""How much a constant's distance from where it started counts beside the error: what no row speaks of stays."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A measured figure with the work and the device it is of; seconds, or GiB."""

    group: str
    what: str
    measured: float
    work: TableWorkload
    device: Device

    def off(self) -> float:
        """Log of predicted over measured."""
        return math.log(max(1e-9, self.predicted()) / self.measured)

    def predicted(self) -> float:
        """What the planner says."""
        if self.what == "ram":
            return tables.memory(self.work, self.device)[1].range.likely
        time = tables.seconds(self.work, self.device)
        return time.likely if time else math.nan


def published(scorer: Path, data: Path, skip: str) -> list[Case]:
    """Every askable row about tables whose reference does not match `skip`."""
    sys.path.insert(0, str(scorer))
    import questions as asking
    import score

    asking.LIBRARIES["catboost"] = "catboost"
    questions, _, _ = score.load(data, ["classical"], "", 0, 0)
    found = []
    for q in questions:
        machine = catalog.find_instance(*q.machine.split(":"))
        if machine is None or (skip and re.search(skip, q.ref)):
            continue
        device = rented(machine)
        try:
            work = build(JobConfig.model_validate(q.job), device)
        except MlrunError:
            continue
        found.append(Case(f"{q.source} {q.group}", q.what, q.measured, work, device))
    return found


def own(path: Path) -> list[Case]:
    """The runs of this computer that constants are fitted to; the others only judge them."""
    device, found = only_cpu(here(probe())), []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["set"] != "fit":
                continue
            work = build(JobConfig.model_validate(job_of(row)), device)
            name = f"own {row['library']} {row['algorithm']}"
            found.append(Case(f"{name} seconds", "seconds", float(row["measured_s"]), work, device))
            found.append(Case(f"{name} ram", "ram", float(row["measured_gib"]), work, device))
    return found


def loss(groups: dict[str, list[Case]]) -> float:
    """Mean over groups of their mean absolute log error; a large group counts more, but not in proportion."""
    weights = {name: len(cases) ** 0.5 for name, cases in groups.items()}
    return sum(weights[name] * statistics.mean(abs(case.off()) for case in cases) for name, cases in groups.items()) / sum(
        weights.values()
    )


def setting(name: str, value: float) -> None:
    """Put a value in place of the table's, in this process."""
    known = table.constants()
    known[name] = dataclasses.replace(known[name], value=value)
    table.constant.cache_clear()


def search(names: list[str], groups: dict[str, list[Case]], rounds: int) -> dict[str, float]:
    """Coordinate descent in shrinking factors, with a small pull to where each constant started."""
    start = {name: table.constant(name) for name in names}
    best = dict(start)

    def cost() -> float:
        return loss(groups) + PULL * statistics.mean(abs(math.log(best[name] / start[name])) for name in names)

    least = cost()
    for turn in range(rounds):
        for name in names:
            kept = best[name]
            for step in STEPS:
                best[name] = kept * step ** (0.7**turn)
                setting(name, best[name])
                now = cost()
                if now < least:
                    least, kept = now, best[name]
            best[name] = kept
            setting(name, kept)
        print(f"round {turn + 1}: {least:.4f}", flush=True)
    return best


def write(values: dict[str, float]) -> None:
    """Put the fitted values into the table, to three figures."""
    path = paths.tables_dir() / TABLE
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["name"] in values:
            row["value"] = f"{values[row['name']]:.3g}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def show(groups: dict[str, list[Case]]) -> None:
    """How many times off, median and 90th percentile, and the bias, per group."""
    for name, cases in sorted(groups.items()):
        factors = sorted(math.exp(abs(case.off())) for case in cases)
        bias = math.expm1(statistics.median(case.off() for case in cases))
        p90 = factors[min(len(factors) - 1, int(0.9 * len(factors)))]
        print(f"{name:52} {len(cases):4}  median ×{statistics.median(factors):.2f}  bias {bias:+5.0%}  p90 ×{p90:.2f}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--scorer", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", default="", help="groups whose name matches this")
    parser.add_argument("--skip", default="", help="published rows whose reference matches this, such as old software's")
    parser.add_argument("--vary", default="", help="constants, with * for any letters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    found = [case for path in args.runs for case in own(path)]
    if args.scorer and args.data:
        found += published(args.scorer, args.data, args.skip)
    groups = collections.defaultdict(list)
    for case in found:
        if re.search(args.only, case.group):
            groups[case.group].append(case)
    if args.vary:
        wanted = [name for name in table.constants() if any(fnmatch(name, pattern) for pattern in args.vary.split(","))]
        best = search(wanted, groups, args.rounds)
        print("  ".join(f"{name} {value:.3g}" for name, value in best.items()))
        if args.write:
            write(best)
    show(groups)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
