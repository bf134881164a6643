"""Log bytes for a terminal: colours pass, commands to it do not."""

from __future__ import annotations

import re

STRINGS = re.compile(rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f]).*?(?:\x07|\x1b\\|\xc2\x9c)", re.DOTALL)
"""OSC, DCS, SOS, PM and APC sequences: they set titles and clipboards, and can make terminals answer. Each is spelled in two
ways: after an escape, or as one character of U+0080 to U+009F, which terminals that read UTF-8 obey as well."""
ALLOWED = rb"\x1b\[[0-9;:]*[mKGABCDJH]"
OTHERS = re.compile(
    rb"(?!" + ALLOWED + rb")\x1b(?:\[[0-?]*[ -/]*[@-~]|[^\[\]PX^_]|)"
    rb"|[\x00-\x07\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"
    rb"|\xc2\x9b[0-?]*[ -/]*[@-~]|\xc2[\x80-\x9f]|(?<![\x80-\xff])[\x80-\x9f]"
)
"""Sequences other than colour, erasing and moving within what was written; control characters that ring or shift."""
OPENED = re.compile(
    rb"(?:\x1b(?:[\]PX^_][^\x07]*|\[[0-?]*[ -/]*)?"
    rb"|\xc2(?:[\x90\x98\x9d-\x9f][^\x07]*|\x9b[0-?]*[ -/]*)"
    rb"|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})$",
    re.DOTALL,
)
"""A sequence, or a character, whose end has not come yet."""
LONGEST = 4096
"""An unfinished sequence longer than this is no sequence: it is dropped."""


class Sanitiser:
    """Cleans a stream chunk by chunk; a sequence cut by a chunk's end waits for the next one."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be shown of `data`."""
        whole = STRINGS.sub(b"", self._held + data)
        self._held = b""
        if cut := OPENED.search(whole):
            held = cut.group()
            self._held = held if len(held) <= LONGEST else b""
            whole = whole[: cut.start()]
        found = 1
        while found:  # what stood on both sides of something may be a command together
            whole, found = OTHERS.subn(b"", whole)
        return whole


ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(line: str) -> str:
    """A line without colour or any control character; of what was rewritten with carriage returns, the last."""
    cleaned = Sanitiser().feed(line.encode()).decode("utf-8", "replace")
    return ANSI.sub("", cleaned.rstrip("\r").rsplit("\r", 1)[-1])
