"""Prints our figures beside their references."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from elsewhere import connect_rows, log_rows, sync_rows
from history import ps_rows
from local import delay_rows, overhead_rows, rate_rows
from measure import PYTHON, Broken, Row
from planner import planner_rows
from start import help_rows, plan_rows

COLUMNS = ("figure", "ours", "reference", "ratio", "compared as", "goal", "met")
MET = {True: "yes", False: "NO", None: "–"}
WIDTHS = (36, 12, 12, 8, 21, 7, 3)


def main() -> int:
    """Run the sections asked for; 1 with --check when a goal is missed."""
    if sys.argv[1:2] == ["accuracy"]:
        return accuracy(sys.argv[2:])
    options = parse()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        rows, troubles = measure(options, Path(folder))
    print(f"\nmedians of {options.turns}, {os.cpu_count()} CPUs, Python {sys.version.split()[0]}")
    return 1 if options.check and (troubles or any(row.met is False for row in rows)) else 0


def accuracy(words: list[str]) -> int:
    """Jobs on tables and small networks, predicted and then measured; `words` go to both."""
    here = Path(__file__).parent
    ended = [
        subprocess.run([PYTHON, str(here / name), *words], check=False).returncode
        for name in ("accuracy.py", "accuracy_networks.py")
    ]
    return max(ended)


def parse() -> argparse.Namespace:
    """The choices."""
    arguments = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    arguments.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        help="help plan planner run rate delay ps connect sync log; all of them by default",
    )
    arguments.add_argument("--turns", type=int, default=7, help="runs of each; the median counts")
    arguments.add_argument("--with-flintrock", action="store_true", help="install flintrock aside, for its --help")
    arguments.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    return arguments.parse_args()


def measure(options: argparse.Namespace, work: Path) -> tuple[list[Row], int]:
    """The rows of each section, shown as they come, and how many sections broke."""
    flintrock = _flintrock(work / "flintrock") if options.with_flintrock else None
    sections: dict[str, Callable[[Path, int], list[Row]]] = {
        "help": lambda at, turns: help_rows(at, turns, flintrock),
        "plan": plan_rows,
        "planner": planner_rows,
        "run": overhead_rows,
        "rate": rate_rows,
        "delay": delay_rows,
        "ps": ps_rows,
        "connect": connect_rows,
        "sync": sync_rows,
        "log": log_rows,
    }
    unknown = set(options.sections) - set(sections)
    if unknown:
        sys.exit(f"no such section: {', '.join(sorted(unknown))}. There are: {' '.join(sections)}")
    _show(COLUMNS)
    rows: list[Row] = []
    troubles = 0
    for name in options.sections or sections:
        try:
            found = sections[name](work / name, options.turns)
        except (Broken, subprocess.CalledProcessError, OSError, ValueError) as error:
            troubles += 1
            print(f"{name}: could not be measured: {error}")
            continue
        for row in found:
            _show((row.figure, row.ours, row.reference, f"{row.value:.3g}", row.compared, row.goal, MET[row.met]))
        rows += found
    return rows, troubles


def _flintrock(folder: Path) -> str | None:
    """The reference's program, in an environment of its own."""
    print("installing flintrock aside …", file=sys.stderr)
    try:
        subprocess.run([PYTHON, "-m", "venv", str(folder)], check=True, capture_output=True)
        subprocess.run([str(folder / "bin/pip"), "install", "--quiet", "flintrock"], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        print(f"flintrock could not be installed: {error.stderr.decode(errors='replace')[-200:]}")
        return None
    return str(folder / "bin/flintrock")


def _show(cells: tuple[str, ...]) -> None:
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
