"""Every job in configs/ runs here: as shipped, the networks' shorter first."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.shell import Shell

CONFIGS = Path(__file__).parents[2] / "configs"
TORCH, LONG = pytest.mark.torch, pytest.mark.long
A_FEW_STEPS = ["--set", "training.steps=5"]
A_FEW_IMAGES = ["--set", "training.epochs=1", "--set", "dataset.samples=200"]
JOBS = [
    pytest.param("train", [], "runs/digits", lambda found: found["test_accuracy"] > 0.95, id="train"),
    pytest.param("boosting", [], "runs/flights", lambda found: found["test_auc"] > 0.68, id="boosting"),
    pytest.param("gpt", A_FEW_STEPS, "runs/gpt", lambda found: found["test_loss"] < 5.0, id="gpt-short", marks=TORCH),
    pytest.param("gpt", [], "runs/gpt", lambda found: found["test_loss"] < 2.7, id="gpt", marks=[TORCH, LONG]),
    pytest.param(
        "images", A_FEW_IMAGES, "runs/textures", lambda found: found["test_accuracy"] > 0, id="images-short", marks=TORCH
    ),
    pytest.param("images", [], "runs/textures", lambda found: found["test_accuracy"] > 0.6, id="images", marks=[TORCH, LONG]),
]
"""A job, what is asked of it besides, where it leaves its outputs, and what its metrics must show."""


@pytest.fixture
def configs(shell: Shell) -> Path:
    """A copy, so that nothing is left in the checkout."""
    shutil.copytree(CONFIGS, shell.folder / "configs", ignore=shutil.ignore_patterns("runs", "__pycache__"))
    return shell.folder / "configs"


@pytest.mark.parametrize(("name", "less", "outputs", "learnt"), JOBS)
def test_an_example_job_learns_and_its_outputs_are_recorded(
    shell: Shell, configs: Path, name: str, less: list[str], outputs: str, learnt: Callable[[dict[str, float]], bool]
) -> None:
    done = shell.mlrun(f"configs/{name}.yaml", *less, timeout=500)
    assert done.code == 0, done.said
    metrics = json.loads((configs / outputs / "metrics.json").read_text())
    assert learnt(metrics), metrics
    run = shell.last()
    assert ("finished", "succeeded", 0, "local") == tuple(run[key] for key in ("state", "outcome", "exit_code", "where"))
    recorded = {output["path"]: (output["size"], output["sha256"]) for output in run["outputs"]}
    there = {
        file.relative_to(configs).as_posix(): (file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in (configs / outputs).iterdir()
    }
    assert recorded == there


def test_a_plain_script_runs_by_its_command_alone(shell: Shell, configs: Path) -> None:
    done = shell.mlrun("configs/script.yaml")
    assert done.code == 0, done.said
    assert "functions, median" in done.out
    assert shell.last()["name"] == "script"
    assert ["runs/census/functions.csv"] == [output["path"] for output in shell.last()["outputs"]]


@pytest.mark.torch
def test_a_job_that_was_cut_short_goes_on_from_its_checkpoint(shell: Shell, configs: Path) -> None:
    small = ["--set", "model.layers=1", "--set", "training.batch_size=2"]
    first = shell.mlrun("configs/gpt.yaml", *small, "--set", "training.steps=4", "--", "--every", "2")
    assert first.code == 0, first.said
    again = shell.mlrun("configs/gpt.yaml", *small, "--set", "training.steps=6", "--", "--every", "2", "--resume")
    assert again.code == 0, again.said
    steps = [json.loads(line)["step"] for line in again.out.splitlines() if line.startswith("{") and '"step"' in line]
    assert steps == [4, 6]


@pytest.mark.parametrize("name", ["train", "boosting", "gpt", "images", "script"])
def test_an_example_job_is_planned_without_starting_anything(shell: Shell, configs: Path, name: str) -> None:
    done = shell.mlrun("plan", f"configs/{name}.yaml", "--json")
    assert done.code == 0, done.said
    plan = done.json()
    assert plan["schema"].startswith("1.")
    assert plan["here"]["capable"] is True
    assert not (configs / "runs").exists()
    assert shell.runs() == []
