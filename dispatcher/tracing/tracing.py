"""Asks the job's own Python to trace its network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dispatcher.domain.job import JobConfig
from dispatcher.domain.traced import Traced, Untraceable
from dispatcher.hosts.python_env import PythonEnv, job_python
from dispatcher.tracing import cache, reading
from dispatcher.tracing.subject import CannotTrace, Subject, subject_of

TIMEOUT = 60.0
"""Seconds; importing torch and transformers from a cold disk takes up to half of them."""
MEMORY = 8 * 2**30
"""Bytes of data the trial may hold; fake tensors need none."""
MOST_ANSWER = 50_000_000
FOLDER = Path(__file__).parent
QUIET = {
    "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false", "WANDB_MODE": "disabled", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    "PYTHONWARNINGS": "ignore",
}  # fmt: skip
"""No GPU, no network, no trackers, no files left."""


def trace(
    job: JobConfig, workdir: Path, environ: Mapping[str, str], *, timeout: float = TIMEOUT, only_kept: bool = False
) -> Traced | Untraceable:
    """The job's network as its own code runs, in the job's own Python; or why that cannot be.

    Loads the user's code where `model.factory` names it; with `only_kept` nothing is loaded, and an earlier trace of the same
    code is what there is. Raises UnknownError where the job does not say what is needed.
    """
    try:
        subject = subject_of(job, workdir)
    except CannotTrace as why:
        return Untraceable(str(why))
    python = job_python(workdir, environ)
    if python is None:
        return Untraceable("there is no Python for the job: none active, no .venv, none on PATH")
    answer = _kept_or_asked(subject, python, workdir, {**environ, **job.env, **QUIET}, 0.0 if only_kept else timeout)
    refused = answer.get("refused")
    return Untraceable(str(refused)) if refused else read_answer(answer, subject, job)


def read_answer(answer: dict[str, Any], subject: Subject, job: JobConfig) -> Traced | Untraceable:
    """The trial's answer as figures per sample."""
    batch, segments = subject.request["batch"], answer["segments"]
    whole = sum(one["saved"] for one in segments[:1])
    notes = list(subject.notes)
    if answer.get("integers"):
        notes.append("The network asked for whole numbers: its input was taken as tokens.")
    return Traced(
        name=subject.name,
        modules=reading.modules(segments, batch),
        batch=batch,
        width=subject.width,
        method=job.training.method,
        attention=subject.request["attention"],
        training=subject.request["training"],
        tokens=subject.tokens,
        sample_bytes=whole / batch,
        peak_bytes=reading.peak_bytes(segments, batch),
        torch=answer["torch"],
        notes=tuple(notes),
    )


def _kept_or_asked(
    subject: Subject, python: PythonEnv, workdir: Path, environ: Mapping[str, str], timeout: float
) -> dict[str, Any]:
    source, recorder = ((FOLDER / name).read_text(encoding="utf-8") for name in ("trial.py", "recorder.py"))
    key = cache.key_of(subject.request, source + recorder, workdir.resolve(), python.bin_dir.parent, code=subject.code)
    kept = cache.read(key) if key else None
    if kept is not None:
        return kept
    if not timeout:
        return {"refused": "it was not traced before"}
    request = {**subject.request, "recorder": recorder, "workdir": str(workdir.resolve()), "memory": MEMORY}
    answer = ask(python.path, source, request, environ, timeout)
    if key and "segments" in answer:
        cache.keep(key, answer)
    return answer


def ask(python: Path, source: str, request: dict[str, Any], environ: Mapping[str, str], timeout: float) -> dict[str, Any]:
    """Run the trial and read its last line. What goes wrong is an answer too."""
    try:
        process = subprocess.Popen(
            [str(python), "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",  # so that no file of the user's, named torch.py say, is imported
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        return {"refused": f"{python} does not start: {error.strerror}"}
    try:
        out, _ = process.communicate(json.dumps(request).encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"refused": f"it took over {timeout:.0f} s"}
    finally:
        _end(process)
    return parse(out, process.returncode)


def parse(output: bytes, code: int) -> dict[str, Any]:
    """The trial's last line."""
    lines = output[-MOST_ANSWER:].decode(errors="replace").strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        found = None
    if isinstance(found, dict) and ("refused" in found or ("segments" in found and "torch" in found)):
        return found
    if code < 0:
        return {"refused": f"its process died ({signal.Signals(-code).name})"}
    return {"refused": f"its process ended without an answer (exit code {code})"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """The trial and whatever it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream and not stream.closed:
            with suppress(OSError):
                stream.close()
