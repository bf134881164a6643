"""What copies into a bucket what a job leaves on its machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dispatcher import paths
from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.hosts.base import Entry, Host, Tree, plain
from dispatcher.overnight.base import Seen

PROGRAMS = ("fetch.py", "night.py")
"""The same as a night's machine runs; here they find the job started by somebody else."""
PUT = ["sh", "-c", 'umask 077; cat > "$1"', "sh"]
BEGIN = ["sh", "-c", 'cd "$1" && setsid -f python3 -ES fetch.py >>keeper.log 2>&1 </dev/null', "sh"]
STANDING = ["sh", "-c", 'cat "$1/done.json" 2>/dev/null || { pgrep -f "^python3 -ES fetch.py" >/dev/null && echo busy; }', "sh"]
"""What the keeper said at its end; busy while it is at work; nothing where it is gone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's results go: a bucket, its region, the folder below which they stand, and the role that may write there."""

    where: str
    bucket: str
    region: str
    below: str
    role: str
    role_id: str = ""
    scheme: str = "s3"

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{self.scheme}://{self.bucket}/{self.below}".rstrip("/")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a bucket has of an attempt: as of nights, and the newest checkpoint's files."""

    seen: Seen
    checkpoint: Mapping[str, Any] = field(default_factory=dict)


class Results(Protocol):
    """One cloud's side of it."""

    def place(self, wish: str, region: str) -> Place:
        """The bucket that `wish` names, looked up; `auto` is the one that setup made in that region. Raises what it lacks."""

    def told(self, place: Place, label: Label) -> dict[str, Any]:
        """What the machine must know to write there."""

    def look(self, place: Place, label: Label) -> Kept | None:
        """What is there of an attempt; None where there is nothing."""

    def bring_log(self, place: Place, kept: Kept, folder: Any) -> None:
        """Its output, and setup's, into a folder."""

    def bring_files(self, place: Place, kept: Kept, entries: Sequence[Entry], folder: Any) -> None:
        """Files, verified, below a folder."""


def job(agent: str, cwd: str, outputs: Sequence[str], checkpoint: str, every: float) -> dict[str, Any]:
    """What the keeper reads of the job that it looks after."""
    saved = {"checkpoint": checkpoint, "checkpoint_seconds": every} if checkpoint else {}
    return {"spec": {"cwd": cwd}, "agent": agent, "outputs": list(outputs)} | saved


def begin(host: Host, label: Label, told: Mapping[str, Any], job: Mapping[str, Any]) -> None:
    """Have the keeper at work beside a job that is about to be started; nobody needs to stay for it."""
    folder = _folder(label)
    source = paths.templates_dir() / "overnight"
    host.push(Tree(source, tuple(Entry(name, (source / name).stat().st_size) for name in PROGRAMS)), folder)
    there = f"{host.root}/{folder}"
    for name, document in (("night.json", {**told, "visited": True}), ("job.json", job)):
        _done(host, [*PUT, f"{there}/{name}"], json.dumps(document).encode())
    _done(host, [*BEGIN, there])


def standing(host: Host, label: Label) -> dict[str, Any] | None:
    """What the keeper said at its end; None while it is at work, an error where it is gone without a word."""
    said = host.run([*STANDING, f"{host.root}/{_folder(label)}"]).stdout.strip()
    if said == b"busy":
        return None
    try:
        found = json.loads(said)
    except ValueError:
        raise HostError("What copies results into the bucket has ended without a word", fix="mlrun ssh RUN") from None
    return found if isinstance(found, dict) else {}


def _folder(label: Label) -> str:
    return f"{label}.keep"


def _done(host: Host, argv: Sequence[str], stdin: bytes = b"") -> None:
    done = host.run(argv, stdin=stdin)
    if done.code:
        raise HostError(f"Results cannot be kept by {host.name}: {plain(done.stderr)}", fix="mlrun JOB without results")
