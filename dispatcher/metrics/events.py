"""Curves in TensorBoard's event files, read without TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from dispatcher.metrics.series import Point, Series, series_of

# Field numbers: tensorflow/core/util/event.proto, framework/summary.proto and framework/tensor.proto, read 2026-11.
EVENT_STEP, EVENT_SUMMARY = 2, 5
SUMMARY_VALUE = 1
VALUE_TAG, VALUE_SIMPLE, VALUE_TENSOR = 1, 2, 8
TENSOR_FLOATS, TENSOR_CONTENT = 5, 4
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def read_events(file: Path, source: str) -> list[Series]:
    """The scalars of an event file; what follows a torn record is left out."""
    found: dict[str, list[Point]] = {}
    for record in _records(file):
        try:
            for tag, step, value in _scalars(record):
                found.setdefault(tag, []).append((float(step), value))
        except (IndexError, struct.error, UnicodeDecodeError):
            break
    made = (series_of(tag, source, "step", points) for tag, points in found.items())
    return [one for one in made if one]


def _records(file: Path) -> Iterator[bytes]:
    """TFRecords: a length, its checksum, the bytes, their checksum."""
    with file.open("rb") as stream:
        while len(head := stream.read(12)) == 12:
            (length,) = struct.unpack("<Q", head[:8])
            if length > 1 << 26:
                return
            data = stream.read(length)
            if len(data) < length or len(stream.read(4)) < 4:
                return
            yield data


def _scalars(event: bytes) -> Iterator[tuple[str, int, float]]:
    step, summaries = 0, []
    for number, value in _fields(event):
        if number == EVENT_STEP and isinstance(value, int):
            step = value
        elif number == EVENT_SUMMARY and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == SUMMARY_VALUE and isinstance(value, bytes) and (told := _value(value)):
                yield told[0], step, told[1]


def _value(message: bytes) -> tuple[str, float] | None:
    tag, number_found = "", None
    for number, value in _fields(message):
        if number == VALUE_TAG and isinstance(value, bytes):
            tag = value.decode()
        elif number == VALUE_SIMPLE and isinstance(value, float):
            number_found = value
        elif number == VALUE_TENSOR and isinstance(value, bytes):
            number_found = _tensor(value)
    return (tag, number_found) if tag and number_found is not None else None


def _tensor(message: bytes) -> float | None:
    """A tensor of one 32-bit float, as newer writers put scalars."""
    for number, value in _fields(message):
        if number == TENSOR_FLOATS and isinstance(value, float):
            return value
        if number in (TENSOR_FLOATS, TENSOR_CONTENT) and isinstance(value, bytes) and len(value) == 4:
            return float(struct.unpack("<f", value)[0])
    return None


def _fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(field number, value) of a protocol buffer's wire format; 64-bit fields are passed over."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield number, value
        elif kind == FIXED64:
            place += 8
        elif kind == BYTES:
            length, place = _varint(message, place)
            if place + length > len(message):
                raise IndexError("a field is longer than its message")
            yield number, message[place : place + length]
            place += length
        elif kind == FIXED32:
            yield number, struct.unpack("<f", message[place : place + 4])[0]
            place += 4
        else:
            raise IndexError("an unknown kind of field")


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise IndexError("a number without an end")
