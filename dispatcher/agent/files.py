"""The agent's small files: replaced whole, or grown by lines."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from typing import Any, Dict, List, Optional

TAIL_BYTES = 1 << 16
BLOCK = 1 << 16


def read(folder: str, name: str) -> Dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, name)) as file:
        found = json.load(file)
        return found if isinstance(found, dict) else {}
    return {}


def write(folder: str, name: str, value: Dict[str, Any], part: str = "") -> None:
    """Replace a file whole. One that was reserved needs no new disk."""
    path, temporary = os.path.join(folder, name), os.path.join(folder, part or "%s.%d.part" % (name, os.getpid()))
    text = json.dumps(value).encode()
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600)
        os.write(handle, text)
        os.ftruncate(handle, len(text))
        os.fsync(handle)
        os.close(handle)
        os.rename(temporary, path)
    except OSError as error:
        print("%s could not be written: %s" % (path, error), file=sys.stderr)


def append(folder: str, name: str, value: Dict[str, Any]) -> None:
    """Add a JSON line, unless the disk is full."""
    with contextlib.suppress(OSError):
        handle = os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        with open(handle, "a") as file:
            file.write(json.dumps(value) + "\n")


def lines(folder: str, name: str) -> List[Dict[str, Any]]:
    """The JSON lines at a file's end."""
    found = []
    for line in tail_of(os.path.join(folder, name)).splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [one for one in found if isinstance(one, dict)]


def tail_of(path: str) -> bytes:
    """The last bytes of a file."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read()
    return b""


def size_of(folder: str, name: str) -> int:
    """Bytes of a file, 0 where there is none."""
    with contextlib.suppress(OSError):
        return os.stat(os.path.join(folder, name)).st_size
    return 0


def touch(path: str) -> None:
    """Set a file's time to now."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.utime(path)


def disk_free_gb(place: str) -> Optional[float]:
    """Decimal GB that are free where a folder stands."""
    with contextlib.suppress(OSError):
        found = os.statvfs(place)
        return round(found.f_bavail * found.f_frsize / 1e9, 2)
    return None


def no_room(folder: str) -> bool:
    """Whether the folder's disk is full, or what its owner may have of it used up: it takes next to nothing more."""
    path = os.path.join(folder, "room.part")
    try:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with open(handle, "wb", buffering=0) as file:
            return (file.write(b"\0" * BLOCK) or 0) < BLOCK
    except OSError as error:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def boot_id() -> str:
    """Which start of the computer this is."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    if sys.platform == "darwin":
        import subprocess

        asked = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode().strip()
    return ""
