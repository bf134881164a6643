"""Secret values in a job's output show as ***, however they are written."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHOWN = b"***"
SHORTEST = 6
"""Values shorter than this stand in too much that is no secret."""


class Redactor:
    """Hides values in a stream, chunk by chunk; what may be the beginning of one waits for the next chunk."""

    def __init__(self, values: Iterable[str]) -> None:
        self._forms = sorted({form for value in values for form in forms(value)}, key=len, reverse=True)
        self._any = re.compile(b"|".join(map(re.escape, self._forms)))
        self._held = b""

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._forms)

    def feed(self, data: bytes) -> bytes:
        """What may be shown of `data`."""
        if not self._forms:
            return data
        whole = self._any.sub(SHOWN, self._held + data)
        held = self._begun(whole)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def rest(self) -> bytes:
        """What was waited with, at the end."""
        held, self._held = self._held, b""
        return held

    def line(self, text: str) -> str:
        """A whole line."""
        return self._any.sub(SHOWN, text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace") if self else text

    def _begun(self, whole: bytes) -> int:
        """How many of the last bytes may begin a value."""
        longest = min(len(self._forms[0]) - 1, len(whole))
        return next((n for n in range(longest, 0, -1) if any(form.startswith(whole[-n:]) for form in self._forms)), 0)


def forms(value: str) -> Iterator[bytes]:
    """A value as it is, in URLs, in JSON, and in base64 at any place of what is encoded with it."""
    if len(value) < SHORTEST:
        return
    raw = value.encode("utf-8", "surrogateescape")
    yield raw
    yield from (part for line in raw.splitlines() if len(part := line.strip()) >= SHORTEST)
    for spelled in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield spelled.encode()
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), spelled).encode()
    yield json.dumps(value)[1:-1].encode()
    yield json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        whole = encoded[-(-before * 4 // 3) : (before + len(raw)) * 4 // 3]  # only letters that are this value's alone
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")
