"""Rows and columns from a Parquet footer, in Thrift's compact protocol."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

MAGIC = b"PAR1"
LARGEST_FOOTER = 64 << 20
DEEPEST = 64
MOST = 1_000_000


class NotParquet(ValueError):
    """The bytes are not those of a Parquet file."""


def footer(file: BinaryIO, size: int) -> tuple[int, int]:
    """Rows and leaf columns. Layout: FileMetaData of apache/parquet-format 2.11: 2 is the schema, 3 the rows."""
    if size < 12:
        raise NotParquet
    file.seek(size - 8)
    tail = file.read(8)
    (length,) = struct.unpack("<I", tail[:4])
    if tail[4:] != MAGIC or not 0 < length <= min(size - 8, LARGEST_FOOTER):
        raise NotParquet
    file.seek(size - 8 - length)
    try:
        found = _Compact(file.read(length)).struct(0, stop_after=3)
        schema, rows = found[2], int(found[3])
        leaves = sum(1 for element in schema[1:] if not element.get(5))
    except (IndexError, KeyError, TypeError, AttributeError, struct.error, RecursionError):
        raise NotParquet from None
    if rows < 0:
        raise NotParquet
    return rows, leaves


class _Compact:
    """A reader of Thrift's compact protocol, as far as a footer needs it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def struct(self, depth: int, *, stop_after: int = 1 << 15) -> dict[int, Any]:
        """Fields by number; nothing beyond `stop_after` is read."""
        if depth > DEEPEST:
            raise NotParquet
        found: dict[int, Any] = {}
        number = 0
        while True:
            head = self.byte()
            if head == 0:
                return found
            step, kind = head >> 4, head & 15
            number = number + step if step else self.zigzag()
            if number > stop_after:
                return found
            found[number] = (kind == 1) if kind in (1, 2) else self._value(kind, depth)

    def _value(self, kind: int, depth: int) -> Any:
        reader = _KINDS.get(kind)
        if reader is None:
            raise NotParquet
        return reader(self, depth)

    def listed(self, depth: int) -> list[Any]:
        """A list's elements."""
        head = self.byte()
        count, kind = head >> 4, head & 15
        count = self._varint() if count == 15 else count
        if count > MOST:
            raise NotParquet
        return [self.byte() == 1 if kind in (1, 2) else self._value(kind, depth + 1) for _ in range(count)]

    def binary(self, _depth: int) -> bytes:
        """Bytes with their length before them."""
        length = self._varint()
        found = self.data[self.at : self.at + length]
        if len(found) < length:
            raise NotParquet
        self.at += length
        return found

    def double(self, _depth: int) -> float:
        """Eight bytes, passed over."""
        self.at += 8
        return 0.0

    def byte(self) -> int:
        """The next byte."""
        found = self.data[self.at]
        self.at += 1
        return found

    def _varint(self) -> int:
        found = shift = 0
        while shift < 70:
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
        raise NotParquet

    def zigzag(self) -> int:
        """A signed number."""
        number = self._varint()
        return (number >> 1) ^ -(number & 1)


_KINDS: dict[int, Callable[[_Compact, int], Any]] = {
    3: lambda reader, _depth: reader.byte(),
    4: lambda reader, _depth: reader.zigzag(),
    5: lambda reader, _depth: reader.zigzag(),
    6: lambda reader, _depth: reader.zigzag(),
    7: _Compact.double,
    8: _Compact.binary,
    9: _Compact.listed,
    12: lambda reader, depth: reader.struct(depth + 1),
}
"""Thrift's types by number; maps do not occur in a footer."""
