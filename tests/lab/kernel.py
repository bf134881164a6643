"""What the lab asks of the kernel: programs run, sockets in namespaces, processes found and ended."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tests.lab.image import LabError

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
LISTENING = "0A"
T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True)


def call(*argv: object, stdin: str = "", check: bool = True) -> str:
    """Run a program of the system; what it said, or an error with what it said."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False, env=clean_environment())
    if check and done.returncode:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of whoever started the lab reaches a host."""
    return {"PATH": os.environ.get("PATH") or os.defpath, "LANG": "C.UTF-8", **more}


def inside(namespace: str, act: Callable[[], T]) -> T:
    """Do something in another network namespace, in a thread of its own."""
    results: list[T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if _libc.setns(descriptor, CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            finally:
                os.close(descriptor)
            results.append(act())
        except BaseException as error:  # noqa: BLE001 (it is raised again where it is waited for)
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def listen(namespace: str, address: str, port: int) -> socket.socket:
    """A listening socket that lives in another network namespace and is held here."""

    def make() -> socket.socket:
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((address, port))
        held.listen(64)
        return held

    return inside(namespace, make)


def listens(pid: int, port: int) -> bool:
    """Whether anything listens on a port in the network namespace of a process."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            return False
        if any(row[1].endswith(f":{port:04X}") and row[3] == LISTENING for row in map(str.split, lines)):
            return True
    return False


def namespaces(prefix: str) -> list[str]:
    """Named network namespaces of ours."""
    return sorted(entry.name for entry in NAMESPACES.glob(f"{prefix}*")) if NAMESPACES.is_dir() else []


def links(prefix: str) -> list[str]:
    """Network interfaces of ours, in the root namespace."""
    return sorted(entry.name for entry in Path("/sys/class/net").glob(f"{prefix}*"))


def mounts(below: str) -> list[str]:
    """Mount points at or below a path."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in points if point == below or point.startswith(below.rstrip("/") + "/")]


def unmount(point: str) -> None:
    """Gone when this returns; by force of detaching only where it stays busy."""
    for _ in range(40):
        if not mounts(point):
            return
        call("umount", point, check=False)
        if not mounts(point):
            return
        time.sleep(0.05)
    call("umount", "--lazy", point, check=False)


def processes(mark: str, names: Iterable[str], below: str) -> dict[int, str]:
    """Who carries the mark, lives in one of the named network namespaces, or belongs to the same process namespace as one.

    `below` is where hosts have their roots: a process whose command names it belongs to a host too.
    """
    nets = {number for name in names if (number := _inode(NAMESPACES / name))}
    everyone = {pid: _links(pid) for pid in _pids()}
    ours = {pid for pid, (net, _) in everyone.items() if net in nets or _marked(pid, mark, below)}
    apart = {everyone[pid][1] for pid in ours} - {_links(os.getpid())[1], ""}
    found = ours | {pid for pid, (_, tree) in everyone.items() if tree in apart}
    return {pid: _command(pid) for pid in sorted(found - {os.getpid()}) if not dead(pid)}


def kill_all(find: Callable[[], dict[int, str]], seconds: float = 10.0) -> None:
    """Kill until nobody is found. A namespace's init takes its whole tree with it."""
    until = time.monotonic() + seconds
    while found := find():
        if time.monotonic() > until:
            raise LabError(f"cannot be killed: {found}")
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def init_of(pid: int) -> int | None:
    """The child of nspawn that is the first process of its namespace."""
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return None
    return next((child for child in children if _is_first(child)), None)


def _is_first(pid: int) -> bool:
    try:
        found = re.search(r"^NSpid:.*\s(\d+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return False
    return bool(found and found[1] == "1" and pid != 1)


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _links(pid: int) -> tuple[int, str]:
    """(inode of its network namespace, name of its process namespace)"""
    try:
        return _inode(Path(f"/proc/{pid}/ns/net")), str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return 0, ""


def _marked(pid: int, mark: str, below: str) -> bool:
    try:
        if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
            return True
    except OSError:
        return False
    return f"--directory={below}/" in _command(pid)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def dead(pid: int) -> bool:
    """Whether it has ended. A zombie without threads holds nothing; its parent has not asked for it yet."""
    try:
        if len(list(Path(f"/proc/{pid}/task").iterdir())) > 1:
            return False
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
