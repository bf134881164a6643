"""What the system knows of processes: who lives, whose child, how large."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Iterator

LINUX = sys.platform.startswith("linux")
LABEL = "DISPATCHER_LABEL"
KILL_GRACE_SECONDS = 10.0
PSS_UP_TO_BYTES = 32 << 30
"""Above this, asking the kernel for shared pages takes too long: resident sizes are added up."""
SET_CHILD_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of Linux's prctl(2)."""


def ladder(grace: float) -> tuple[tuple[float, int], ...]:
    """How a job is ended: seconds after the request, and the signal."""
    return ((0.0, signal.SIGINT), (grace, signal.SIGTERM), (grace + min(grace, KILL_GRACE_SECONDS), signal.SIGKILL))


def signal_job(leader: int, family: set[int], number: int) -> None:
    """A polite signal goes to the job's group, as a terminal's would; the last one to every process."""
    if number != signal.SIGKILL and leader:  # 0 would mean our own group
        with contextlib.suppress(OSError):
            os.killpg(leader, number)
            return
    for pid in family:
        send(pid, number)


def send(pid: int, number: int) -> None:
    """Signal one process, if it still lives."""
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def alive(pid: int) -> bool:
    """Whether a process lives."""
    found = table().get(pid)
    return found is not None and found[1] != "Z"


def marked(label: str) -> set[int]:
    """Living processes whose environment carries the label, but for this one."""
    wanted = ("%s=%s" % (LABEL, label)).encode()
    return {pid for pid, variables in environments() if wanted in variables} - {os.getpid()}


def marked_labels() -> set[str]:
    """Every label that a living process carries."""
    mark = (LABEL + "=").encode()
    words = (word for _, variables in environments() for word in variables if word.startswith(mark))
    return {word[len(mark) :].decode("ascii", "replace") for word in words}


def table() -> dict[int, tuple[int, str]]:
    """Of every process: its parent and its state's letter."""
    if not LINUX:
        rows = (row.split() for row in output("ps", "-axo", "pid=,ppid=,stat=").decode().splitlines())
        return {int(row[0]): (int(row[1]), row[2][0]) for row in rows if len(row) == 3}
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = _stat(int(name))
                found[int(name)] = (int(fields[1]), fields[0])
    return found


def descendants(roots: set[int], barred: set[int]) -> set[int]:
    """Living processes below the roots, and those roots that live; nothing at or below a barred one."""
    known = table()
    children = {}  # type: dict[int, list[int]]
    for pid, (parent, _) in known.items():
        children.setdefault(parent, []).append(pid)
    found, queue = set(), list(roots)
    while queue:
        pid = queue.pop()
        if pid not in found and pid not in barred:
            found.add(pid)
            queue += children.get(pid, [])
    return {pid for pid in found if known.get(pid, (0, "Z"))[1] not in "ZX"}


def cpu_seconds(family: set[int]) -> float:
    """Processor time of living processes and of the children they have seen off."""
    if not LINUX:
        return 0.0
    total = 0
    for pid in family:
        with contextlib.suppress(OSError):
            total += sum(int(field) for field in _stat(pid)[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def ram_bytes(family: set[int]) -> float:
    """Memory of living processes together; what several share counts once where that can be asked quickly."""
    if not LINUX:
        pids = ",".join(str(pid) for pid in family) or "0"
        return 1024.0 * sum(int(row) for row in output("ps", "-o", "rss=", "-p", pids).split() if row.isdigit())
    resident = {pid: _resident(pid) for pid in family}
    total = sum(resident.values())
    if len(family) < 2 or total > PSS_UP_TO_BYTES:
        return float(total)
    return float(sum(_shared_fairly(pid, size) for pid, size in resident.items()))


def catches(pid: int, number: int) -> bool:
    """Whether a process has its own answer to a signal. Elsewhere than on Linux nobody can tell."""
    with contextlib.suppress(OSError), open("/proc/%d/status" % pid) as file:
        for line in file:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def become_subreaper() -> None:
    """Have orphans of our descendants handed to us, so that none is lost sight of."""
    if LINUX:
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def on_path(program: str) -> bool:
    """Whether a program is installed."""
    return any(os.access(os.path.join(place, program), os.X_OK) for place in os.get_exec_path())


def output(*argv: str) -> bytes:
    """What a program of the system prints; nothing where it fails."""
    import subprocess

    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    except OSError:
        return b""


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """Each process's variables; elsewhere than on Linux with the words of its command before them."""
    if not LINUX:
        for row in output("ps", "-axEww", "-o", "pid=,command=").splitlines():
            words = row.split()
            if words:
                yield int(words[0]), words[1:]
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open("/proc/%s/environ" % name, "rb") as file:
                yield int(name), file.read().split(b"\0")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; a name may hold blanks and brackets."""
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rpartition(")")[2].split()


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _shared_fairly(pid: int, otherwise: int) -> int:
    with contextlib.suppress(OSError, ValueError), open("/proc/%d/smaps_rollup" % pid) as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return otherwise
