"""Local runs: what mlrun adds to a bare command in time, memory, output rate and a line's delay."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import MLRUN, PYTHON, Broken, Row, Sample, home, in_turns, middle, reading, run, seconds

LINES, WIDTH = 1_000_000, 100
PRINTER = f"import sys\nline = 'x' * {WIDTH - 1}\nfor _ in range({LINES}): sys.stdout.write(line + chr(10))\n"
TICKER = "import time\nfor _ in range(20):\n    print(time.time(), flush=True)\n    time.sleep(0.05)\n"


def overhead_rows(work: Path, turns: int) -> list[Row]:
    """A job that does nothing, beside the bare command; and what an attached mlrun holds."""
    env = _quiet(work, "nothing", "true")
    job = str(work / "nothing.yaml")
    ours, bare = in_turns(turns, lambda: run([MLRUN, job], env), lambda: run(["/bin/sh", "-c", "true"], env))
    more = ours.seconds - bare.seconds
    return [
        Row("local run, nothing to do", seconds(ours.seconds), seconds(bare.seconds), more, "seconds more", 0.5),
        Row("attached run, memory", f"{ours.peak_mib:.0f} MiB", "–", ours.peak_mib, "MiB", 90),
    ]


def rate_rows(work: Path, turns: int) -> list[Row]:
    """100 MB of lines to a pipe, from the first byte to the last: a program that prints them, and cat, which is all rate."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "printer.py").write_text(PRINTER)
    with (work / "lines.txt").open("w") as file:
        file.writelines("y" * (WIDTH - 1) + "\n" for _ in range(LINES))
    rows = []
    for name, command in (("a program prints", f"{shlex.quote(PYTHON)} printer.py"), ("cat", "cat lines.txt")):
        env = _quiet(work, "flood", command)
        argv = [MLRUN, str(work / "flood.yaml")]
        shell = ["/bin/sh", "-c", command]
        ours, bare = in_turns(turns, lambda a=argv, e=env: _drain(a, e, work), lambda a=shell, e=env: _drain(a, e, work))
        megabytes = LINES * WIDTH / 1e6
        ratio = bare.seconds / ours.seconds
        shown = [f"{megabytes / sample.seconds:,.0f} MB/s" for sample in (ours, bare)]
        rows.append(Row(f"100 MB of output, {name}", *shown, ratio, "ours ÷ bare pipe", 0.8, at_least=True))
    return [*rows, _through_disk(work, turns)]


def _through_disk(work: Path, turns: int) -> Row:
    """The same `cat`, beside one into a file and out of it again: a job's log is whole on the disk, which a pipe is not."""
    env = _quiet(work, "flood", "cat lines.txt")
    script = "rm -f copy; cat lines.txt >> copy; cat copy"
    ours, disk = in_turns(
        turns,
        lambda: _whole([MLRUN, str(work / "flood.yaml")], env, work),
        lambda: _whole(["/bin/sh", "-c", script], env, work),
    )
    shown = [f"{LINES * WIDTH / 1e6 / sample.seconds:,.0f} MB/s" for sample in (ours, disk)]
    return Row("100 MB of output, start to end", *shown, disk.seconds / ours.seconds, "ours ÷ by way of a file")


def _whole(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Sample:
    began = time.perf_counter()
    _drain(argv, env, cwd)
    return Sample(time.perf_counter() - began, 0.0)


def delay_rows(work: Path, _turns: int) -> list[Row]:
    """How long a printed line takes to the reader."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "ticker.py").write_text(TICKER)
    env = {**_quiet(work, "ticks", f"{shlex.quote(PYTHON)} ticker.py"), "PYTHONUNBUFFERED": "1"}
    ours, bare = _delay([MLRUN, str(work / "ticks.yaml")], env, work), _delay([PYTHON, "ticker.py"], env, work)
    shown = f"{ours * 1000:.1f} ms", f"{bare * 1000:.1f} ms"
    return [Row("a line's delay", *shown, (ours - bare) * 1000, "ms more", 50)]


def _quiet(work: Path, name: str, command: str) -> dict[str, str]:
    work.mkdir(parents=True, exist_ok=True)
    (work / f"{name}.yaml").write_text(f"run: {json.dumps(command)}\nwhere: local\n")
    return home(work / "home")


def _drain(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> Sample:
    """Read a process's stdout to its end; seconds from its first byte to its last."""
    with reading(argv, env, cwd) as process:
        assert process.stdout is not None
        total = len(process.stdout.read(1))
        began = time.perf_counter()
        last = began
        while chunk := process.stdout.read1(1 << 20):  # type: ignore[attr-defined]
            total += len(chunk)
            last = time.perf_counter()
    if process.returncode or total != LINES * WIDTH:
        raise Broken(f"{argv[0]} ended with {process.returncode} after {total:,} of {LINES * WIDTH:,} bytes")
    return Sample(last - began, 0.0)


def _delay(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> float:
    """Median seconds between a line's printing and its arrival."""
    with reading(argv, env, cwd) as process:
        assert process.stdout is not None
        waits = [time.time() - float(line) for line in process.stdout]
    if process.returncode or len(waits) != 20:
        raise Broken(f"{argv[0]} ended with {process.returncode} after {len(waits)} of 20 lines")
    return middle(waits)
