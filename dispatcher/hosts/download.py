"""Brings files home from a computer we do not trust."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Entry, plain
from dispatcher.hosts.collect import fault
from dispatcher.hosts.landing import Landing
from dispatcher.hosts.programs import command
from dispatcher.hosts.session import CHUNK, Session

HEAD = 5
Start = Callable[[Sequence[str]], Session]


def pull(start: Start, entries: Sequence[Entry], remote: str, local: Path, name: str) -> None:
    """Fetch files into a private folder; only when all are there and verified do they get their names."""
    for entry in entries:
        if why := fault(entry.path):
            raise SyncFailed(f"The file {entry.path!r} is not fetched: {why}", fix="Correct `outputs` in the job file.")
    with Landing(local, hashlib.sha256(f"{name}:{remote}".encode()).hexdigest()[:16]) as landing:
        wanted = [(entry, *landing.begun(entry)) for entry in entries]
        missing = [(entry, size, digest) for entry, size, digest in wanted if size < entry.size or not entry.size]
        landing.room_for(sum(entry.size - size for entry, size, _ in missing))
        if missing:
            _fetch(start, remote, missing, landing)
        landing.settle(entries)


def _fetch(start: Start, remote: str, missing: Sequence[tuple[Entry, int, Any]], landing: Landing) -> None:
    session = start(command("send.py", remote))
    try:
        session.send(json.dumps([[entry.path, size] for entry, size, _ in missing]).encode())
        session.end_input()
        for entry, size, digest in missing:
            with landing.growing(entry) as file:
                for piece in _pieces(session, entry, size):
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
            landing.check(entry, size, digest)
    finally:
        session.close()


def _pieces(session: Session, entry: Entry, size: int) -> Iterator[bytes]:
    """What comes of one file; never more than was announced."""
    while True:
        head = session.exactly(HEAD)
        kind, length = head[:1], int.from_bytes(head[1:], "big")
        if kind == b"n" and len(head) == HEAD:
            return
        if kind == b"x" and length < CHUNK:
            why = plain(session.exactly(length))
            raise SyncFailed(f"{entry.path} cannot be fetched: {why}", fix="mlrun fetch")
        if kind != b"d" or len(head) < HEAD:
            raise SyncFailed(f"{entry.path} cannot be fetched: its host sends what is no file", fix="mlrun fetch")
        size += length
        if size > entry.size:
            raise SyncFailed(f"{entry.path} is larger than its host announced", fix="mlrun fetch")
        while length and (chunk := session.receive(min(length, CHUNK))):
            length -= len(chunk)
            yield chunk
        if length:
            raise SyncFailed(f"{entry.path} cannot be fetched: its host stopped in the middle", fix="mlrun fetch")
