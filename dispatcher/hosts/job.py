"""A job on a host: launched, asked after, stopped, forgotten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from dispatcher.domain.run import Label
from dispatcher.errors import HostError, HostUnreachable
from dispatcher.hosts.base import Entry, Exit, Host, Tree, plain

AGENT = Path(__file__).resolve().parent.parent / "agent"
PROGRAMS = tuple(sorted(file.name for file in AGENT.glob("*.py") if file.name != "__init__.py"))
PYTHON_FLAGS = "-ES"
"""Neither the user's PYTHON* variables nor site packages: quick, and nobody else's code."""
STARTED_BEFORE = 3
KILL_GRACE_SECONDS = 10.0
"""What a job has between SIGTERM and SIGKILL, at most; the agent counts it."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What the agent is told. Times in seconds; values of `secrets` reach the job's environment and no file.

    `cloud` is aws or gcp on machines that their provider may take back: the agent listens for that. An
    address and a pause in seconds may follow, for stand-ins of the provider's.
    """

    label: str
    command: str
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    setup: str | None = None
    path_prefix: str = ""
    deadline_seconds: float | None = None
    stop_grace: float = 30.0
    keep_awake: bool = False
    sample_seconds: float = 2.0
    cloud: str = ""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job stands. `phase`: absent, starting, setup, running, ended or lost; times are Unix seconds.

    `log_cut`: the disk was full while it ran, and what the job wrote then is nowhere.
    `reason`: exited, signal, oom-host, oom-device, deadline, stopped, preempted, setup-failed or lost.
    """

    phase: str
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    started: float | None = None
    ended: float | None = None
    setup_seconds: float | None = None
    ram_peak_gib: float | None = None
    memory_limit_gib: float | None = None
    gpu_peak_gib: float | None = None
    cpu_seconds: float | None = None
    log_size: int = 0
    log_cut: bool = False
    notices: tuple[str, ...] = ()
    sample: Mapping[str, Any] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in ("ended", "lost")


def longest_end(grace: float) -> float:
    """Seconds after which a job that was asked to end is killed at the latest."""
    return grace + min(grace, KILL_GRACE_SECONDS)


def launch(host: Host, spec: JobSpec) -> None:
    """Start the job, detached from us. Raises HostError when it was started before, or cannot be."""
    push_agent(host)
    done = _agent(host, "start", spec.label, stdin=json.dumps(document(spec)).encode())
    if done.code == STARTED_BEFORE:
        raise HostError(f"The job {spec.label} was started on {host.name} before", fix="mlrun ps")
    if done.code:
        said = plain(done.stderr) or f"the agent ended with {done.code}"
        raise HostError(f"The job could not be started on {host.name}: {said}", fix="mlrun doctor")


def status(host: Host, label: str) -> JobStatus:
    """Where the job stands now."""
    return _told(host, label, _agent(host, "status", label))


def status_of(document: Mapping[str, Any]) -> JobStatus:
    """The status that a document of the agent's tells."""
    known = {one.name: document[one.name] for one in fields(JobStatus) if one.name in document}
    return JobStatus(**known | {"notices": tuple(str(one.get("message")) for one in document.get("notices") or ())})


def stop(host: Host, label: str, grace: float) -> JobStatus:
    """End the job, with `grace` seconds between SIGINT and SIGTERM; returns when it has ended."""
    return _told(host, label, _agent(host, "stop", label, "--grace", str(grace)))


def forget(host: Host, label: str) -> None:
    """Remove the attempt's folder."""
    if Label.parse(label) is None:
        raise HostError(f"{label!r} is no label of ours: its folder is not removed")
    host.run(["rm", "-rf", "--", f"{host.root}/{label}"])


def labels(host: Host) -> list[str]:
    """Every label that has a folder on the host, or a living process."""
    push_agent(host)
    done = _agent(host, "labels", "")
    if done.code:
        raise HostUnreachable(f"{host.name} does not tell which jobs it has", fix="mlrun doctor")
    return sorted(str(one) for one in json.loads(done.stdout) if Label.parse(str(one)))


def push_agent(host: Host) -> None:
    """Have the agent on the host, unless it is there as part of this package."""
    if getattr(host, "agent", None):
        return
    entries = tuple(Entry(name, (AGENT / name).stat().st_size) for name in PROGRAMS)
    host.push(Tree(AGENT, entries), agent_folder())


@cache
def agent_folder() -> str:
    """Where the agent stands on hosts that lack this package: each version has a folder of its own, and old ones go on."""
    digest = hashlib.sha256(b"".join((AGENT / name).read_bytes() for name in PROGRAMS))
    return f"agent-{digest.hexdigest()[:12]}"


def run_program(host: Host, program: str, arguments: Sequence[str], stdin: bytes = b"") -> Exit:
    """Run one of the agent's programs."""
    return host.run([*_program(host, program), *arguments], stdin=stdin)


def _agent(host: Host, verb: str, label: str, *options: str, stdin: bytes = b"") -> Exit:
    folder = str(PurePosixPath(host.root) / label)
    argv = [*_program(host, "agent.py"), verb, folder, *options]
    if verb == "start":
        argv = ["env", f"DISPATCHER_LABEL={label}", *argv]  # the watchers are found by it, as the job is
    return host.run(argv, stdin=stdin)


def _program(host: Host, name: str) -> list[str]:
    """The command that runs a program of the agent. A host may bring (python, folder) of its own."""
    python, folder = getattr(host, "agent", None) or ("python3", f"{host.root}/{agent_folder()}")
    return [python, PYTHON_FLAGS, f"{folder}/{name}"]


def document(spec: JobSpec) -> dict[str, Any]:
    """What the agent reads."""
    found = {one.name: getattr(spec, one.name) for one in fields(spec)}
    label = Label.parse(spec.label)
    ours = {"DISPATCHER_LABEL": spec.label, "DISPATCHER_RUN_ID": label.run if label else spec.label}
    return found | {"env": {**spec.env, **ours}, "secrets": dict(spec.secrets)}


def _told(host: Host, label: str, done: Exit) -> JobStatus:
    if done.code == 2 and b"agent.py" in done.stderr:
        return JobStatus("absent")  # the agent was never sent there
    try:
        document = json.loads(done.stdout)
    except ValueError as error:
        said = plain(done.stderr)
        raise HostUnreachable(f"{host.name} does not tell how {label} stands: {said}", fix="mlrun doctor") from error
    return status_of(document)
