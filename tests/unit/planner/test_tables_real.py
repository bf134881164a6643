"""Real fits in processes of their own beside what was predicted of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.hosts.probe import probe
from dispatcher.planner import tables
from dispatcher.planner.devices import here, only_cpu
from dispatcher.planner.workload.tabular import build

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

FIT = Path(__file__).parents[3] / "scripts" / "benchmarks" / "accuracy_fit.py"
CASES = [
    ("hist-gradient-boosting", 100_000, 20, "float32", {"trees": 20}),
    ("ridge", 300_000, 40, "float64", {}),
    ("random-forest", 30_000, 20, "float64", {"trees": 10}),
    ("svm", 3_000, 20, "float64", {}),
]


@pytest.mark.parametrize(("algorithm", "rows", "columns", "dtype", "sizes"), CASES)
def test_a_real_fit_needs_what_was_predicted(algorithm, rows, columns, dtype, sizes):
    env = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    job = {
        "run": "python fit.py",
        "env": env,
        "model": {"library": "sklearn", "algorithm": algorithm, **sizes},
        "dataset": {"rows": rows, "columns": columns, "dtype": dtype},
    }
    device = only_cpu(here(probe()))
    work = build(JobConfig.model_validate(job), device)
    done = subprocess.run(
        [sys.executable, str(FIT), json.dumps(job)], env={**os.environ, **env}, capture_output=True, timeout=120, check=True
    )
    measured = json.loads(done.stdout)
    ram, span = tables.memory(work, device)[1].range.likely, tables.seconds(work, device)
    assert span is not None
    assert 1 / 1.5 < ram / measured["peak"] < 1.5
    assert 1 / 8 < span.likely / measured["cpu"] < 8
