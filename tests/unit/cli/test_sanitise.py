"""Log bytes on a terminal."""

from __future__ import annotations

import pytest

from dispatcher.cli.render.sanitise import Sanitiser


def shown(*chunks: bytes) -> bytes:
    sanitiser = Sanitiser()
    return b"".join(sanitiser.feed(chunk) for chunk in chunks)


@pytest.mark.parametrize(
    "harmless",
    [
        b"plain\n",
        b"\x1b[31mred\x1b[0m\n",
        b"50%\r100%\n",
        b"\x1b[2K\rredrawn",
        b"tab\tbell-free",
        "Grüße …\n".encode(),
        "Ý and later Ü\n".encode(),  # their last bytes are those of two control characters
        b"\x1b[1A\x1b[K",
    ],
)
def test_text_colours_and_rewritten_lines_pass(harmless):
    assert harmless == shown(harmless)


@pytest.mark.parametrize(
    ("hostile", "left"),
    [
        (b"a\x1b]0;title\x07b", b"ab"),
        (b"a\x1b]52;c;ZXZpbA==\x1b\\b", b"ab"),
        (b"a\x1bP+q544e\x1b\\b", b"ab"),
        (b"a\x07b", b"ab"),
        (b"a\x1b[6nb", b"ab"),
        (b"a\x1b[?1049hb", b"ab"),
        (b"a\x1bcb", b"ab"),
        (b"a\x1b[\x036nb", b"a[6nb"),  # a terminal obeys the control character, and then the sequence around it
        (b"a\xc2\x9b6nb", b"ab"),
        (b"a\xc2\x9d0;title\xc2\x9cb", b"ab"),
        (b"a\x9bb", b"ab"),
    ],
)
def test_commands_to_the_terminal_are_taken_out(hostile, left):
    assert left == shown(hostile)


def test_a_sequence_cut_in_two_is_still_taken_out():
    assert b"ab" == shown(b"a\x1b]0;ti", b"tle\x07b")
    assert b"ab" == shown(b"a\x1b", b"[6nb")


def test_a_colour_cut_in_two_still_passes():
    assert b"\x1b[31mx" == shown(b"\x1b[3", b"1mx")


def test_a_sequence_that_never_ends_does_not_hold_the_stream_for_ever():
    assert b"after" == shown(b"\x1b]" + b"x" * 10_000, b"after")


def test_a_character_cut_in_two_passes_whole():
    raw = "Ý模🚀".encode()
    assert raw == shown(*(raw[at : at + 1] for at in range(len(raw)))) + shown()
