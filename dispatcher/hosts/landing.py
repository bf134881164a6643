"""A private place for files on their way home."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Entry

CHUNK = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Landing:
    """A folder `.NAME.part` below `local` that nobody else reads. What an interrupted fetch left there is gone on with.

    No path from elsewhere names a file in it, and none is followed through a link on its way out.
    """

    def __init__(self, local: Path, name: str) -> None:
        self.local, self._name = local, f".mlrun-{name}.part"
        with _disk(local):
            local.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(local / self._name, 0o700)  # noqa: PTH102  (beside the calls that take folders as numbers)
            self._folder = os.open(local / self._name, FOLDER)
            os.fchmod(self._folder, 0o700)

    def __enter__(self) -> Landing:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def begun(self, entry: Entry) -> tuple[int, Any]:
        """How much of a file is here already, and the hash of that; what cannot be the file's beginning is removed."""
        digest, size = hashlib.sha256(), 0
        try:
            with self._opened(entry, os.O_RDONLY) as file:
                for chunk in iter(lambda: file.read(CHUNK), b""):
                    digest.update(chunk)
                    size += len(chunk)
        except FileNotFoundError:
            return 0, digest
        if size > entry.size or (size == entry.size and not _fits(entry, size, digest)):
            self.drop(entry)
            return 0, hashlib.sha256()
        return size, digest

    def room_for(self, missing: int) -> None:
        """Refuse what would fill the disk, before it does."""
        if (free := shutil.disk_usage(self.local).free) < missing:
            message = f"{missing / 1e9:.1f} GB of outputs do not fit on the disk of {self.local}: {free / 1e9:.1f} GB are free"
            raise SyncFailed(message, fix="Make room, then: mlrun fetch")

    @contextlib.contextmanager
    def growing(self, entry: Entry) -> Iterator[Any]:
        """The file, to write on where it ends."""
        with _disk(self.local), self._opened(entry, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
            yield file
            os.fsync(file.fileno())

    def check(self, entry: Entry, size: int, digest: Any) -> None:
        """Refuse a file that is not what was announced."""
        if not _fits(entry, size, digest):
            self.drop(entry)
            raise SyncFailed(f"{entry.path} changed while it was fetched, or came damaged", fix="mlrun fetch")

    def drop(self, entry: Entry) -> None:
        """Forget what is here of a file."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_inner(entry), dir_fd=self._folder)

    def settle(self, entries: Sequence[Entry]) -> None:
        """Give every file its name, and remove the folder. What stands there is replaced; a link is replaced, not followed."""
        with _disk(self.local):
            top = os.open(self.local, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for entry in entries:
                    self._name_it(top, entry)
            finally:
                os.close(top)
        shutil.rmtree(self.local / self._name, ignore_errors=True)

    def _name_it(self, top: int, entry: Entry) -> None:
        *folders, name = entry.path.split("/")
        os.chmod(_inner(entry), entry.mode & 0o777, dir_fd=self._folder)
        with contextlib.ExitStack() as opened:
            for folder in folders:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, 0o755, dir_fd=top)
                top = os.open(folder, FOLDER, dir_fd=top)
                opened.callback(os.close, top)
            os.rename(_inner(entry), name, src_dir_fd=self._folder, dst_dir_fd=top)

    def _opened(self, entry: Entry, flags: int) -> Any:
        handle = os.open(_inner(entry), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
        return open(handle, "ab" if flags & os.O_WRONLY else "rb", buffering=0)  # noqa: PTH123


def _inner(entry: Entry) -> str:
    return hashlib.sha256(entry.path.encode("utf-8", "surrogateescape")).hexdigest()


def _fits(entry: Entry, size: int, digest: Any) -> bool:
    return size == entry.size and (not entry.sha256 or digest.hexdigest() == entry.sha256)


@contextlib.contextmanager
def _disk(local: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"Outputs cannot be written below {local}: {error.strerror or error}"
        raise SyncFailed(message, fix="Make room, or correct the rights, then: mlrun fetch") from error
