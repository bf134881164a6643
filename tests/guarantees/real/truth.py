"""How jobs end, each in a real process under the real agent, and what mlrun concludes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dispatcher.backends.processes import end
from dispatcher.domain.run import Label, new_run_id
from dispatcher.engine.outcome import UNKNOWN, conclude
from dispatcher.hosts import job as jobs
from dispatcher.hosts.follow import follow
from dispatcher.hosts.job import JobSpec, JobStatus
from dispatcher.hosts.local import LocalHost
from dispatcher.retries import SystemClock
from tests.guarantees.row import Size

PATIENCE = 30.0
NOT_ENDING = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH} | {
    signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
}  # fmt: skip
EAT = "import time\nx = []\nwhile True: x.append(bytearray(1 << 20)); time.sleep(0.03)"


class Bench:
    """A host in a folder, and one job on it."""

    def __init__(self, root: Path) -> None:
        self.host, self.work = LocalHost(root / "run"), root / "work"
        self.work.mkdir(parents=True)
        self.label = Label(new_run_id())
        self.folder = root / "run" / str(self.label)

    def launch(self, command: str, **more: object) -> None:
        known = {"label": str(self.label), "command": command, "cwd": str(self.work), "sample_seconds": 0.1}
        jobs.launch(self.host, JobSpec(**(known | more)))  # type: ignore[arg-type]

    def known(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "agent.json").read_text()))

    def until(self, look: Callable[[], object]) -> None:
        begun = time.monotonic()
        while not look():
            assert time.monotonic() - begun < PATIENCE, "it did not come to pass"
            time.sleep(0.02)

    def says(self, text: bytes) -> None:
        self.until(lambda: (self.folder / "log").exists() and text in (self.folder / "log").read_bytes())

    def concluded(self) -> tuple[int, str]:
        """Exit code and reason, as the engine concludes them."""
        last = None
        for piece in follow(self.host, str(self.label), 0, clock=SystemClock()):
            last = piece if isinstance(piece, JobStatus) else last
        verdict = conclude(last, None)
        return verdict.exit_code, verdict.reason


@dataclass(frozen=True)
class Case:
    """What happens, and the (exit code, reason) pairs that are true of it."""

    name: str
    true: tuple[tuple[int, str], ...]
    play: Callable[[Bench], None]


def codes() -> list[Case]:
    return [Case(f"exit {code}", ((code, "exited"),), lambda at, code=code: at.launch(f"exit {code}")) for code in range(256)]


def signals() -> list[Case]:
    ending = sorted({*signal.Signals, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)} - NOT_ENDING)
    return [Case(f"signal {int(one)}", ((128 + one, "signal"),), lambda at, one=one: at.launch(killing(one))) for one in ending]


def killing(number: int) -> str:
    """A job that sends itself a signal; bash ignores SIGQUIT whatever it is told."""
    if number != signal.SIGQUIT:
        return f"kill -{int(number)} $$"
    return f"exec {shlex.quote(sys.executable)} -S -c 'import os; os.kill(os.getpid(), {int(number)})'"


def others() -> list[Case]:
    lost, py = ((UNKNOWN, "lost"),), shlex.quote(sys.executable)
    return [
        Case("out of memory, told by Python", ((1, "oom-host"),), lambda at: at.launch(f"{py} -c 'bytearray(1 << 60)'")),
        Case("out of memory on the GPU", ((1, "oom-device"),), lambda at: at.launch("echo CUDA out of memory; exit 1")),
        Case("that word, and success", ((0, "exited"),), lambda at: at.launch("echo CUDA out of memory; exit 0")),
        Case("setup fails", ((104, "setup-failed"),), lambda at: at.launch("exit 0", setup="exit 9")),
        Case("time limit, exit 0", ((105, "deadline"),), lambda at: at.launch(POLITE, deadline_seconds=0.5, stop_grace=2.0)),
        Case("stopped, exit 0", ((130, "stopped"),), stopped),
        Case("both watchers killed", lost, watchers_killed),
        Case("first watcher killed", ((11, "exited"),), first_watcher_killed),
        Case("everything killed", lost, everything_killed),
        Case("reboot", lost, rebooted),
        Case("preempted on AWS, exit 0", ((108, "preempted"),), lambda at: preempted(at, "aws")),
        Case("preempted on Google Cloud, exit 0", ((108, "preempted"),), lambda at: preempted(at, "gcp")),
        Case("the record is damaged", lost, damaged),
    ]


def with_root() -> list[Case]:
    """What only root can bring about."""
    return [
        Case("out of memory, killed by the kernel", ((137, "oom-host"),), kernel_kills),
        Case("disk full, exit 3", ((3, "exited"),), disk_full),
    ]


POLITE = "trap 'exit 0' INT TERM; echo up; while :; do sleep 0.02; done"


def stopped(at: Bench) -> None:
    at.launch(POLITE)
    at.says(b"up")
    jobs.stop(at.host, str(at.label), 2.0)


def _waiting(at: Bench, code: int) -> None:
    at.launch(f"echo up; read x < go; exit {code}", setup="mkfifo go")
    at.until(lambda: at.known().get("phase") == "running")
    at.says(b"up")


def watchers_killed(at: Bench) -> None:
    _waiting(at, 0)
    both = at.known()
    os.kill(both["second"], signal.SIGSTOP)  # it must not take over between the two
    os.kill(both["pid"], signal.SIGKILL)
    os.kill(both["second"], signal.SIGKILL)
    (at.work / "go").write_text("on\n")


def first_watcher_killed(at: Bench) -> None:
    _waiting(at, 11)
    os.kill(at.known()["pid"], signal.SIGKILL)
    at.until(lambda: jobs.status(at.host, str(at.label)).notices)
    (at.work / "go").write_text("on\n")


def everything_killed(at: Bench) -> None:
    _waiting(at, 0)
    end(at.label, SystemClock())


def rebooted(at: Bench) -> None:
    _waiting(at, 0)
    known = at.known()
    end(at.label, SystemClock())
    (at.folder / "agent.json").write_text(json.dumps(known | {"boot": "another"}))


def damaged(at: Bench) -> None:
    """What a power cut may leave of a record that was not yet on the disk."""
    _waiting(at, 0)
    end(at.label, SystemClock())
    (at.folder / "outcome.json").write_bytes(b"\0" * 40)


def preempted(at: Bench, cloud: str) -> None:
    with metadata() as (port, answers):
        at.launch(POLITE, cloud=f"{cloud} 127.0.0.1:{port} 0.05")
        at.says(b"up")
        answers |= NOTICES
        at.until(lambda: jobs.status(at.host, str(at.label)).over)


def kernel_kills(at: Bench) -> None:
    """The kernel's own kill in a cgroup of 64 MiB, of whichever version is here."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (old if old.is_dir() else new) / f"mlrun-guarantee-{at.label.run}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")).write_text(str(64 << 20))
        eat = f"{shlex.quote(sys.executable)} -S -c {shlex.quote(EAT)}"
        at.launch(f"echo $$ > {group}/cgroup.procs; {eat}")
        at.until(lambda: jobs.status(at.host, str(at.label)).over)
    finally:
        end(at.label, SystemClock())
        with contextlib.suppress(OSError):
            group.rmdir()


def disk_full(at: Bench) -> None:
    """The disk on which the agent keeps its records is filled to the last byte while the job runs."""
    at.launch("cat /dev/zero > ../run/filled 2>/dev/null; head -c 1000000 /dev/zero; exit 3")


NOTICES = {
    "/latest/meta-data/spot/instance-action": '{"action": "terminate", "time": "2026-11-21T12:00:00Z"}',
    "/computeMetadata/v1/instance/preempted": "TRUE",
}


@contextlib.contextmanager
def metadata() -> Iterator[tuple[int, dict[str, str]]]:
    """A metadata server that says what it is given to say."""
    answers = {"/latest/meta-data/": "x", "/latest/api/token": "token", "/computeMetadata/v1/instance/preempted": "FALSE"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = answers.get(self.path)
            self.send_response(200 if text is not None else 404)
            self.send_header("Content-Length", str(len(text or "")))
            self.end_headers()
            self.wfile.write((text or "").encode())

        do_PUT = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, answers
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def judged(case: Case, root: Path) -> str:
    """ "" where the conclusion is true, else what was concluded."""
    at = Bench(root)
    try:
        case.play(at)
        found = at.concluded()
    except (AssertionError, OSError) as error:
        return f"{case.name}: could not be brought about: {error}"
    finally:
        end(at.label, SystemClock())
    return "" if found in case.true else f"{case.name}: {found}"


def table(size: Size) -> tuple[int, list[str]]:
    """How many ends were tried, and which were not told truly."""
    plain = [*codes()[:: size.of(1, 17, 51)], *signals()[:: size.of(1, 5, 9)], *others()]
    privileged = with_root() if os.getuid() == 0 else []
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-truth-")))
        with ThreadPoolExecutor(4) as pool:
            wrong = list(pool.map(lambda one: judged(one[1], root / str(one[0])), enumerate(plain)))
        for number, case in enumerate(privileged):
            wrong.append(judged(case, stack.enter_context(small_disk(root / f"root-{number}"))))
    return len(wrong), [one for one in wrong if one]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
