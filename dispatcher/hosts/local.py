"""This computer as a host: subprocesses and files."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dispatcher.errors import HostError, SyncFailed
from dispatcher.events import Span
from dispatcher.hosts.base import Entry, Exit, Tree

CHUNK = 1 << 20
LONGEST_SPAN = 8 << 20
AGENT = Path(__file__).resolve().parent.parent / "agent"


class LocalHost:
    """Host of this computer; relative paths are meant below its root."""

    def __init__(self, root: Path) -> None:
        self.name = "local"
        self.agent = (sys.executable, str(AGENT))
        self.root = str(root)

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", on_output: Callable[[bytes], None] | None = None) -> Exit:
        """Run a program to its end; its output is returned, or handed on as it comes. A terminal's Ctrl-C is not for it."""
        pipe = subprocess.PIPE
        try:
            with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
                stdout, stderr = _stream(process, stdin, on_output) if on_output else process.communicate(stdin)
        except OSError as error:
            raise HostError(f"{argv[0]} cannot be run here: {error.strerror}", fix="mlrun doctor") from error
        code = process.returncode
        return Exit(code if code >= 0 else 128 - code, stdout, stderr)

    def push(self, tree: Tree, remote: str) -> None:
        """Copy the tree's files; those that are there with the same size and time stay."""
        for entry in tree.entries:
            _copy(tree.root / entry.path, self._path(remote) / entry.path)

    def read(self, remote: str, offset: int) -> Iterator[bytes]:
        """Yield a file's bytes from `offset`; b"" whenever there is nothing new, or no file yet."""
        path = self._path(remote)
        while not path.is_file():
            yield b""
        try:
            with path.open("rb", buffering=0) as file:
                file.seek(offset)
                while True:
                    yield file.read(CHUNK)
        except OSError as error:
            raise HostError(f"{path} cannot be read: {error.strerror}") from error

    def spans(self, remote: str, offset: int) -> Iterator[Span]:
        """As `read`, without reading: where in the open file new bytes stand; an empty span where there are none."""
        path = self._path(remote)
        while not path.is_file():
            yield Span(-1, offset, 0)
        try:
            with path.open("rb", buffering=0) as file:
                while True:
                    span = Span(file.fileno(), offset, max(0, min(LONGEST_SPAN, os.fstat(file.fileno()).st_size - offset)))
                    offset += span.size
                    yield span
        except OSError as error:
            raise HostError(f"{path} cannot be read: {error.strerror}") from error

    def pull(self, entries: Sequence[Entry], remote: str, local: Path) -> None:
        """Copy files home, each verified before it takes its name."""
        for entry in entries:
            target = local / entry.path
            part = target.with_name(f"{target.name}.part")
            _copy(self._path(remote) / entry.path, part)
            if part.stat().st_size != entry.size or (entry.sha256 and sha256(part) != entry.sha256):
                part.unlink()
                raise SyncFailed(f"{entry.path} changed while it was fetched", fix="mlrun fetch")
            part.replace(target)

    def close(self) -> None:
        """There is no connection."""

    def _path(self, remote: str) -> Path:
        return Path(self.root) / remote


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stream(process: subprocess.Popen[bytes], stdin: bytes, on_output: Callable[[bytes], None]) -> tuple[bytes, bytes]:
    """Hand stdout on as it comes; stdin and stderr have threads of their own, so that no pipe fills up."""
    assert process.stdin
    assert process.stdout
    assert process.stderr
    said: list[bytes] = []
    threads = [
        threading.Thread(target=_feed, args=(process.stdin, stdin), daemon=True),
        threading.Thread(target=lambda pipe: said.append(pipe.read()), args=(process.stderr,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while chunk := os.read(process.stdout.fileno(), CHUNK):
        on_output(chunk)
    for thread in threads:
        thread.join()
    process.wait()
    return b"", b"".join(said)


def _feed(pipe: object, data: bytes) -> None:
    try:
        pipe.write(data)  # type: ignore[attr-defined]
        pipe.close()  # type: ignore[attr-defined]
    except OSError:
        return  # the program ended without reading: its exit code tells


def _copy(source: Path, target: Path) -> None:
    try:
        if _same(source, target):
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.copy")
        shutil.copy2(source, part, follow_symlinks=False)
        part.replace(target)
    except OSError as error:
        message = f"{source} cannot be copied to {target}: {error.strerror}"
        raise SyncFailed(message, fix="Free disk space, or correct the rights.") from error


def _same(source: Path, target: Path) -> bool:
    try:
        here, there = source.stat(), target.stat()
    except FileNotFoundError:
        return False
    return (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns)
