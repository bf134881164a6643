"""Start: `mlrun --help` and `mlrun plan`, as whole processes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from measure import MLRUN, PYTHON, Broken, Row, Sample, home, in_turns, run, seconds

LIBRARIES = "import click, pydantic, ruamel.yaml"
HEAVY = ("pydantic", "rich", "paramiko", "boto3", "google.cloud")
KNOWN = """run: python train.py --batch-size ${training.batch_size}
model: {name: gpt2, sequence_length: 512}
training: {batch_size: 8, steps: 1000, precision: fp32}
"""


def help_rows(work: Path, turns: int, flintrock: str | None) -> list[Row]:
    """`--help` beside an empty Python, and beside flintrock's where it was asked for."""
    env = home(work)
    ours, empty = in_turns(turns, lambda: run([MLRUN, "--help"], env), lambda: run([PYTHON, "-c", "pass"], env))
    ratio = ours.seconds / empty.seconds
    rows = [
        Row("--help, an empty Python", seconds(ours.seconds), seconds(empty.seconds), ratio, "ours ÷ reference"),
        _heavy_imports(env),
    ]
    if flintrock:
        ours, theirs = in_turns(turns, lambda: run([MLRUN, "--help"], env), lambda: run([flintrock, "--help"], env))
        ratio = ours.seconds / theirs.seconds
        rows.append(Row("--help, flintrock's", seconds(ours.seconds), seconds(theirs.seconds), ratio, "ours ÷ reference", 0.5))
    return rows


def plan_rows(work: Path, turns: int) -> list[Row]:
    """`plan` of a known model, beside importing what it needs."""
    work.mkdir(parents=True, exist_ok=True)
    job = work / "known.yaml"
    job.write_text(KNOWN)
    (work / "train.py").write_text("pass\n")
    env = home(work)
    plan = [MLRUN, "plan", str(job)]
    ours, whole, libraries = in_turns(
        turns, lambda: run(plan, env), lambda: run([*plan, "--json"], env), lambda: run([PYTHON, "-c", LIBRARIES], env)
    )
    ratio = ours.seconds / libraries.seconds
    work_ratio = ours.cpu / libraries.cpu
    return [
        Row("plan, a known model", seconds(ours.seconds), seconds(libraries.seconds), ratio, "ours ÷ its libraries", 3),
        Row("plan, CPU", seconds(ours.cpu), seconds(libraries.cpu), work_ratio, "ours ÷ its libraries", 3),
        Row("plan --json, every region", seconds(whole.seconds), seconds(libraries.seconds), *_beside(whole, libraries)),
        Row("plan, memory", f"{ours.peak_mib:.0f} MiB", "–", ours.peak_mib, "MiB", 120),
    ]


def _beside(ours: Sample, theirs: Sample) -> tuple[float, str]:
    return ours.seconds / theirs.seconds, "ours ÷ its libraries"


def _heavy_imports(env: dict[str, str]) -> Row:
    """How many libraries `--help` must not load it does load."""
    told = subprocess.run([PYTHON, "-X", "importtime", "-m", "dispatcher", "--help"], env=env, capture_output=True, text=True)
    if told.returncode:
        raise Broken(f"mlrun --help ended with {told.returncode}")
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines() if line.startswith("import time:")}
    found = [name for name in HEAVY if name in loaded]
    return Row("--help, heavy imports", ", ".join(found) or "none", "none", len(found), "libraries", 0)
