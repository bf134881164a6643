"""Lists what a job left, as JSON lines.

Each line has path, size, mode, SHA-256, whether the file was changed since a moment, and which patterns name it.

python3 manifest.py < {"root": "/folder", "patterns": ["runs/", "*.pt"], "since": 0}
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
import sys
from typing import Any, Iterator

CHUNK = 1 << 20
WHOLE_SECONDS = 2.0
"""Some file systems keep no fractions of a second, and FAT only every other second."""


def main() -> int:
    """Read the question, print the answer."""
    asked = json.load(sys.stdin)
    os.chdir(asked["root"])
    for line in manifest(asked["root"], asked["patterns"], float(asked.get("since") or 0.0)):
        print(json.dumps(line))
    return 0


def manifest(root: str, patterns: list[str], since: float) -> Iterator[dict[str, Any]]:
    """Every regular file that a pattern names, once; what is refused comes with the reason."""
    found: dict[str, list[int]] = {}
    for number, pattern in enumerate(patterns):
        for path in _matches(root, pattern):
            naming = found.setdefault(os.path.relpath(path, root), [])
            if number not in naming:
                naming.append(number)
    for relative, naming in found.items():
        yield dict(_line(os.path.join(root, relative), relative, since), patterns=naming)


def _matches(root: str, pattern: str) -> Iterator[str]:
    for found in sorted(glob.glob(os.path.join(glob.escape(root), pattern), recursive=True)):
        if not os.path.isdir(found) or os.path.islink(found.rstrip("/")):
            yield found
            continue
        for folder, folders, names in os.walk(found):
            folders.sort()
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            yield from (os.path.join(folder, name) for name in sorted(names + links))


def _line(path: str, relative: str, since: float) -> dict[str, Any]:
    try:
        if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir:
            return {"path": relative, "refused": "it stands outside the work folder"}
        if os.path.realpath(os.path.dirname(path)) != os.path.normpath(
            os.path.join(os.path.realpath("."), os.path.dirname(relative))
        ):
            return {"path": relative, "refused": "a link leads to it"}
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return {"path": relative, "refused": "it is no regular file"}
        size, digest = _digest(path)
        new = _changed(found) >= since
        return {"path": relative, "size": size, "mode": stat.S_IMODE(found.st_mode), "sha256": digest, "new": new}
    except OSError as error:
        return {"path": relative, "refused": error.strerror or "it cannot be read"}


def _changed(found: os.stat_result) -> float:
    """When a file was last written or named so: programs that unpack set an older time of writing, but not this one."""
    moment = found.st_ctime
    return moment + WHOLE_SECONDS if moment == int(moment) else moment


def _digest(path: str) -> tuple[int, str]:
    """Size and SHA-256 of the same bytes, read once."""
    digest, size = hashlib.sha256(), 0
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
