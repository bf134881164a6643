"""Makes a folder hold the files that a stream brings.

python3 receive.py FOLDER ORIGIN. It says in lines of JSON what it has, then what it needs, then that it is done; it is told a
header, a manifest and a stream of contents. Beside the folder, `.sync` keeps what was put there, and what was interrupted.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:  # whatever else is imported delays every start
    from typing import Any, Dict, Iterable, Iterator, List, Tuple

CHUNK = 1 << 20
WORTH_RESUMING = 1 << 20
PIPE_SIZE = getattr(fcntl, "F_SETPIPE_SZ", 1031)
CLONE = 0x40049409
"""FICLONE of Linux's ioctl_ficlone(2): a copy that shares its disk until either changes."""


class Inflow:
    """The contents, one after the other, out of a compressed stream."""

    def __init__(self, codec: str) -> None:
        self._buffer, self._at = b"", 0
        self._inflate = None if codec == "zstd" else zlib.decompressobj()
        self._source = 0
        if codec == "zstd":
            self._source, sink = os.pipe()
            with contextlib.suppress(OSError):
                fcntl.fcntl(sink, PIPE_SIZE, CHUNK)
            actions = [(os.POSIX_SPAWN_DUP2, sink, 1), (os.POSIX_SPAWN_CLOSE, sink)]
            os.posix_spawnp("zstd", ["zstd", "-dcq"], os.environ, file_actions=actions)
            os.close(sink)

    def pieces(self, size: int) -> Iterable[memoryview]:
        """So many bytes, as they come."""
        if len(self._buffer) - self._at < size:
            return self._awaited(size)
        self._at += size  # small files come many at once
        return (memoryview(self._buffer)[self._at - size : self._at],)

    def _awaited(self, size: int) -> Iterator[memoryview]:
        while size > 0:
            if self._at == len(self._buffer):
                self._buffer, self._at = self._more(), 0
                if not self._buffer:
                    raise EOFError("the stream ended early")
            piece = memoryview(self._buffer)[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def _more(self) -> bytes:
        while True:
            raw = os.read(self._source, CHUNK)
            if self._inflate is None:
                return raw
            found = self._inflate.decompress(raw) if raw else self._inflate.flush()
            if found or not raw:
                return found


class Folder:
    """The folder, what an earlier push recorded of it, and where an interrupted one left its files."""

    def __init__(self, path: str, origin: str) -> None:
        self.path, self.origin = path.rstrip("/"), origin
        parent, self.name = os.path.split(self.path)
        self.sync = os.path.join(parent, ".sync")
        os.makedirs(self.sync, mode=0o700, exist_ok=True)
        self.part, self.record = (os.path.join(self.sync, self.name + end) for end in (".part", ".json"))
        self._lock = os.open(os.path.join(self.sync, self.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)  # two that push to one folder take turns
        self.digest, self.listed, self.files = "", _listed({}), _listed({})

    def blank(self) -> bool:
        """Whether nothing is here that could spare a byte."""
        return not (os.path.exists(self.record) or os.path.isdir(self.part) or any(map(self._lends, self._others())))

    def verify(self) -> None:
        """Read what was recorded, and look at every file whether it still is so."""
        known = _load(self.record)
        self.listed = _listed(known)
        self.files = _unchanged(self.path, self.listed)
        self.digest = known.get("digest", "") if len(self.files) == len(self.listed) else ""

    def lenders(self) -> Dict[str, str]:
        """By SHA-256: files of other copies of the same origin, as they were put there."""
        found = {row[2]: os.path.join(self.path, path) for path, row in self.files.items()}
        for name in filter(self._lends, self._others()):
            folder = os.path.join(os.path.dirname(self.path), name[: -len(".json")])
            for path, row in _unchanged(folder, _listed(_load(os.path.join(self.sync, name)))).items():
                found[row[2]] = os.path.join(folder, path)
        return found

    def _lends(self, name: str) -> bool:
        """Whether a record is of another copy of the same origin, which stands at its beginning."""
        with contextlib.suppress(OSError), open(os.path.join(self.sync, name)) as file:
            return self.origin in file.read(100)
        return False

    def _others(self) -> List[str]:
        return [name for name in os.listdir(self.sync) if name.endswith(".json") and name != self.name + ".json"]

    def clear_part(self, kept: set[str]) -> None:
        """Have the place for what comes, without what an interrupted push of something else left there."""
        os.makedirs(self.part, mode=0o700, exist_ok=True)
        for folder, _, names in os.walk(self.part, topdown=False):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.part) not in kept:
                    os.unlink(path)
            with contextlib.suppress(OSError):
                if folder != self.part:
                    os.rmdir(folder)

    def switch(self, rows: List[List[Any]], fresh: Dict[int, str], digest: str) -> None:
        """Have the folder hold exactly the rows, whose digest this is, beside what is not ours."""
        wanted = {row[0] for row in rows}
        stale = [path for path in self.listed if path not in wanted]
        with contextlib.suppress(OSError):
            os.rmdir(self.path)  # an empty one makes place
        whole = not os.path.lexists(self.path)
        if whole:
            os.makedirs(self.part, mode=0o700, exist_ok=True)
            os.rename(self.part, self.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.record)  # until it is written anew, nothing is believed of the folder
            self._replace(rows, fresh, stale)
        marks = []
        for number, row in enumerate(rows):
            known = None if whole or number in fresh else self.files.get(row[0])
            mark = fresh[number] if whole and number in fresh else known[3] if known else _mark(os.path.join(self.path, row[0]))
            marks.append(mark)
        part = self.record + ".part"
        with open(part, "w") as file:
            said = {"origin": self.origin, "digest": digest, "marks": marks}
            file.write(json.dumps(dict(said, **columns_of(rows))))
        os.rename(part, self.record)

    def _replace(self, rows: List[List[Any]], fresh: Dict[int, str], stale: List[str]) -> None:
        made: set[str] = set()
        for path in stale:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.path, path))
                os.removedirs(os.path.join(self.path, os.path.dirname(path)))
        for number in fresh:
            path = rows[number][0]
            _make_way(self.path, os.path.dirname(path), made)
            target = os.path.join(self.path, path)
            if os.path.isdir(target) and not os.path.islink(target):
                _remove(target)
            os.rename(os.path.join(self.part, path), target)
        _remove(self.part)
        os.makedirs(self.path, exist_ok=True)


def main(argv: List[str]) -> int:
    """Say what is there, ask for the rest, put it in place."""
    os.umask(0o022)
    folder = Folder(argv[1], argv[2])
    _say(blank=folder.blank(), zstd=_on_path("zstd"))
    folder.verify()  # while the manifest is under way
    head = json.loads(_line())
    rows = rows_of(json.loads(zlib.decompress(_exactly(head["manifest"]))))
    for row in rows:
        _refuse_strange(row[0])
    fresh: Dict[int, str] = {}
    if head["digest"] and head["digest"] == folder.digest:
        os.utime(folder.record)  # it is used
        _say(done=True, same=True)
        return 0
    if head["blind"]:
        needed = [[number, 0] for number in range(len(rows))]
    else:
        fresh, wanted = _at_hand(folder, rows)
        _say(need=wanted)
        needed = json.loads(_line())
    folder.clear_part({rows[number][0] for number in [*fresh, *(row[0] for row in needed if row[1])]})
    _fill(folder.part, rows, needed, fresh, head)
    folder.switch(rows, fresh, head["digest"] or digest_of(rows))
    _say(done=True)
    return 0


def _at_hand(folder: Folder, rows: List[List[Any]]) -> Tuple[Dict[int, str], List[List[Any]]]:
    """What an interrupted push or another copy brought (number → mark); of the rest [number, offset, SHA-256 before it]."""
    fresh: Dict[int, str] = {}
    needed: List[List[Any]] = []
    made: set[str] = set()
    lenders = folder.lenders()
    empty = not os.path.isdir(folder.path) or not os.listdir(folder.path)
    for number, (path, size, runs, sha) in enumerate(rows):
        known = folder.files.get(path)
        if known and known[:3] == [size, runs, sha] and not empty:
            continue
        part = os.path.join(folder.part, path)
        have, prefix = _prefix(part, size)
        if have == size and prefix == sha:
            os.chmod(part, 0o755 if runs else 0o644)
            fresh[number] = _mark(part)
        elif sha in lenders and _lent(lenders[sha], folder.part, path, runs, made):
            fresh[number] = _mark(part)
        else:
            needed.append([number, have, prefix] if 0 < have < size and have >= WORTH_RESUMING else [number, 0, ""])
    return fresh, needed


def _fill(part: str, rows: List[List[Any]], needed: List[List[Any]], fresh: Dict[int, str], head: Dict[str, Any]) -> None:
    """Write the contents that come, and learn their hashes where the sender knew them only afterwards."""
    if not needed:
        return
    inflow = Inflow(head["codec"])
    made: set[str] = set()
    for number, offset in needed:
        path, size, runs = rows[number][:3]
        _make_way(part, os.path.dirname(path), made)
        name = os.path.join(part, path)
        handle = _opened(name, offset, 0o755 if runs else 0o644)
        try:
            if offset:
                os.ftruncate(handle, offset)
            for piece in inflow.pieces(size - offset):
                while piece:
                    piece = piece[os.write(handle, piece) :]
            fresh[number] = _mark_of(os.fstat(handle))
        finally:
            os.close(handle)
    if head["blind"]:
        for number, _ in needed:
            rows[number][3] = b"".join(inflow.pieces(32)).hex()


def _opened(name: str, offset: int, mode: int) -> int:
    """A file to write: what an interrupted push began, or a new one in place of whatever stands there."""
    if offset:
        return os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_APPEND, mode)
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
    with contextlib.suppress(FileExistsError):
        return os.open(name, flags, mode)
    os.unlink(name)
    return os.open(name, flags, mode)


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _lent(source: str, part: str, path: str, runs: int, made: set[str]) -> bool:
    """Copy a file of another copy, sharing its disk where that can be."""
    _make_way(part, os.path.dirname(path), made)
    target = os.path.join(part, path)
    try:
        with open(source, "rb") as old, open(_opened(target, 0, 0o755 if runs else 0o644), "wb") as new:
            try:
                fcntl.ioctl(new, CLONE, old.fileno())
            except OSError:
                new.writelines(iter(lambda: old.read(CHUNK), b""))
    except OSError:
        return False
    return True


def columns_of(rows: List[List[Any]]) -> Dict[str, Any]:
    """A manifest by columns: read several times as fast."""
    paths, sizes, runs, hashes = zip(*rows) if rows else ((), (), (), ())  # noqa: B905  (3.8 has no strict)
    return {
        "paths": paths,
        "sizes": sizes,
        "runs": "".join(map(str, runs)),
        "hashes": "".join(one or 64 * "0" for one in hashes),
    }


def rows_of(columns: Dict[str, Any]) -> List[List[Any]]:
    """The rows: path, size, 1 where it may be run, SHA-256."""
    hashes = columns["hashes"]
    names = enumerate(zip(columns["paths"], columns["sizes"], columns["runs"]))  # noqa: B905
    return [[path, size, int(runs), hashes[64 * n : 64 * n + 64]] for n, (path, size, runs) in names]


def _listed(known: Dict[str, Any]) -> Dict[str, List[Any]]:
    """By path: size, 1 where it may be run, SHA-256, and what the file looked like when it was put there."""
    if "marks" not in known:
        return {}
    return {row[0]: [*row[1:], mark] for row, mark in zip(rows_of(known), known["marks"])}  # noqa: B905


def _unchanged(folder: str, files: Dict[str, List[Any]]) -> Dict[str, List[Any]]:
    """The files that still are what was put there, by size, times and inode."""
    found, before = {}, folder + "/"
    for path, row in files.items():
        try:
            if _mark(before + path) == row[3]:
                found[path] = row
        except OSError:
            continue
    return found


def _mark(path: str) -> str:
    return _mark_of(os.lstat(path))


def _mark_of(found: os.stat_result) -> str:
    return "%d %d %d %d %d" % (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode & 0o170111)


def _prefix(path: str, size: int) -> Tuple[int, str]:
    """How much of a file an interrupted push left, and its hash."""
    digest, have = hashlib.sha256(), 0
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
            for chunk in iter(lambda: file.read(CHUNK), b""):
                digest.update(chunk)
                have += len(chunk)
    except OSError:
        return 0, ""
    return (have, digest.hexdigest()) if have <= size else (0, "")


def _make_way(root: str, below: str, made: set[str]) -> None:
    """Folders down to `below`, in place of links and files that stand there: nothing is written through a link."""
    if below in made:
        return
    if below:
        _make_way(root, os.path.dirname(below), made)
    place = os.path.join(root, below) if below else root
    if os.path.islink(place) or (os.path.lexists(place) and not os.path.isdir(place)):
        os.unlink(place)
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o755)
    made.add(below)


def digest_of(rows: List[List[Any]]) -> str:
    """One hash for a manifest; its sender computes the same."""
    lines = ("%s\0%d\0%d\0%s" % tuple(row[:4]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _refuse_strange(path: str) -> None:
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("a path leads elsewhere: %r" % path)


def _load(path: str) -> Dict[str, Any]:
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        found = json.load(file)
        return found if isinstance(found, dict) else {}
    return {}


def _on_path(program: str) -> bool:
    return any(os.access(os.path.join(place, program), os.X_OK) for place in os.get_exec_path())


def _line() -> bytes:
    """One line, and no byte more: what follows is another program's."""
    said = b""
    while not said.endswith(b"\n"):
        letter = os.read(0, 1)
        if not letter:
            raise EOFError("the sender left")
        said += letter
    return said


def _exactly(size: int) -> bytes:
    parts = []
    while size:
        chunk = os.read(0, min(size, CHUNK))
        if not chunk:
            raise EOFError("the sender left")
        parts.append(chunk)
        size -= len(chunk)
    return b"".join(parts)


def _say(**words: Any) -> None:
    os.write(1, (json.dumps(words) + "\n").encode())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except (OSError, EOFError, ValueError) as error:
        _say(error="%s" % (getattr(error, "strerror", None) or error), code=getattr(error, "errno", 0) or 0)
        sys.exit(1)
