"""Hostile bytes on their way to a terminal, judged by eyes of its own."""

from __future__ import annotations

import random
import re

from dispatcher.cli.render.sanitise import Sanitiser

PIECES = (
    b"\x1b", b"[", b"]", b"P", b"X", b"^", b"_", b"0;title", b"52;c;ZXZpbA==", b"\x07", b"\x1b\\", b"6n", b"?1049h", b"31m",
    b"2K", b"\r", b"\n", b"text", b"\x00", b"\x08", b"\x0e", b"\x9b", b"\xc2", b"\xc2\x9b", b"\xc2\x9d", b"\xc2\x9c",
    b"\xff", b"\x90",
    "Ý".encode(), "Ü".encode(), "模".encode(), "🚀".encode(), b"\x18", b"\x1a", b"\x7f", b"c", b";", b"\x03",
    b">c", b"!p", b" q",
)  # fmt: skip
HARMLESS = re.compile(r"\x1b\[[0-9;:]*[mKGABCDJH]")
COMMANDS = re.compile(r"[\x00-\x07\x0b-\x0c\x0e-\x1f\x7f-\x9f]")


def passed(streams: int) -> list[bytes]:
    """Streams of which something reached the terminal that it would obey."""
    wrong = []
    for seed in range(streams):
        dice = random.Random(seed)
        raw = b"".join(dice.choice(PIECES) for _ in range(dice.randrange(1, 40)))
        if harmful(shown(raw, dice)):
            wrong.append(raw)
    return wrong


def shown(raw: bytes, dice: random.Random) -> bytes:
    """What is displayed of it, when it comes in pieces."""
    sanitiser, said = Sanitiser(), b""
    while raw:
        size = dice.randrange(1, 12)
        said, raw = said + sanitiser.feed(raw[:size]), raw[size:]
    return said


def harmful(said: bytes) -> bool:
    """Whether a terminal that reads UTF-8 would find a command in it."""
    return COMMANDS.search(HARMLESS.sub("", said.decode("utf-8", "replace"))) is not None
