"""Planning on a trace, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dispatcher.app.plans import plan_loaded
from dispatcher.errors import UnknownError
from dispatcher.jobfile.load import LoadedJob, load

NET = "import torch\ndef build():\n    return torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.Linear(512, 2))\n"
JOB = """
run: "true"
model: {factory: "net:build", input: [64]%s}
dataset: {samples: 1000}
training: {batch_size: 8, epochs: 2}
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin:/usr/bin:/bin")

    def write(code: str = NET, more: str = "") -> LoadedJob:
        (tmp_path / "net.py").write_text(code)
        (tmp_path / "job.yaml").write_text(JOB % more)
        return load(tmp_path / "job.yaml")

    return write


@pytest.mark.torch
def test_a_factory_is_planned_by_its_trace_and_its_loading_is_said_first(job) -> None:
    said: list[str] = []
    made = plan_loaded(job(), device="T4", trace=True, tell=said.append, explained=True)
    assert said == ["tracing net:build: its code is loaded, nothing is computed"]
    assert made.estimate.parameters == 64 * 512 + 512 + 1026
    assert made.estimate.gpu_memory is not None
    assert made.estimate.gpu_memory.basis == "traced"
    assert "fake tensors" in made.explain[0]


@pytest.mark.torch
def test_a_plan_loads_no_code_unless_told_to_and_then_keeps_the_trace(job, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'loaded')!r}, 'a').write('x')\n{NET}"
    with pytest.raises(UnknownError) as told:
        plan_loaded(job(code, more=", family: torch"), device="T4")
    assert "--trace" in told.value.fix
    assert not (tmp_path / "loaded").exists()
    assert plan_loaded(job(code, more=", family: torch"), device="T4", trace=True).estimate.parameters == 34306
    assert "x" == (tmp_path / "loaded").read_text()
    assert plan_loaded(job(code, more=", family: torch"), device="T4").estimate.parameters == 34306
    assert "x" == (tmp_path / "loaded").read_text()


def test_a_factory_alone_is_not_loaded(job) -> None:
    with pytest.raises(UnknownError) as told:
        plan_loaded(job("raise SystemExit(3)"), device="T4")
    assert "--trace" in told.value.fix


@pytest.mark.torch
def test_a_factory_that_fails_ends_the_plan_with_its_reason(job) -> None:
    with pytest.raises(UnknownError, match="could not be traced: it cannot be built: ValueError: odd"):
        plan_loaded(job("def build():\n    raise ValueError('odd')\n"), device="T4", trace=True)


def test_a_known_model_that_cannot_be_traced_keeps_the_formulas_figures_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        'run: "true"\nmodel: {name: mixtral-8x7b, sequence_length: 512}\ntraining: {batch_size: 1, precision: bf16}\n'
    )
    made = plan_loaded(load(tmp_path / "job.yaml"), device="H100:8", trace=True)
    assert made.estimate.gpu_memory is not None
    assert made.estimate.gpu_memory.basis == "formula"
    reason = "Not traced: which experts a token passes through depends on its values. The figures are the formula's."
    assert reason in made.warnings
