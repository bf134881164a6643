"""Runs an attempt: setup, the job, and their ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from files import append, boot_id, disk_free_gb, lines, read, size_of, tail_of, touch, write  # type: ignore[import-not-found]
from gauge import AWAKE, GIB, Gauge, spawn  # type: ignore[import-not-found]
from notices import Notices  # type: ignore[import-not-found]
from processes import (  # type: ignore[import-not-found]
    LINUX,
    alive,
    become_subreaper,
    catches,
    descendants,
    ladder,
    marked,
    on_path,
    send,
    signal_job,
)
from scarcity import UNLIMITED, said_full  # type: ignore[import-not-found]

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Both count the time a computer sleeps."""
HEARTBEAT_SECONDS = 5.0
LEFTOVER_GRACE_SECONDS = 2.0
LEFTOVER_PATIENCE_SECONDS = 12.0
NOTICE_AT = 0.8
RESERVE_BYTES = 1 << 20
LEAST_ROOM_GB = 0.01
"""Decimal GB below which only the outcome's own space is reserved."""
IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXFSZ)
DEFAULTS = (*IGNORED, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE)
End = Tuple[Optional[int], Optional[int]]
"""(exit code, signal): one of them, or neither where it cannot be learned."""


class Watcher:
    """Runs setup and the job, one after the other, and sees to their ends."""

    def __init__(self, folder: str, spec: Dict[str, Any], ready: int) -> None:
        self.folder, self.spec = folder, spec
        self.ready = ready  # type: Optional[int]
        self.begun, self.started = now(), time.time()
        self.setup_seconds = 0.0
        self.first, self.second, self.job, self.adopted = os.getpid(), 0, 0, False
        self.phase = "starting"
        self.ending, self.since, self.grace, self.sent, self.noticed = "", 0.0, 0.0, 0, False
        self.awake = 0
        self.asked = False
        self.statuses = {}  # type: Dict[int, int]
        self.gauge = Gauge(folder, spec["cwd"], str(spec.get("command", "")))
        self.notices, self.taken = Notices(folder, spec.get("cloud") or ""), False
        self.beat_due, self.sample_due = 0.0, 0.0
        self._make_wake()

    def _make_wake(self) -> None:
        """A pipe that signals write to. Each watcher has its own: one that both read would wake the wrong one."""
        self.wake, wake = os.pipe()
        for end in (self.wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """The whole life of an attempt."""
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        become_subreaper()
        self._reserve()
        if self.spec.get("keep_awake"):
            self._keep_awake()
        self.notices.listen(self.gauge.tools)
        end = (0, None)  # type: End
        if self.spec.get("setup"):
            end = self.conduct("setup", self.spec["setup"], "setup.log")
            self.setup_seconds = round(now() - self.begun, 3)
        failed = end != (0, None)
        if not failed and not self.ending:
            end = self.conduct("running", self.spec["command"], "log")
        self.second = self.job = 0  # their numbers may be another's by now
        self._end_leftovers()
        self._record(end, "setup-failed" if failed else "")

    def conduct(self, phase: str, command: str, log: str) -> End:
        """Run a command to its end: (exit code, signal), or (None, None) where it cannot be learned."""
        os.close(os.open(os.path.join(self.folder, log), os.O_CREAT | os.O_WRONLY, 0o600))
        self.phase, guard, told = phase, os.pipe(), os.pipe()
        self.second = os.fork()
        if self.second == 0:
            os.close(guard[1])
            os.close(told[0])
            return self._as_second(guard[0], told[1], command, log)
        os.close(guard[0])
        os.close(told[1])
        self.job, rest = _first_line(told[0])
        self._publish()
        end = self._await_verdict(told[0], rest)
        with contextlib.suppress(OSError):
            os.write(guard[1], b"k")
        os.close(guard[1])
        os.close(told[0])
        self._await_second()
        return end

    def _await_second(self) -> None:
        """What the job used is told to us when its parent is collected."""
        if self.second not in self.statuses:
            with contextlib.suppress(ChildProcessError):
                self.statuses[self.second] = os.waitpid(self.second, 0)[1]

    def _as_second(self, guard: int, told: int, command: str, log: str) -> End:
        """The job's parent. It comes back from here only when the first watcher is dead, to go on in its place."""
        become_subreaper()
        self._make_wake()
        self.job = os.fork()
        if self.job == 0:
            self._become_job(told, command, log)
        while self.job not in self.statuses:
            self.reap()
            if self.job in self.statuses:
                break
            if guard in select.select([guard, self.wake], [], [], 1.0)[0]:
                self._take_over()
                return self._await_job()
            self._drain()
        end = exit_of(self.statuses[self.job])
        with contextlib.suppress(OSError):
            os.write(told, (json.dumps(end) + "\n").encode())
        if os.read(guard, 1) == b"k":
            os._exit(0)
        self._take_over()
        return end

    def _take_over(self) -> None:
        self.adopted, self.second, self.first = True, 0, os.getpid()
        self.asked = os.path.exists(os.path.join(self.folder, "stop.json"))
        self.notice("The job's first watcher was killed; the second took over")
        self._publish()

    def _become_job(self, told: int, command: str, log: str) -> None:
        try:
            for name in DEFAULTS:
                signal.signal(name, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.setsid()
            os.write(told, b"%d\n" % os.getpid())  # before any of the job's own code can kill who would tell it
            out = os.open(os.path.join(self.folder, log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for number in (1, 2):
                os.dup2(out, number)
            os.chdir(self.spec["cwd"])
            shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
            os.execve(shell, [shell, "-c", command], self._environment())  # noqa: S606 (the shell is named)
        except BaseException as error:  # noqa: BLE001 (the child of a fork must never return)
            os.write(2, ("The job could not be started: %s\n" % error).encode())
        os._exit(126)

    def _environment(self) -> Dict[str, str]:
        counts = os.path.join(self.folder, "progress.jsonl")
        env = dict(os.environ, PYTHONUNBUFFERED="1", DISPATCHER_PROGRESS=counts)
        if env.get("SHLVL", "0") == "0":
            env["SHLVL"] = "1"  # else bash takes itself for the shell of a login over SSH, and says what its .bashrc says
        env.update(self.spec.get("env") or {})
        env.update(self.spec.get("secrets") or {})
        if self.spec.get("path_prefix"):
            env["PATH"] = self.spec["path_prefix"] + os.pathsep + env.get("PATH", os.defpath)
        return env

    def _await_verdict(self, told: int, said: bytes) -> End:
        while b"\n" not in said:
            self.tick()
            if told in self._pause([told]):
                piece = os.read(told, 256)
                if not piece:
                    return self._await_job()
                said += piece
        code, number = json.loads(said)
        return (code, number)

    def _await_job(self) -> End:
        """The job has no other watcher: its status comes here, where the system hands orphans on."""
        while self.job:
            lives = alive(self.job)
            self.reap()
            if self.job in self.statuses:
                return exit_of(self.statuses[self.job])
            if not lives:
                break
            self.tick()
            self._pause([])
        return (None, None)

    def _pause(self, fds: List[int]) -> List[int]:
        ready = select.select([*fds, self.wake], [], [], max(0.0, min(1.0, self._next_due() - now())))[0]
        self._drain()
        return ready

    def _next_due(self) -> float:
        due = [self.beat_due, self.sample_due]
        if self.ending:
            due.append(self.since + ladder(self.grace)[self.sent][0])
        elif self.spec.get("deadline_seconds"):
            limit = self.spec["deadline_seconds"]
            due.append(self.begun + (limit if self.noticed else limit * NOTICE_AT))
        return min(due)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)

    def reap(self) -> None:
        """Collect the statuses of every child that has ended."""
        with contextlib.suppress(ChildProcessError):
            pid, code = os.waitpid(-1, os.WNOHANG)
            while pid:
                self.statuses[pid] = code
                pid, code = os.waitpid(-1, os.WNOHANG)

    def tick(self) -> None:
        """Do what is due."""
        self.reap()
        if self.statuses.pop(self.awake, 0) and os.path.isdir("/run/systemd/system"):  # else there is no sleep to hold off
            self.notice("This computer lets nobody hold off sleep here: a sleeping computer pauses the job")
        if self.asked:
            self.asked = False
            stop = read(self.folder, "stop.json")  # without it nobody of ours asks: the computer shuts down
            if not (stop or self.taken or self.ending):
                self.notice("The job was told to end by its computer: it shuts down, or somebody ended what runs there")
            if stop or not self.taken:
                self._begin_end("stopped" if stop else "lost", float(stop.get("grace", self.spec.get("stop_grace", 30.0))))
        moment = now()
        if self.notices.came():
            self.taken = True  # what time is left is the job's, to save its state: the machine's end is the provider's affair
            signal_job(self.job, self.family(), signal.SIGTERM)
        self._mind_deadline(moment)
        if self.ending:
            self._climb(moment)
        if moment >= self.beat_due:
            self.beat_due = moment + HEARTBEAT_SECONDS
            touch(os.path.join(self.folder, "heartbeat"))
        if moment >= self.sample_due:
            self.sample_due = moment + float(self.spec.get("sample_seconds") or 2.0) * self.gauge.stride
            self.gauge.sample(moment, self.family())

    def _on_term(self, *_: Any) -> None:
        self.asked = True

    def _mind_deadline(self, moment: float) -> None:
        limit = self.spec.get("deadline_seconds")
        if not limit or self.ending:
            return
        if moment >= self.begun + limit:
            self._begin_end("deadline", float(self.spec.get("stop_grace", 30.0)))
            most = ladder(self.grace)[-1][0]
            self.notice("The time limit of %.0f s is reached: the job was asked to stop, and has up to %.0f s" % (limit, most))
        elif not self.noticed and moment >= self.begun + limit * NOTICE_AT:
            self.noticed = True
            self.notice("%.0f s are left until the time limit of %.0f s" % (self.begun + limit - moment, limit), "limit")
            for pid in self.family():
                if catches(pid, signal.SIGUSR1):
                    send(pid, signal.SIGUSR1)

    def _begin_end(self, reason: str, grace: float) -> None:
        if not self.ending:
            self.ending, self.since, self.grace, self.sent = reason, now(), grace, 0
        self.grace = min(self.grace, grace)

    def _climb(self, moment: float) -> None:
        rungs = ladder(self.grace)
        while moment >= self.since + rungs[self.sent][0]:
            signal_job(self.job, self.family(), rungs[self.sent][1])
            if self.sent == len(rungs) - 1:
                self.since = moment + 0.05 - rungs[-1][0]  # what is born meanwhile is killed too
                return
            self.sent += 1

    def family(self) -> Set[int]:
        """Every living process of the job, whatever it did to its parents and sessions."""
        tools = {tool.pid for tool in self.gauge.tools}
        found = descendants({pid for pid in (self.first, self.second, self.job) if pid}, tools)
        if self.adopted or not LINUX:
            found |= {pid for pid in marked(os.path.basename(self.folder)) if alive(pid)}
        return set(found - {self.first, self.second} - tools)

    def _end_leftovers(self) -> None:
        """End what the job left behind: a run is over when nothing that it made lives."""
        self.reap()
        left, begun = self.family(), now()
        if left and not self.ending:
            self.notice("%d processes that the job left behind were ended" % len(left))
        grace = min(LEFTOVER_GRACE_SECONDS, self.grace if self.ending else LEFTOVER_GRACE_SECONDS)
        asked = False
        while left and now() - begun < LEFTOVER_PATIENCE_SECONDS:
            gentle = now() - begun < grace
            for pid in left:
                if not (gentle and asked):
                    send(pid, signal.SIGTERM if gentle else signal.SIGKILL)
            asked = True
            time.sleep(0.02)
            self.reap()
            left = self.family()

    def _keep_awake(self) -> None:
        for argv in AWAKE:
            if on_path(argv[0]):
                self.gauge.tools.append(spawn(list(argv)))
                self.awake = self.gauge.tools[-1].pid
                return
        self.notice("Nothing here can hold off sleep: a sleeping computer pauses the job")

    def notice(self, message: str, kind: str = "") -> None:
        """Something that the user should be told; `kind` where it is told to them wherever they are."""
        said = {"t": round(time.time(), 3), "message": message}
        append(self.folder, "notices.jsonl", dict(said, kind=kind) if kind else said)

    def _publish(self) -> None:
        known = {"pid": self.first, "second": self.second, "job": self.job, "phase": self.phase}
        write(self.folder, "agent.json", dict(known, started=self.started, boot=boot_id()))
        if self.ready is not None:
            with contextlib.suppress(OSError):
                os.write(self.ready, b"ok")
            os.close(self.ready)
            self.ready = None

    def _reserve(self) -> None:
        """Disk that is ours already, so that a disk the job filled still takes the outcome; less of one that is nearly full."""
        room = disk_free_gb(self.folder)
        large = RESERVE_BYTES if room is None or room >= LEAST_ROOM_GB else 0
        for name, size in (("reserve", large), ("outcome.part", 1 << 14), ("stop.part", 1 << 12)):
            with contextlib.suppress(OSError):
                handle = os.open(os.path.join(self.folder, name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
                with open(handle, "wb") as file:
                    file.write(b"\0" * size)

    def _record(self, end: End, reason: str) -> None:
        scarce = self.gauge.scarcity.killed(_signal_of(end), self.gauge.most())
        reason = self.ending or ("preempted" if self.taken else reason)
        reason = reason or why(end, tail_of(os.path.join(self.folder, "log")), scarce=scarce)
        phase = "lost" if reason == "lost" else "ended"
        outcome: Dict[str, Any] = {"phase": phase, "exit_code": end[0], "signal": end[1], "reason": reason}
        outcome.update(self.gauge.peaks())  # while a disk that the job filled is still full
        for tool in self.gauge.tools:
            send(tool.pid, signal.SIGKILL)
        for name in ("reserve", "stop.part"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, name))
        if reason == "oom-host" and not scarce and self.gauge.scarcity.limit < UNLIMITED:
            outcome["memory_limit_gib"] = round(self.gauge.scarcity.limit / GIB, 3)
        outcome.update(started=self.started, ended=time.time(), setup_seconds=self.setup_seconds)
        outcome.update(log_size=size_of(self.folder, "log"), notices=lines(self.folder, "notices.jsonl"))
        write(self.folder, "outcome.json", outcome, "outcome.part")


def now() -> float:
    """Seconds on a clock that counts sleep and is never set."""
    return time.clock_gettime(CLOCK)


def why(end: End, tail: bytes, *, scarce: bool) -> str:
    """The reason in one word. `scarce`: the kernel killed the job for want of memory."""
    if end == (None, None):
        return "lost"
    if scarce:
        return "oom-host"
    failed = end != (0, None)
    return (said_full(tail) if failed else "") or ("signal" if end[1] else "exited")


def _signal_of(end: End) -> Optional[int]:
    """The signal that ended the job, also where a shell tells it as 128 + n."""
    code, number = end
    return number or (code - 128 if code and code > 128 else None)


def exit_of(status_word: int) -> End:
    """(exit code, None) or (None, signal) of a wait status."""
    if os.WIFSIGNALED(status_word):
        return (None, os.WTERMSIG(status_word))
    return (os.WEXITSTATUS(status_word), None)


def _first_line(told: int) -> Tuple[int, bytes]:
    """The job's process id, and what was said after it; 0 when its parent died before telling."""
    said = b""
    while b"\n" not in said:
        piece = os.read(told, 64)
        if not piece:
            return (0, b"")
        said += piece
    first, _, rest = said.partition(b"\n")
    return (int(first), rest)
