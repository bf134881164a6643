"""Bring outputs home from a computer we do not trust."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.domain.run import Output
from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Entry, Host
from dispatcher.hosts.job import push_agent, run_program

LONGEST_NAME_BYTES = 255
MOST_FILES, DEEPEST = 200_000, 64
RESERVED = frozenset({"con", "prn", "aux", "nul"} | {f"{kind}{number}" for kind in ("com", "lpt") for number in range(1, 10)})
"""Names that Windows keeps for devices, whatever their ending."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a job left: files, those of them changed since it started, (path, why) of what is refused.

    `answered` are the numbers of the patterns that name something new, or something refused.
    """

    entries: tuple[Entry, ...]
    new: frozenset[str]
    refused: tuple[tuple[str, str], ...]
    answered: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Collected:
    """The outputs, (path, why) of what was refused, and the patterns under which this run left nothing."""

    outputs: list[Output]
    refused: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()


def collect(host: Host, cwd: str, outputs: Sequence[str], workdir: Path, *, in_place: bool, since: float = 0.0) -> Collected:
    """The outputs with their hashes; fetched and verified below `workdir` unless they stand there already.

    Only what changed since `since` (Unix seconds) is this run's. Elsewhere a clock may have been set meanwhile: what seems
    unchanged there is left only where the very same bytes stand here.
    """
    if not outputs:
        return Collected([])
    left = manifest(host, cwd, outputs, since)
    kept = [entry for entry in left.entries if entry.path in left.new]
    if not in_place:
        if refused := next((one for one in left.refused), None):
            raise SyncFailed(
                f"The output {refused[0]!r} is not fetched: {refused[1]}", fix="Correct `outputs` in the job file."
            )
        ours = tuple(one for one in left.entries if one.path in left.new or not same_here(workdir, one))
        host.pull(ours, cwd, inside(workdir, ours))
        kept = [*ours]
    missing = tuple(pattern for number, pattern in enumerate(outputs) if number not in left.answered)
    return Collected([Output(entry.path, entry.size, entry.sha256) for entry in kept], left.refused, missing)


def manifest(host: Host, cwd: str, outputs: Sequence[str], since: float = 0.0) -> Left:
    """What stands in the job's folder under these names, patterns and folders, as the host tells it and we believe it."""
    push_agent(host)
    asked = {"root": cwd, "patterns": list(outputs), "since": since}
    done = run_program(host, "manifest.py", (), json.dumps(asked).encode())
    if done.code:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise SyncFailed(f"The outputs in {cwd} cannot be listed: {' '.join(said)}", fix="mlrun fetch")
    return believe(done.stdout.splitlines())


def believe(lines: Iterable[bytes]) -> Left:
    """A manifest as its host told it, without what could write elsewhere than it should."""
    entries: list[Entry] = []
    refused: list[tuple[str, str]] = []
    new: set[str] = set()
    answered: set[int] = set()
    seen: dict[str, str] = {}
    for number, line in enumerate(lines):
        if number >= MOST_FILES:
            raise SyncFailed(f"The job left more than {MOST_FILES:,} files", fix="Name fewer `outputs`, or pack them into one.")
        told = _told(line)
        path = str(told.get("path", ""))
        why = str(told.get("refused") or "") or fault(path) or _clash(path, seen) or _misfit(told)
        if why or told.get("new"):
            answered |= _numbers(told.get("patterns"))
        if why:
            refused.append((path, why))
            continue
        entries.append(Entry(path, told["size"], int(told.get("mode", 0o644)) & 0o666 | 0o600, told["sha256"]))
        if told.get("new"):
            new.add(path)
    return Left(tuple(entries), frozenset(new), tuple(refused), frozenset(answered))


def fault(path: str) -> str:
    """Why a path from elsewhere may not be written here; "" when it may."""
    parts = path.split("/")
    if path.startswith(("/", "\\", "~")) or (len(path) > 1 and path[1] == ":"):
        return "its path is absolute"
    if any(part in ("", ".", "..") for part in parts) or "\\" in path:
        return "its path leads elsewhere"
    if any(ord(letter) < 32 or 127 <= ord(letter) < 160 or 0xD800 <= ord(letter) < 0xE000 for letter in path):
        return "its name has control characters or is no text"
    if len(parts) > DEEPEST or any(len(part.encode()) > LONGEST_NAME_BYTES for part in parts):
        return "its name is too long"
    if any(part.split(".")[0].rstrip().lower() in RESERVED or part.endswith((" ", ".")) for part in parts):
        return "its name is reserved on other systems"
    return ""


def _clash(path: str, seen: dict[str, str]) -> str:
    """Two names that some file systems take for one; and a file where another needs a folder."""
    folded = path.casefold()
    parts, spelled = folded.split("/"), path.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(spelled[:depth])
        if seen.setdefault("/".join(parts[:depth]), f"{folder}/") != f"{folder}/":
            return "another output has the same name but for its case"
    if folded in seen:
        return "another output has the same name but for its case"
    seen[folded] = path
    return ""


def _numbers(told: object) -> set[int]:
    return {one for one in told if isinstance(one, int)} if isinstance(told, list) else set()


def _misfit(told: dict[str, Any]) -> str:
    size, digest = told.get("size"), told.get("sha256")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        return "its size is not told"
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        return "its hash is not told"
    mode = told.get("mode", 0o644)
    return "" if isinstance(mode, int) and mode >= 0 else "its mode is not told"


def _told(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SyncFailed("The host's list of outputs is not readable", fix="mlrun fetch") from error
    if not isinstance(told, dict):
        raise SyncFailed("The host's list of outputs is not readable", fix="mlrun fetch")
    return told


def same_here(workdir: Path, entry: Entry) -> bool:
    """Whether the file that was sent still stands here as it stands there."""
    path = workdir / entry.path
    try:
        if not path.is_file() or path.stat().st_size != entry.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except OSError:
        return False


def inside(workdir: Path, entries: Sequence[Entry]) -> Path:
    """The folder, where no link in it would lead a file out of it."""
    root = workdir.resolve()
    for entry in entries:
        if not (root / entry.path).resolve().is_relative_to(root) or (root / entry.path).is_symlink():
            raise SyncFailed(f"{entry.path} would be written through a link", fix=f"Remove the link in {workdir}.")
    return root
