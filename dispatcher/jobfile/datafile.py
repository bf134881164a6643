"""A data file's bytes, rows and columns, read cheaply and without libraries."""

from __future__ import annotations

import ast
import csv
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dispatcher.jobfile.parquet import NotParquet, footer
from dispatcher.jobfile.value import Value

EXACT = 100_000_000
"""Bytes up to which lines are counted; larger files are sampled."""

SAMPLES, PIECE = 64, 1 << 16
CHUNK = 1 << 20
MOST_FILES = 200_000
DEEPEST = 8
NO_TEXT = "is not text, whatever its name says"
NO_ROWS = "has a heading and no rows"
CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b"))
TEXT_SHARE = 0.98
"""So much of a text, at least, is no control characters."""
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, slots=True)
class DataFile:
    """What is known of data: bytes, rows (or images), columns, whether they were counted, and what is wrong."""

    size: int | None = None
    samples: int | None = None
    columns: int | None = None
    exact: bool = True
    trouble: str = ""

    @property
    def how(self) -> str:
        """How rows were learned."""
        return "counted" if self.exact else "sampled"


def describe(path: Path) -> DataFile:
    """What can be learned of a file or folder of data; never waits, never raises for what stands there."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return DataFile(trouble=_nowhere(path))
    except PermissionError:
        return DataFile(trouble="may not be read by you")
    except (OSError, ValueError) as why:
        loop = isinstance(why, OSError) and why.errno == 40
        return DataFile(trouble="is a loop of links" if loop else f"cannot be read: {getattr(why, 'strerror', None) or why}")
    if stat.S_ISDIR(facts.st_mode):
        return _folder(path)
    kind = next((word for test, word in _OTHERS if test(facts.st_mode)), "")
    if kind:
        return DataFile(trouble=f"is {kind}, not a file")
    if facts.st_size == 0:
        return DataFile(0, trouble="is empty")
    return _file(path, facts.st_size)


def filled(found: DataFile, path: str) -> Iterator[tuple[str, Value]]:
    """The settings that a data file itself tells, each with its origin."""
    if found.size:
        yield "dataset.size", Value(found.size, f"size of {path}")
    if found.samples:
        yield "dataset.samples", Value(found.samples, f"{found.how} in {path}")
    if found.columns:
        yield "dataset.columns", Value(found.columns, f"counted in {path}")


def _nowhere(path: Path) -> str:
    return "is a link to nothing" if path.is_symlink() else "does not exist"


_OTHERS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def _file(path: Path, size: int) -> DataFile:
    reader = next((one for ending, one in _READERS.items() if path.name.lower().endswith(ending)), None)
    try:
        # A pipe put in the file's place meanwhile would block an ordinary open.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return reader(file, size) if reader else DataFile(size)
    except PermissionError:
        return DataFile(size, trouble="may not be read by you")
    except NotParquet:
        return DataFile(size, trouble="is no Parquet file, or a damaged one")
    except (OSError, ValueError, struct.error, zipfile.BadZipFile, RecursionError, SyntaxError, KeyError, csv.Error):
        return DataFile(size, trouble="cannot be understood: is it damaged?")


def _table(file: BinaryIO, size: int, separator: str) -> DataFile:
    if not _is_text(file):
        return DataFile(trouble=NO_TEXT)
    header = file.readline(CHUNK)
    first = next(csv.reader([header.decode("utf-8", "replace")], delimiter=separator), [])
    lines, exact = _lines(file, len(header), size)
    return DataFile(size, lines, len(first) or None, exact) if lines else DataFile(columns=len(first), trouble=NO_ROWS)


def _records(file: BinaryIO, size: int) -> DataFile:
    if not _is_text(file):
        return DataFile(trouble=NO_TEXT)
    lines, exact = _lines(file, 0, size)
    return DataFile(size, lines or None, exact=exact)


def _is_text(file: BinaryIO) -> bool:
    """Whether a file begins as text does, in whatever encoding keeps ASCII; it is read from its start again afterwards."""
    start = file.read(PIECE)
    file.seek(0)
    return b"\0" not in start and len(start.translate(None, CONTROLS)) >= TEXT_SHARE * len(start)


def _sparse(file: BinaryIO, size: int) -> DataFile:
    """svmlight: label index:value …; columns are not in the header."""
    return _records(file, size)


def _lines(file: BinaryIO, start: int, size: int) -> tuple[int, bool]:
    """Lines from `start` to the end, and whether each was counted. A last line needs no end."""
    if size > EXACT:
        return _sampled(file, start, size), False
    file.seek(start)
    count, last = 0, b"\n"
    while chunk := file.read(CHUNK):
        count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last != b"\n"), True


def _sampled(file: BinaryIO, start: int, size: int) -> int:
    """Lines by their mean length in pieces all over the file."""
    seen = lines = 0
    for index in range(SAMPLES):
        file.seek(start + (size - start - PIECE) * index // (SAMPLES - 1))
        piece = file.read(PIECE)
        seen, lines = seen + len(piece), lines + piece.count(b"\n")
    return round((size - start) * lines / seen) if seen else 0


def _array(file: BinaryIO, size: int) -> DataFile:
    shape = _npy_shape(file)
    return DataFile(size, shape[0] if shape else None, shape[1] if len(shape) == 2 else None)


def _npy_shape(file: BinaryIO) -> tuple[int, ...]:
    """The shape in a .npy header, as NumPy's format 1.0 to 3.0 has it."""
    magic = file.read(8)
    if magic[:6] != b"\x93NUMPY":
        raise ValueError("no .npy header")
    wide = magic[6] > 1
    (length,) = struct.unpack("<I" if wide else "<H", file.read(4 if wide else 2))
    header = ast.literal_eval(file.read(min(length, CHUNK)).decode("latin-1").strip())
    shape = header["shape"]
    if not isinstance(shape, tuple) or not all(isinstance(one, int) and one >= 0 for one in shape):
        raise ValueError("no shape")
    return shape


def _archive(file: BinaryIO, size: int) -> DataFile:
    """Of a .npz the array with the most rows and columns."""
    with zipfile.ZipFile(file) as archive:
        shapes = []
        for name in archive.namelist()[:32]:
            if name.endswith(".npy"):
                with archive.open(name) as member:
                    shapes.append(_npy_shape(member))  # type: ignore[arg-type]
    shape = max(shapes, key=lambda one: (len(one) > 1, *one[:2]), default=())
    return DataFile(size, shape[0] if shape else None, shape[1] if len(shape) == 2 else None)


def _parquet(file: BinaryIO, size: int) -> DataFile:
    rows, columns = footer(file, size)
    return DataFile(size, rows or None, columns or None)


_READERS: dict[str, Callable[[BinaryIO, int], DataFile]] = {
    ".csv": lambda file, size: _table(file, size, ","),
    ".tsv": lambda file, size: _table(file, size, "\t"),
    ".jsonl": _records,
    ".ndjson": _records,
    ".svm": _sparse,
    ".svmlight": _sparse,
    ".libsvm": _sparse,
    ".npy": _array,
    ".npz": _archive,
    ".parquet": _parquet,
    ".pq": _parquet,
}
"""By the file's ending; of all others only the size is told."""


def _folder(path: Path) -> DataFile:
    """A folder of images counts them; one of Parquet or CSV parts adds them up; of all others the bytes are told."""
    sizes: dict[str, int] = {}
    counted, whole = 0, True
    for counted, (name, size) in enumerate(_below(path, 0), start=1):
        if counted > MOST_FILES:
            whole = False
            break
        sizes[name] = size
    images = sum(name.lower().endswith(IMAGES) for name in sizes)
    total = sum(sizes.values())
    if not sizes:
        return DataFile(0, trouble="is an empty folder")
    if images * 2 > len(sizes):
        return DataFile(total, images, exact=whole, trouble="" if whole else f"holds more than {MOST_FILES:,} files")
    parts = [name for name in sizes if name.lower().endswith((".parquet", ".csv"))]
    return _parts(sorted(parts), total) if len(parts) * 2 > len(sizes) and len(parts) <= 64 else DataFile(total)


def _parts(parts: list[str], total: int) -> DataFile:
    found = [describe(Path(part)) for part in parts]
    rows = sum(one.samples or 0 for one in found)
    whole = all(one.samples for one in found)
    if any(one.trouble == NO_TEXT for one in found):
        return DataFile(trouble="holds parts that are no text, whatever their names say")
    if all(one.trouble == NO_ROWS for one in found):
        return DataFile(columns=found[0].columns, trouble="holds headings and no rows")
    return DataFile(total, rows if whole else None, found[0].columns, all(one.exact for one in found))


def _below(path: Path, depth: int) -> Iterator[tuple[str, int]]:
    """Regular files with their bytes; links and hidden names are passed over."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < DEEPEST:
                    yield from _below(Path(entry.path), depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path, entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
