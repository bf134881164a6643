"""SHA-256 of the files of a folder, remembered while they stay unchanged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from dispatcher import paths

UNSETTLED_NS = 50_000_000
"""A file written so shortly before it was read may have changed since without a later time."""


Mark = list[int]
"""Size, time of writing, time of change (ns), inode."""


class Hashes:
    """The hashes of one folder's files, kept in the cache folder by size, times and inode."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]
        self._file = paths.cache_dir() / "hashes" / f"{name}.json"
        self._kept = self._load()
        self._seen: dict[str, list[Any]] = {}

    @property
    def known(self) -> bool:
        """Whether anything is remembered."""
        return bool(self._kept)

    def of(self, path: str) -> str:
        """A file's hash. Raises OSError."""
        full = f"{self._root}/{path}"
        now, mark = time.time_ns(), mark_of(os.stat(full))  # noqa: PTH116  (ten thousand files: Path takes thrice as long)
        known = self._kept.get(path)
        if known and known[1:] == mark:
            self._seen[path] = known
            return str(known[0])
        with open(full, "rb") as file:  # noqa: PTH123
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.learn(path, mark, digest, now)
        return digest

    def learn(self, path: str, mark: Mark, digest: str, moment: int) -> None:
        """Remember a hash, with what the file looked like at that moment (Unix ns), before it was read."""
        if max(mark[1], mark[2]) < moment - UNSETTLED_NS:
            self._seen[path] = [digest, *mark]

    def save(self) -> None:
        """Remember; where that cannot be, the next time takes longer."""
        if self._seen == self._kept:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = self._file.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(self._seen))
            part.replace(self._file)

    def _load(self) -> dict[str, list[Any]]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._file.read_text())
            return found if isinstance(found, dict) else {}
        return {}


def mark_of(found: os.stat_result) -> Mark:
    """What tells that a file is as it was."""
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
