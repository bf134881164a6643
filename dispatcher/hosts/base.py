"""Host: a computer we can talk to. The one contract that local and ssh share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Exit:
    """How a command ended: its code (128 + n after signal n), and its output where it was not handed on."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that travels: path relative to the tree's root, bytes, mode, SHA-256 where it is known."""

    path: str
    size: int
    mode: int = 0o644
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended, as its agent recorded it, and the size of its whole log."""

    outcome: Mapping[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Tree:
    """Files of one folder, in order."""

    root: Path
    entries: tuple[Entry, ...]


def discard(_chunk: bytes) -> None:
    """An output nobody reads."""


def plain(said: bytes, most: int = 300) -> str:
    """The end of what a program of a host said, as a line that a terminal only shows."""
    text = said.decode("utf-8", "replace").strip()[-most:]
    return "".join(letter if letter.isprintable() else " " for letter in text)


class Host(Protocol):
    """A computer that runs commands and holds files. Every method raises a HostError when the computer fails us."""

    name: str
    root: str
    """The folder, on that computer, in which attempts have their folders."""

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", on_output: Callable[[bytes], None] | None = None) -> Exit:
        """Run a program to its end; `argv` is never read by a shell."""

    def push(self, tree: Tree, remote: str) -> None:
        """Make `remote` hold the tree's files, in one stream."""

    def read(self, remote: str, offset: int) -> Iterator[bytes]:
        """Yield what stands in a file from `offset`; b"" whenever nothing new stands there yet. Endless: the caller stops."""

    def pull(self, entries: Sequence[Entry], remote: str, local: Path) -> None:
        """Bring files of the folder `remote` home below `local`, each verified by size and SHA-256."""

    def close(self) -> None:
        """Let go of the connection; nothing that runs there ends by it."""
