"""The job's output, kept here: its size is where to go on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from dispatcher.engine.context import Context, Work
from dispatcher.errors import HostError
from dispatcher.hosts.job import JobStatus
from dispatcher.paths import private


class KeptLog:
    """A file that grows by what a machine elsewhere wrote; without a folder, only a count."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.size = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> KeptLog:
        if self.path is not None:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._file = open(self.path, "ab", buffering=0, opener=private)
                self.size = self._file.tell()
            except OSError as error:
                raise _full(self.path, error) from error
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, data: bytes) -> None:
        """Keep some more. Raises HostError where there is no room."""
        if self._file is not None:
            assert self.path is not None
            rest = memoryview(data)
            try:
                while rest:
                    written = self._file.write(rest)
                    self.size += written
                    rest = rest[written:]
            except OSError as error:
                raise _full(self.path, error) from error
        else:
            self.size += len(data)

    def clear(self) -> None:
        """Begin again."""
        if self._file is not None:
            self._file.truncate(0)
        self.size = 0

    def digest(self) -> str | None:
        """SHA-256 of what is kept, in hexadecimal."""
        if self.path is None:
            return None
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def kept_log(ctx: Context, work: Work, name: str = "log") -> KeptLog:
    """Where the attempt's log is kept: in the run's folder."""
    return KeptLog(ctx.runs / work.run.id / str(work.label) / name if ctx.runs else None)


def same_there(work: Work, log: KeptLog, status: JobStatus) -> bool:
    """Whether the machine has the same bytes. One that cannot tell a hash is believed its size."""
    here = log.digest()
    if log.size != status.log_size:
        return False
    if told := getattr(status, "log_sha256", ""):
        return here in (None, told)
    done = work.reached().run(["sha256sum", "--", f"{work.reached().root}/{work.label}/log"])
    return here is None or done.code != 0 or done.stdout.decode("ascii", "replace").split()[:1] == [here]


class NoRoom(HostError):
    """The log cannot be kept here; the job is not touched."""


def _full(path: Path, error: OSError) -> NoRoom:
    return NoRoom(f"The job's output cannot be kept in {path}: {error.strerror}", fix="Free space there.")
