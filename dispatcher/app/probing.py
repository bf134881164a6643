"""A short, measured run of a job, on a copy."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dispatcher.app.pacing import expected
from dispatcher.app.redact import Redactor
from dispatcher.app.scratch import scratch
from dispatcher.domain.hardware import Device, Machine
from dispatcher.domain.probed import Probed
from dispatcher.domain.run import Label, new_run_id
from dispatcher.domain.traced import Traced
from dispatcher.engine.watch import Lines
from dispatcher.errors import HostError
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import plain
from dispatcher.hosts.job import JobSpec, JobStatus
from dispatcher.hosts.local import LocalHost
from dispatcher.hosts.probe import probe as look
from dispatcher.hosts.python_env import first_on_path, job_python, without_own
from dispatcher.jobfile.load import LoadedJob
from dispatcher.jobfile.secrets import look_up
from dispatcher.jobfile.settings import Settings
from dispatcher.metrics.pace import Expected, pace
from dispatcher.metrics.progress import Mark, Output, number, told
from dispatcher.planner import devices
from dispatcher.planner.assess import assess
from dispatcher.planner.probed import Evidence
from dispatcher.retries import SystemClock
from dispatcher.units import show_gib

PROBE_SECONDS = 90.0
"""A probe takes no longer."""
GRACE = 3.0
"""Seconds that a probed job has between SIGINT and SIGTERM: nothing of it is kept."""
LOOK_SECONDS = 0.02
SAMPLE_SECONDS = 0.5
NO_GPU = 0.02
"""GiB of GPU memory that are the driver's, not the job's."""
LATEST = 1 << 16
"""Bytes that are read of a flood of output."""
ASKED = b"DISPATCHER_PROBE"
MOST_FILES, LARGEST_FILE = 400, 1 << 20
TRACKERS = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "NEPTUNE_MODE": "offline",
    "CLEARML_OFFLINE_MODE": "1",
    "SWANLAB_MODE": "offline",
    "COMET_AUTO_LOG_DISABLE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""What keeps experiment trackers from telling anybody of a probe; MLflow's and Weights & Biases' folders are set beside."""
Tell = Callable[[str], None]


@dataclass(slots=True)
class _Seen:
    """What a job shows while it runs; seconds since its start."""

    marks: list[Mark] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    too_large: float = 0.0


def evidence(
    loaded: LoadedJob, settings: Settings, tell: Tell, traced: Traced | None = None, limit: float = PROBE_SECONDS
) -> tuple[Evidence | None, tuple[str, ...]]:
    """What a probe of the job showed, beside the formula's figures; None, and why, where it showed nothing."""
    config = loaded.config
    machine = look(measure=True, workdir=loaded.workdir)
    device = devices.here(machine)
    formula = assess(config, device, traced=traced) if config.model else None
    tell(f"probing: at most {limit:.0f} s of the job, on a copy of its folder")
    try:
        found, said = _probed(loaded, settings, machine, device, limit)
    except HostError as error:
        return None, (f"Not probed: {error.message}. {error.fix}",)
    return (Evidence(found, formula) if found else None), said


def _probed(
    loaded: LoadedJob, settings: Settings, machine: Machine, device: Device, limit: float
) -> tuple[Probed | None, tuple[str, ...]]:
    config = loaded.config
    emptied = [*config.outputs, *([config.checkpoint.dir] if config.checkpoint else [])]
    room = machine.ram_available_gib - settings.local.headroom * machine.ram_gib
    with interrupting(), scratch(loaded.workdir, emptied) as (home, copy):
        shortened = _asks(loaded.command, copy)
        host, label = LocalHost(home), str(Label(new_run_id()))
        seen = _Seen()
        try:
            jobs.launch(host, _spec(loaded, label, home, copy, limit))
            _watch(host, label, seen, limit, room)
        finally:
            status = jobs.stop(host, label, GRACE)
        if seen.too_large:
            return None, (f"The probe was ended: the job took {show_gib(seen.too_large)} of RAM, all that is to spare here.",)
        if status.reason not in ("stopped", "deadline") and (status.exit_code or status.signal):
            secrets = [secret.reveal() for secret in look_up(loaded).values()]
            return None, (_failed(host, label, status, seen, secrets),)
        return _summed_up(seen, status, device, expected(config), shortened=shortened), ()


@contextmanager
def interrupting() -> Iterator[None]:
    """What ends us ends the probe first: SIGTERM and a closed terminal as Ctrl-C does."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    except ValueError:  # another thread than the first has no signals
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _spec(loaded: LoadedJob, label: str, home: Path, copy: Path, limit: float) -> JobSpec:
    python = job_python(loaded.workdir, os.environ)
    venv = {"VIRTUAL_ENV": str(python.bin_dir.parent)} if python and python.kind == "venv" else {}
    ours = {
        "DISPATCHER_PROBE": "1",
        "DISPATCHER_OUTPUTS": os.pathsep.join(str(copy / path) for path in loaded.config.outputs),
        "MLFLOW_TRACKING_URI": f"file:{home}/mlruns",
        "WANDB_DIR": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return JobSpec(
        label=label,
        command=loaded.command,
        cwd=str(copy),
        env={**venv, **without_own(python, os.environ), **loaded.config.env, **TRACKERS, **ours},
        secrets={name: secret.reveal() for name, secret in look_up(loaded).items()},
        path_prefix=first_on_path(python, home / "bin"),
        deadline_seconds=limit + GRACE,
        stop_grace=GRACE,
        sample_seconds=SAMPLE_SECONDS,
    )


def _watch(host: LocalHost, label: str, seen: _Seen, limit: float, room: float) -> None:
    """Read along until the job ends, its time is over, or it takes all the memory that is to spare."""
    clock, output = SystemClock(), Output()
    begun = clock.monotonic()
    log, ends = host.read(f"{label}/log", 0), host.read(f"{label}/outcome.json", 0)
    lines, samples = Lines(lambda: host, f"{label}/progress.jsonl"), Lines(lambda: host, f"{label}/samples.jsonl")
    due = 0.0
    while seen.seconds < limit:
        over = bool(next(ends))
        seen.seconds = clock.monotonic() - begun
        while data := next(log):
            if len(data) > LATEST:
                output.missed()
            seen.marks += output.feed(data[-LATEST:], seen.seconds)
        seen.marks += [mark for line in lines.new() if (mark := told(line, seen.seconds))]
        if over:
            return
        if seen.seconds >= due:
            due = seen.seconds + SAMPLE_SECONDS
            seen.samples += [{**one, "at": seen.seconds} for one in samples.new()]
            if seen.samples and (taken := number(seen.samples[-1].get("ram_gib")) or 0.0) > room:
                seen.too_large = taken
                return
        clock.sleep(LOOK_SECONDS)


def _summed_up(seen: _Seen, status: JobStatus, device: Device, expected: Expected, *, shortened: bool) -> Probed:
    warm = [one for one in seen.samples if one["at"] >= seen.seconds / 2] or seen.samples
    gpu = status.gpu_peak_gib if (status.gpu_peak_gib or 0.0) > NO_GPU else None
    busy = [share for one in warm if (share := number(one.get("gpu_utilisation"))) is not None]
    finished = status.reason == "exited" and status.exit_code == 0
    seconds = status.ended - status.started if finished and status.ended and status.started else seen.seconds
    return Probed(
        device=device,
        seconds=seconds,
        finished=finished,
        shortened=shortened,
        ram_gib=status.ram_peak_gib,
        gpu_memory_gib=gpu,
        gpu_busy=_mean(busy) if gpu and busy else None,
        cores_busy=_mean([number(one.get("cpus")) or 0.0 for one in warm]),
        pace=pace(seen.marks, expected),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _failed(host: LocalHost, label: str, status: JobStatus, seen: _Seen, secrets: Sequence[str]) -> str:
    how = f"signal {status.signal}" if status.signal else f"exit code {status.exit_code}"
    with (Path(host.root) / label / "log").open("rb") as log:
        log.seek(max(0, log.seek(0, os.SEEK_END) - LATEST))
        hider = Redactor(secrets)
        shown = hider.feed(log.read()) + hider.rest()  # before it is cut into lines: a secret may have several
    last = next((line for line in reversed(shown.splitlines()) if line.strip()), b"")
    said = f": {plain(last, 200)}" if last else ""
    return f"The probe showed nothing: the job ended after {seen.seconds:.0f} s with {how}{said}"


def _asks(command: str, copy: Path) -> bool:
    """Whether the job's code asks if it is only probed: how it then ends tells nothing of its length."""
    if ASKED.decode() in command:
        return True
    files = (
        one for one in copy.rglob("*") if one.suffix in (".py", ".sh", ".ipynb") and not one.is_symlink() and one.is_file()
    )
    for _, one in zip(range(MOST_FILES), files, strict=False):
        if one.stat().st_size <= LARGEST_FILE and ASKED in one.read_bytes():
            return True
    return False
