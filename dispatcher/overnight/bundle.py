"""Everything a night's machine needs, in one file named by its hash."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Tree
from dispatcher.hosts.job import AGENT, PROGRAMS, JobSpec, agent_folder, document

QUICK = 3
"""gzip's third level: half the time of its usual one for a few percent more bytes."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """The file, its bytes, its SHA-256."""

    file: Path
    size: int
    sha256: str

    @property
    def key(self) -> str:
        """Its name in the bucket."""
        return f"bundles/{self.sha256}.tar.gz"


def pack(target: Path, tree: Tree, spec: JobSpec, outputs: Iterable[str]) -> Bundle:
    """Write the bundle: the work folder, the agent, what runs it, and the job without any secret."""
    return pack_all(target, {Path(spec.cwd).name: tree}, job_of(spec, outputs))


def job_of(spec: JobSpec, outputs: Iterable[str]) -> dict[str, Any]:
    """A job as its machine reads it."""
    return {"spec": document(spec), "agent": agent_folder(), "outputs": list(outputs)}


def pack_all(target: Path, works: Mapping[str, Tree], job: Mapping[str, Any]) -> Bundle:
    """Write the bundle of one job or of several; their work folders by the names that they have on the machine."""
    try:
        with (
            target.open("wb") as raw,
            gzip.GzipFile("", "wb", QUICK, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as bundle,
        ):
            for name, tree in works.items():
                _add_folder(bundle, name)
                for entry in tree.entries:
                    _add_file(bundle, tree.root / entry.path, f"{name}/{entry.path}", entry.mode)
            for name in PROGRAMS:
                _add_file(bundle, AGENT / name, f"{agent_folder()}/{name}", 0o644)
            _add_file(bundle, paths.templates_dir() / "overnight" / "night.py", "night/night.py", 0o644)
            _add_bytes(bundle, json.dumps(job).encode(), "night/job.json")
        return Bundle(target, target.stat().st_size, _digest(target))
    except OSError as error:
        raise SyncFailed(f"The bundle cannot be made: {error}", fix="Free some space, or correct the rights.") from error


def _add_folder(bundle: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    bundle.addfile(info)


def _add_file(bundle: tarfile.TarFile, path: Path, name: str, mode: int) -> None:
    with path.open("rb") as source:
        info = tarfile.TarInfo(name)
        info.size, info.mode = path.stat().st_size, mode & 0o777
        bundle.addfile(info, source)


def _add_bytes(bundle: tarfile.TarFile, content: bytes, name: str) -> None:
    info: Any = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    bundle.addfile(info, io.BytesIO(content))


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            found.update(chunk)
    return found.hexdigest()
