"""Sends files of a folder in frames.

python3 send.py FOLDER < [["path", offset], …]. A frame is one letter, four bytes of length, and so many bytes: `d` data, `n`
the end of a file, `x` why the file cannot be sent. Nothing is read through a link.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import sys
from typing import List

CHUNK = 1 << 18


def main(argv: List[str]) -> int:
    """Send what is asked for."""
    root = os.path.realpath(argv[1])
    for path, offset in json.load(sys.stdin):
        try:
            _send_file(root, path, offset)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            _send(b"x", (error.strerror or str(error)).encode())
    return 0


def _send_file(root: str, path: str, offset: int) -> None:
    full = os.path.join(root, path)
    if os.path.realpath(os.path.dirname(full)) != os.path.normpath(os.path.dirname(full)):
        raise OSError(0, "a link leads to it")
    with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        file.seek(offset)
        for chunk in iter(lambda: file.read(CHUNK), b""):
            _send(b"d", chunk)
    _send(b"n", b"")


def _send(kind: bytes, data: bytes) -> None:
    for part in (kind + struct.pack(">I", len(data)), data):
        view = memoryview(part)
        while view:
            view = view[os.write(1, view) :]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except BrokenPipeError:
        os._exit(0)
