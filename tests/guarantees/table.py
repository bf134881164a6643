"""Measures every row, each in a process of its own, and prints the table."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROWS = sorted(file.stem for file in (Path(__file__).parent / "rows").glob("r[0-9][0-9].py"))
AT_ONCE = 2
FOREIGN = ("AWS_", "GOOGLE_", "CLOUDSDK_", "DISPATCHER_")
MEASURE = """
import importlib, sys
from tests.guarantees.row import Size
print(importlib.import_module("tests.guarantees.rows." + sys.argv[1]).measure(Size(sys.argv[2])))
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("rows", nargs="*", help="R4, R17 …; all where none is named")
    parser.add_argument("--quick", action="store_true", help="fewer of everything, within ten minutes")
    asked = parser.parse_args()
    wanted = [f"r{int(one.lstrip('rR')):02}" for one in asked.rows] or ROWS
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mlrun-soak-", ignore_cleanup_errors=True) as folder:
        lines = measured(wanted, Path(folder), quick=asked.quick)
    for line in lines:
        print(line)
    short = sum(not line.endswith("| reached") for line in lines)
    print(f"\n{len(lines) - short} of {len(lines)} reached, in {(time.monotonic() - begun) / 60:.1f} minutes")
    return 1 if short else 0


def measured(wanted: list[str], folder: Path, *, quick: bool) -> list[str]:
    """The rows' lines, in their order. What cannot be measured is short, with the reason."""
    waiting, running, lines = deque(wanted), {}, {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            row = waiting.popleft()
            running[row] = (_begun(row, folder, quick=quick), time.monotonic())
        row, (process, begun) = next(iter(running.items()))
        for one, (other, since) in running.items():
            if other.poll() is not None:
                row, process, begun = one, other, since
        if process.poll() is None:
            time.sleep(0.2)
            continue
        del running[row]
        lines[row] = _line(row, process, folder)
        print(f"{row.upper()} measured in {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return [lines[row] for row in wanted]


def _begun(row: str, folder: Path, *, quick: bool) -> subprocess.Popen[str]:
    """Nobody's credentials and settings are seen; everything that is made is below the folder."""
    home = folder / row
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    environment = {**kept, "HOME": str(home), "DISPATCHER_HOME": str(home / "dispatcher"), "TMPDIR": str(home)}
    argv = [sys.executable, "-c", MEASURE, row, "quick" if quick else "whole"]
    with (home / "said").open("w") as said:
        return subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)


def _line(row: str, process: subprocess.Popen[str], folder: Path) -> str:
    assert process.stdout
    told = process.stdout.read().strip().splitlines()
    if process.returncode or not told:
        why = (folder / row / "said").read_text(errors="replace").strip().splitlines()[-1:]
        return f"R{int(row[1:])} | | could not be measured: {' '.join(why)[:200]} | short"
    return told[-1].strip()


if __name__ == "__main__":
    sys.exit(main())
