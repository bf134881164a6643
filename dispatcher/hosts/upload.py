"""Makes a folder on a host hold a tree, in one stream."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import zstandard

from dispatcher.errors import SyncFailed
from dispatcher.hosts.ahead import ahead
from dispatcher.hosts.base import Tree, plain
from dispatcher.hosts.hashes import Hashes, mark_of
from dispatcher.hosts.programs import command
from dispatcher.hosts.session import Session

CHUNK = 1 << 20
LEVEL = 3
Row = list[Any]
"""path, size, 1 where it may be run, SHA-256 in hexadecimal ("" while unknown)."""
Start = Callable[[Sequence[str]], Session]


class Compressor(Protocol):
    """What both codecs can do."""

    def compress(self, data: bytes, /) -> bytes:
        """Some compressed bytes, perhaps none yet."""

    def flush(self) -> bytes:
        """The rest."""


def push(start: Start, tree: Tree, remote: str, origin: str, name: str) -> None:
    """Have `remote` hold the tree. A first push is one stream without a question asked; later ones send what changed."""
    rows: list[Row] = [[one.path, one.size, 1 if one.mode & 0o111 else 0, ""] for one in tree.entries]
    hashes = Hashes(tree.root)
    session = _started(start, command("receive.py", remote, hashlib.sha256(origin.encode()).hexdigest()[:32]), rows, hashes)
    try:
        there = _heard(session, name)
        blind = bool(there.get("blank"))
        if not blind:
            _know(rows, hashes)
        _send(session, tree, rows, hashes, zstd=bool(there.get("zstd")), blind=blind, name=name)
    finally:
        session.close()


def _started(start: Start, argv: Sequence[str], rows: list[Row], hashes: Hashes) -> Session:
    """The receiver, started while the files are looked at."""
    with ThreadPoolExecutor(1) as beside:
        opening = beside.submit(start, argv)
        try:
            if hashes.known:
                _know(rows, hashes)
        except BaseException:
            opening.result().close()
            raise
        return opening.result()


def columns_of(rows: Sequence[Row]) -> dict[str, Any]:
    """The manifest by columns, as the receiver reads it."""
    paths, sizes, runs, hashes = zip(*rows, strict=True) if rows else ((), (), (), ())
    joined = "".join(one or 64 * "0" for one in hashes)
    return {"paths": paths, "sizes": sizes, "runs": "".join(map(str, runs)), "hashes": joined}


def digest_of(rows: Sequence[Row]) -> str:
    """One hash for a manifest; the receiver computes the same."""
    lines = (f"{path}\0{size}\0{runs}\0{sha}" for path, size, runs, sha in rows)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _send(session: Session, tree: Tree, rows: list[Row], hashes: Hashes, *, zstd: bool, blind: bool, name: str) -> None:
    """The manifest and the contents; both without a question in between, where nothing is there (`blind`)."""
    learned = hashes if blind else None
    manifest = zlib.compress(json.dumps(columns_of(rows)).encode(), 1)
    answer = {"blind": blind, "digest": "" if blind else digest_of(rows)}
    _tell(session, {"manifest": len(manifest), "codec": "zstd" if zstd else "zlib", **answer})
    session.send(manifest)
    needed = [[number, 0] for number in range(len(rows))]
    if not blind:
        heard = _heard(session, name)
        if heard.get("same"):
            hashes.save()
            return
        needed = [_resumed(tree, rows, wish) for wish in _wishes(heard, rows, name)]
        _tell(session, needed)
    squeeze = zstandard.ZstdCompressor(level=LEVEL).compressobj() if zstd else zlib.compressobj(LEVEL)
    for piece in ahead(_squeezed(_contents(tree, rows, needed, learned), squeeze)):
        if not session.send(piece):
            break
    session.end_input()
    hashes.save()  # while the other side puts things in place
    if not _heard(session, name).get("done"):
        raise _nonsense(name)


def _wishes(heard: dict[str, Any], rows: Sequence[Row], name: str) -> list[tuple[int, int, str]]:
    """What the receiver asks for: [number, offset, SHA-256 of what stands before it], each a file of ours."""
    try:
        wishes = [(int(number), int(offset), str(prefix)) for number, offset, prefix in heard["need"]]
        if all(0 <= number < len(rows) and 0 <= offset <= rows[number][1] for number, offset, _ in wishes):
            return wishes
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense(name) from error
    raise _nonsense(name)


def _resumed(tree: Tree, rows: list[Row], wish: Sequence[Any]) -> list[int]:
    """From where a file is sent: where an interrupted push stopped, if what it brought is what stands here."""
    number, offset, prefix = wish
    if not offset:
        return [number, 0]
    digest, missing = hashlib.sha256(), offset
    with (tree.root / rows[number][0]).open("rb") as file:
        while missing and (chunk := file.read(min(CHUNK, missing))):
            digest.update(chunk)
            missing -= len(chunk)
    return [number, offset if not missing and digest.hexdigest() == prefix else 0]


def _contents(tree: Tree, rows: list[Row], needed: Sequence[Sequence[int]], learned: Hashes | None) -> Iterator[bytes]:
    """The files' bytes; after them their hashes, where the manifest could not hold them."""
    root = str(tree.root)
    for number, offset in needed:
        row = rows[number]
        digest = hashlib.sha256()
        handle = _opened(f"{root}/{row[0]}", row[0])
        try:
            now, mark = time.time_ns(), mark_of(os.fstat(handle))
            for chunk in _read(handle, row, offset):
                digest.update(chunk)
                yield chunk
        finally:
            os.close(handle)
        if learned:
            row[3] = digest.hexdigest()
            learned.learn(row[0], mark, row[3], now)
        elif not offset and row[3] != digest.hexdigest():
            raise _changed(row[0])
    if learned:
        yield b"".join(bytes.fromhex(rows[number][3]) for number, _ in needed)


def _opened(full: str, path: str) -> int:
    try:
        return os.open(full, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(handle: int, row: Row, offset: int) -> Iterator[bytes]:
    """As many bytes as were announced: what was added meanwhile stays, what was taken away is an error."""
    missing = row[1] - offset
    if offset:
        os.lseek(handle, offset, os.SEEK_SET)
    while missing:
        chunk = os.read(handle, min(CHUNK, missing))
        if not chunk:
            raise _changed(row[0])
        missing -= len(chunk)
        yield chunk


def _squeezed(pieces: Iterator[bytes], codec: Compressor) -> Iterator[bytes]:
    """Small files are gathered: many small packets are slow."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= CHUNK // 4:
            if out := codec.compress(b"".join(gathered)):
                yield out
            gathered, size = [], 0
    yield codec.compress(b"".join(gathered)) + codec.flush()


def _know(rows: list[Row], hashes: Hashes) -> None:
    for row in rows:
        if not row[3]:
            try:
                row[3] = hashes.of(row[0])
            except OSError as error:
                raise _unreadable(row[0], error) from error


def _tell(session: Session, words: Any) -> None:
    session.send(json.dumps(words).encode() + b"\n")


def _heard(session: Session, name: str) -> dict[str, Any]:
    """The receiver's next line."""
    said = b""
    while not said.endswith(b"\n") and (chunk := session.receive()):
        said += chunk
    try:
        told = dict(json.loads(said))
    except (ValueError, TypeError) as error:
        code, complaints = session.end()
        text = plain(complaints) or f"the receiver ended with {code}"
        raise SyncFailed(f"Files cannot be sent to {name}: {text}", fix="Is python3 there, and the disk not full?") from error
    if "error" in told:
        fix = f"Look at the disk and the rights on {name}."
        raise SyncFailed(f"Files cannot be written on {name}: {plain(str(told['error']).encode())}", fix=fix)
    return told


def _nonsense(name: str) -> SyncFailed:
    return SyncFailed(f"Files cannot be sent to {name}: it answers what is no answer", fix="mlrun doctor")


def _unreadable(path: str, error: OSError) -> SyncFailed:
    return SyncFailed(f"{path} cannot be read: {error.strerror}", fix="Correct its rights, or ignore it.")


def _changed(path: str) -> SyncFailed:
    return SyncFailed(f"{path} changed while it was sent", fix="Start again when nothing writes to it, or ignore it.")
