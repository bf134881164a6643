"""Jobs that are traced in this very environment, and one without torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.domain.traced import Traced, Untraceable
from dispatcher.tracing import TIMEOUT, trace

KNOWN: dict[str, Traced | Untraceable] = {}
"""Several tests look at one trace."""
Trace = Callable[..., Traced | Untraceable]


@pytest.fixture
def environ() -> dict[str, str]:
    """This environment, activated."""
    return {**os.environ, "VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def tracing(tmp_path: Path, environ: dict[str, str]) -> Trace:
    """Traces a job whose folder holds `code` as net.py."""

    def run(code: str = "", *, timeout: float = TIMEOUT, batch: int = 4, precision: str = "fp32", **model: Any) -> Any:
        folder = tmp_path / "job"
        folder.mkdir(exist_ok=True)
        (folder / "net.py").write_text(code)
        training = {"batch_size": batch, "precision": precision, **model.pop("training", {})}
        key = repr((code, timeout, batch, precision, training, sorted(model.items())))
        named = model if not code else {"factory": "net:build", **model}
        job = JobConfig.model_validate({"run": "true", "model": named, "training": training})
        if not code or timeout < TIMEOUT:
            return trace(job, folder, environ, timeout=timeout)
        if key not in KNOWN:
            KNOWN[key] = trace(job, folder, environ, timeout=timeout)
        return KNOWN[key]

    return run
