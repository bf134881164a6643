"""Output that goes from the log into a pipe without passing through us is the same, byte for byte."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading

import pytest

from dispatcher.cli.render.live import Screen
from dispatcher.events import LogBytes, Span

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="os.splice is Linux's")
BYTES = bytes(range(256)) * 20_000


def told(monkeypatch, *events):
    """What a reader of the pipe gets to read."""
    reading, writing = os.pipe()
    found = []
    reader = threading.Thread(target=lambda: found.extend(iter(lambda: os.read(reading, 1 << 20), b"")))
    reader.start()
    with io.TextIOWrapper(io.FileIO(writing, "w")) as stdout, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(stdout.buffer)))
        screen = Screen(quiet=True)
        assert screen.spans
        for event in events:
            screen(event)
        sys.stdout.detach().detach()
    reader.join(10)
    os.close(reading)
    return b"".join(found)


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").write_bytes(BYTES)
    with (tmp_path / "log").open("rb") as file:
        yield file.fileno()


def test_a_span_is_poured_between_bytes_in_order(log, monkeypatch):
    whole = told(
        monkeypatch,
        LogBytes("r", 0.0, 0, b"first\n"),
        LogBytes("r", 0.0, 6, Span(log, 100, len(BYTES) - 100)),
        LogBytes("r", 0.0, 0, b"last\n"),
    )
    assert b"first\n" + BYTES[100:] + b"last\n" == whole


def test_what_the_kernel_will_not_move_is_written(log, monkeypatch):
    def refused(*_words, **_more):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "splice", refused)
    assert BYTES[:70_000] == told(monkeypatch, LogBytes("r", 0.0, 0, Span(log, 0, 70_000)))


def test_a_stdout_that_is_no_pipe_takes_no_spans(monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert not Screen().spans
