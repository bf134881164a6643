"""Sends a growing file in frames, then how its job ended.

python3 tail.py FILE OFFSET [FOLDER]. A frame is one letter, four bytes of length, and so many bytes: `d` data; `p` all of it
was sent for now; `e` the end: FOLDER's outcome.json and the file's size. Without FOLDER there is no end. It ends when its own
input does.
"""

from __future__ import annotations

import io
import json
import os
import select
import struct
import sys
import time
from typing import Any, Dict, List, Optional

CHUNK = 1 << 18
FIRST_PAUSE, LONGEST_PAUSE, PING_SECONDS = 0.002, 0.02, 5.0


def main(argv: List[str]) -> int:
    """Send what is there, wait for more, until the job or the reader has ended."""
    path, offset, folder = argv[1], int(argv[2]), argv[3] if len(argv) > 3 else ""
    reader, pause, spoken = select.poll(), FIRST_PAUSE, float("-inf")
    reader.register(0, select.POLLIN)
    file: Optional[io.FileIO] = None
    while True:
        ended = _outcome(folder)  # looked for first: what stands in the file afterwards is all of it
        file = file or _opened(path, offset)
        size = _send_rest(file) if file else 0
        if ended is not None:
            known = {"outcome": ended, "size": file.tell() if file else 0}
            _send(b"e", json.dumps(known).encode())
            return 0
        pause = FIRST_PAUSE if size else min(2 * pause, LONGEST_PAUSE)
        spoken = time.monotonic() if size and spoken > 0 else spoken
        if time.monotonic() - spoken > PING_SECONDS:
            spoken = time.monotonic()
            _send(b"p", b"")
        if reader.poll(pause * 1000) and not os.read(0, 4096):
            return 0


def _opened(path: str, offset: int) -> Optional[io.FileIO]:
    """The file behind the bytes that the reader has already; None while there is none."""
    try:
        file = io.FileIO(path)
    except FileNotFoundError:
        return None
    if os.fstat(file.fileno()).st_size < offset:
        raise SystemExit("%s is shorter than what was read of it before" % path)
    file.seek(offset)
    return file


def _send_rest(file: io.FileIO) -> int:
    size = 0
    while True:
        chunk = file.read(CHUNK)
        if not chunk:
            return size
        _send(b"d", chunk)
        size += len(chunk)


def _outcome(folder: str) -> Optional[Dict[str, Any]]:
    if not folder:
        return None
    try:
        with open(os.path.join(folder, "outcome.json"), "rb") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _send(kind: bytes, data: bytes) -> None:
    """Two writes of a pipe: the head is not copied before a large piece."""
    view = memoryview(kind + struct.pack(">I", len(data)) + (data if len(data) < 4096 else b""))
    for part in (view, memoryview(data)) if len(data) >= 4096 else (view,):
        while part:
            part = part[os.write(1, part) :]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except BrokenPipeError:
        os._exit(0)
