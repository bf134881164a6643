"""Starts a job on a host, watches it, ends it, and records how it ended.

    python3 agent.py start|status|stop|labels DIR

DIR holds one attempt and is named by its label. `start` reads the job as JSON on stdin, so that no secret is ever an argument or
a file. Two processes watch: the second is the job's parent, and each can finish the work when the other is killed.
"""

import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import sys
import time

from processes import (
    LINUX,
    alive,
    become_subreaper,
    catches,
    cpu_seconds,
    ladder,
    marked,
    marked_labels,
    on_path,
    oom_kills,
    ram_bytes,
    send,
    signal_job,
    table,
)

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # both count the time a computer sleeps
HEARTBEAT_SECONDS = 5.0
GPU_SECONDS = 5.0
KILL_GRACE_SECONDS = 10.0
LEFTOVER_GRACE_SECONDS = 2.0
NOTICE_AT = 0.8
RESERVE_BYTES = 1 << 20
TAIL_BYTES = 1 << 16
SAMPLES_PER_STRIDE = 5000
GIB = float(1 << 30)
STARTED_BEFORE = 3
DEVICE_FULL = (b"CUDA out of memory", b"OutOfMemoryError", b"MPS backend out of memory", b"RESOURCE_EXHAUSTED", b"cudaErrorMemoryAllocation")
HOST_FULL = (b"MemoryError", b"std::bad_alloc", b"Cannot allocate memory")
SMI = (
    "nvidia-smi --query-compute-apps=pid,used_memory --format=csv,noheader,nounits; echo --;"
    "nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits"
)
AWAKE = (
    ("caffeinate", "-i", "cat"),
    ("systemd-inhibit", "--what=sleep:idle", "--mode=block", "--who=mlrun", "--why=a training job runs", "cat"),
)


def main(argv):
    """Do what `argv` says."""
    if len(argv) < 3 or argv[1] not in VERBS:
        print("usage: agent.py start|status|stop|labels DIR", file=sys.stderr)
        return 2
    return VERBS[argv[1]](argv[2].rstrip("/"), argv[3:])


def start(folder, options):
    """Start the job of stdin; return once it is started, or say why not."""
    raw = sys.stdin.buffer.read()
    label = os.path.basename(folder)
    if "--plain" not in options and _in_scope(label, folder, raw):
        return 0
    spec = json.loads(raw)
    if not os.path.isdir(spec["cwd"]):
        return _refuse("The work folder %s is not there" % spec["cwd"], 1)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(os.path.join(folder, "agent.json"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return _refuse("%s was started before" % label, STARTED_BEFORE)
    except OSError as error:
        return _refuse("The folder %s cannot be made: %s" % (folder, error.strerror), 1)
    return _daemonise(folder, spec)


def status(folder, _options):
    """Say as one JSON line where the job stands."""
    print(json.dumps(look(folder)))
    return 0


def stop(folder, options):
    """End the job: SIGINT, SIGTERM, SIGKILL, with `--grace` seconds after the first. Returns when it has ended."""
    grace = float(options[options.index("--grace") + 1]) if "--grace" in options else 30.0
    if look(folder)["phase"] not in ("absent", "ended", "lost"):
        _write(folder, "stop.json", {"grace": grace})
        if not _await_watcher(folder, grace):
            _ladder_without_watcher(folder, grace)
    return status(folder, ())


def labels(root, _options):
    """Say as one JSON line which attempts have a folder in `root`, or a living process."""
    with_folder = {name for name in os.listdir(root) if os.path.exists(os.path.join(root, name, "agent.json"))}
    print(json.dumps(sorted(with_folder | marked_labels())))
    return 0


def look(folder):
    """Where the job stands: absent, starting, setup, running, ended or lost."""
    found = _read(folder, "outcome.json")
    known = _read(folder, "agent.json")
    if not found and not os.path.exists(os.path.join(folder, "agent.json")):
        return {"phase": "absent"}
    if not found:
        found = {key: known.get(key) for key in ("started", "phase")}
        if not _watched(folder) and not marked(os.path.basename(folder)):
            ended = _read(folder, "outcome.json")  # it may have been written between the two looks
            found = ended or dict(found, phase="lost", reason="lost")
    found["phase"] = found.get("phase") or "starting"
    found["log_size"] = _size(folder, "log")
    found["notices"] = _lines(folder, "notices.jsonl")
    found["sample"] = (_lines(folder, "samples.jsonl") or [None])[-1]
    return found


class Watcher:
    """Runs setup and the job, one after the other, and sees to their ends."""

    def __init__(self, folder, spec, ready):
        self.folder, self.spec, self.ready = folder, spec, ready
        self.begun, self.started = time.clock_gettime(CLOCK), time.time()
        self.first, self.second, self.job, self.adopted = os.getpid(), 0, 0, False
        self.ending, self.since, self.grace, self.sent, self.noticed = "", 0.0, 0.0, 0, False
        self.asked, self.verdict, self.statuses, self.tools = False, None, {}, []
        self.ram_peak, self.gpu_peak, self.gpu_base, self.gpu_now = 0.0, None, None, (None, None)
        self.beat_due, self.sample_due, self.gpu_due, self.samples, self.cpu_before = 0.0, 0.0, 0.0, 0, None
        self.oom_before = oom_kills()
        self.wake, wake = os.pipe()
        for end in (self.wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self):
        """The whole life of an attempt."""
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_term)
        become_subreaper()
        self._reserve()
        if self.spec.get("keep_awake"):
            self._keep_awake()
        end, setup = (0, None), self.spec.get("setup")
        if setup:
            end = self.conduct("setup", setup, "setup.log")
        failed = end != (0, None)
        if not failed and not self.ending:
            end = self.conduct("running", self.spec["command"], "log")
        self._end_leftovers()
        self._record(end, "setup-failed" if failed else "")

    def conduct(self, phase, command, log):
        """Run a command to its end: (exit code, signal), or (None, None) where it cannot be learned."""
        os.close(os.open(os.path.join(self.folder, log), os.O_CREAT | os.O_WRONLY, 0o600))
        self.verdict, guard, told = None, os.pipe(), os.pipe()
        self.second = os.fork()
        if self.second == 0:
            os.close(guard[1])
            os.close(told[0])
            return self._as_second(guard[0], told[1], command, log)
        os.close(guard[0])
        os.close(told[1])
        said = b""
        while b"\n" not in said:
            said = os.read(told[0], 64) or b"0\n"
        first, _, rest = said.partition(b"\n")
        self.job = int(first)
        self._publish(phase)
        end = self._await_verdict(told[0], rest)
        with contextlib.suppress(OSError):
            os.write(guard[1], b"k")
        os.close(guard[1])
        os.close(told[0])
        return end

    def _as_second(self, guard, told, command, log):
        """The job's parent. It comes back from here only when the first watcher is dead, to go on in its place."""
        become_subreaper()
        self.job = os.fork()
        if self.job == 0:
            self._become_job(command, log)
        os.write(told, b"%d\n" % self.job)
        while self.job not in self.statuses:
            self.reap()
            if self.job in self.statuses:
                break
            if guard in select.select([guard, self.wake], [], [])[0]:
                return self._take_over()
            self._drain()
        end = exit_of(self.statuses[self.job])
        with contextlib.suppress(OSError):
            os.write(told, (json.dumps(end) + "\n").encode())
        if os.read(guard, 1) == b"k":
            os._exit(0)
        self._take_over(wait=False)
        return end

    def _take_over(self, wait=True):
        self.adopted, self.second, self.first = True, 0, os.getpid()
        self.asked = os.path.exists(os.path.join(self.folder, "stop.json"))
        self.notice("The job's first watcher was killed; the second took over")
        self._publish("running")
        return self._await_job() if wait else None

    def _become_job(self, command, log):
        try:
            for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGXFSZ, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.setsid()
            out = os.open(os.path.join(self.folder, log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            for number in (1, 2):
                os.dup2(out, number)
            os.chdir(self.spec["cwd"])
            shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
            os.execve(shell, [shell, "-c", command], self._environment())
        except BaseException as error:  # noqa: BLE001 (the child of a fork must never return)
            os.write(2, ("The job could not be started: %s\n" % error).encode())
        os._exit(126)

    def _environment(self):
        env = dict(os.environ, PYTHONUNBUFFERED="1")
        env.update(self.spec.get("env") or {})
        env.update(self.spec.get("secrets") or {})
        if self.spec.get("path_prefix"):
            env["PATH"] = self.spec["path_prefix"] + os.pathsep + env.get("PATH", os.defpath)
        return env

    def _await_verdict(self, told, said):
        while b"\n" not in said:
            self.tick()
            if told in self._pause([told]):
                piece = os.read(told, 256)
                if not piece:
                    return self._await_job()
                said += piece
        return tuple(json.loads(said))

    def _await_job(self):
        """The job has no other watcher: its status comes here, where the system hands orphans on."""
        while self.job:
            self.reap()
            if self.job in self.statuses:
                return exit_of(self.statuses[self.job])
            if not alive(self.job):
                break
            self.tick()
            self._pause([])
        return (None, None)

    def _pause(self, fds):
        now = time.clock_gettime(CLOCK)
        ready = select.select([*fds, self.wake], [], [], max(0.0, min(1.0, self._next_due() - now)))[0]
        self._drain()
        return ready

    def _next_due(self):
        due = [self.beat_due, self.sample_due]
        if self.ending:
            due.append(self.since + self._rungs()[min(self.sent, 2)][0])
        elif self.spec.get("deadline_seconds"):
            limit = self.spec["deadline_seconds"]
            due.append(self.begun + (limit if self.noticed else limit * NOTICE_AT))
        return min(due)

    def _drain(self):
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)

    def reap(self):
        """Collect the statuses of every child that has ended."""
        with contextlib.suppress(ChildProcessError):
            pid, code = os.waitpid(-1, os.WNOHANG)
            while pid:
                self.statuses[pid] = code
                pid, code = os.waitpid(-1, os.WNOHANG)

    def tick(self):
        """Do what is due."""
        now = time.clock_gettime(CLOCK)
        self.reap()
        if self.asked:
            self.asked = False
            self._begin_end("stopped", float(_read(self.folder, "stop.json").get("grace", self.spec.get("stop_grace", 30.0))))
        self._mind_deadline(now)
        if self.ending:
            self._climb(now)
        if now >= self.beat_due:
            self.beat_due = now + HEARTBEAT_SECONDS
            _touch(os.path.join(self.folder, "heartbeat"))
        if now >= self.sample_due:
            self.sample_due = now + float(self.spec.get("sample_seconds") or 2.0) * (1 + self.samples // SAMPLES_PER_STRIDE)
            self._sample(now)

    def _on_term(self, *_):
        self.asked = True

    def _mind_deadline(self, now):
        limit = self.spec.get("deadline_seconds")
        if not limit or self.ending:
            return
        if now >= self.begun + limit:
            self._begin_end("deadline", float(self.spec.get("stop_grace", 30.0)))
        elif not self.noticed and now >= self.begun + limit * NOTICE_AT:
            self.noticed = True
            self.notice("%.0f s are left until the time limit of %.0f s" % (self.begun + limit - now, limit))
            for pid in self.family():
                if catches(pid, signal.SIGUSR1):
                    send(pid, signal.SIGUSR1)

    def _begin_end(self, reason, grace):
        if not self.ending:
            self.ending, self.since, self.grace, self.sent = reason, time.clock_gettime(CLOCK), grace, 0
        self.grace = min(self.grace, grace)

    def _rungs(self):
        return ladder(self.grace)

    def _climb(self, now):
        rungs = self._rungs()
        while self.sent < len(rungs) and now >= self.since + rungs[self.sent][0]:
            signal_job(self.job, self.family(), rungs[self.sent][1])
            self.sent += 1
        if self.sent == len(rungs):
            self.sent -= 1  # what is born meanwhile is killed too
            self.since = now + 0.05 - rungs[-1][0]

    def family(self):
        """Every living process of the job, whatever it did to its parents and sessions."""
        parents, mine = table(), {self.first, self.second}
        found, queue = set(), [pid for pid in (self.first, self.second, self.job) if pid]
        while queue:
            pid = queue.pop()
            children = [one for one, (parent, state) in parents.items() if parent == pid and one not in found and state != "Z"]
            found.update(children)
            queue += children
        if self.job in parents and parents[self.job][1] != "Z":
            found.add(self.job)
        if self.adopted or not LINUX:
            found |= {pid for pid in marked(os.path.basename(self.folder)) if parents.get(pid, (0, "Z"))[1] != "Z"}
        tools = {tool.pid for tool in self.tools}
        return {pid for pid in found - mine - tools if parents.get(pid, (0, ""))[0] not in tools}

    def _end_leftovers(self):
        """End what the job left behind: a run is over when nothing that it made lives."""
        self.reap()
        left = self.family()
        if not left:
            return
        if not self.ending:
            self.notice("%d processes that the job left behind were ended" % len(left))
        begun = time.clock_gettime(CLOCK)
        while left and time.clock_gettime(CLOCK) - begun < LEFTOVER_GRACE_SECONDS + KILL_GRACE_SECONDS:
            gentle = time.clock_gettime(CLOCK) - begun < min(LEFTOVER_GRACE_SECONDS, self.grace if self.ending else LEFTOVER_GRACE_SECONDS)
            for pid in left:
                send(pid, signal.SIGTERM if gentle else signal.SIGKILL)
            time.sleep(0.02)
            self.reap()
            left = self.family()

    def _sample(self, now):
        family = self.family()
        ram = ram_bytes(family)
        self.ram_peak = max(self.ram_peak, ram)
        cpu, before = cpu_seconds(family) + _children().ru_utime + _children().ru_stime, self.cpu_before
        self.cpu_before = (now, cpu)
        cpus = max(0.0, (cpu - before[1]) / max(1e-3, now - before[0])) if before else 0.0
        self._sample_gpu(now, family)
        line = {"t": round(time.time(), 3), "cpus": round(cpus, 2), "ram_gib": round(ram / GIB, 3), "disk_free_gb": _disk_free(self.spec["cwd"])}
        if self.gpu_now[0] is not None:
            line.update(gpu_utilisation=self.gpu_now[0], gpu_memory_gib=self.gpu_now[1])
        self.samples += 1
        _append(self.folder, "samples.jsonl", line)

    def _sample_gpu(self, now, family):
        if self.gpu_due > now or not on_path("nvidia-smi"):
            return
        asking = [tool for tool in self.tools if tool.stdout]
        if asking and asking[0].poll() is None:
            return
        for tool in asking:
            self.gpu_now = self._gpu_use(tool.stdout.read(), family)
            tool.stdout.close()
            self.tools.remove(tool)
        self.gpu_due = now + (GPU_SECONDS if asking else 0.0)
        self.tools.append(_spawn(["/bin/sh", "-c", SMI], out=True))

    def _gpu_use(self, text, family):
        """(utilisation 0-1, GiB of this job). Where process ids are hidden from us, what came on top of the first look."""
        apps, _, whole = text.decode("utf-8", "replace").partition("--")
        rows = [[cell.strip() for cell in line.split(",")] for line in whole.splitlines() if "," in line]
        ours = [line.split(",") for line in apps.splitlines() if "," in line]
        total = sum(float(row[1]) for row in rows if row[1].isdigit())
        self.gpu_base = total if self.gpu_base is None else self.gpu_base
        used = sum(float(row[1]) for row in ours if row[0].strip().isdigit() and int(row[0]) in family and row[1].strip().isdigit())
        gib = (used or max(0.0, total - self.gpu_base)) / 1024
        self.gpu_peak = max(self.gpu_peak or 0.0, gib)
        return (max((float(row[0]) for row in rows if row[0].isdigit()), default=0.0) / 100, round(gib, 3))

    def _keep_awake(self):
        for argv in AWAKE:
            if on_path(argv[0]):
                self.tools.append(_spawn(list(argv)))
                time.sleep(0)
                return
        self.notice("Nothing here can hold off sleep: a sleeping computer pauses the job")

    def notice(self, message):
        """Something that the user should be told."""
        _append(self.folder, "notices.jsonl", {"t": round(time.time(), 3), "message": message})

    def _publish(self, phase):
        known = {"pid": self.first, "second": self.second, "job": self.job, "phase": phase, "started": self.started, "boot": _boot()}
        _write(self.folder, "agent.json", known)
        if self.ready is not None:
            os.write(self.ready, b"ok")
            os.close(self.ready)
            self.ready = None

    def _reserve(self):
        """Disk that is ours already, so that a disk the job filled still takes the outcome."""
        for name, size in (("reserve", RESERVE_BYTES), ("outcome.part", 1 << 14)):
            with contextlib.suppress(OSError), open(os.path.join(self.folder, name), "wb") as file:
                file.write(b"\0" * size)

    def _record(self, end, reason):
        code, number = end
        oom = oom_kills() > self.oom_before
        tail = _tail(os.path.join(self.folder, "log"))
        reason = self.ending or reason or why(code, number, oom, tail)
        most = _children().ru_maxrss * (1024 if LINUX else 1)
        outcome = {
            "phase": "ended" if reason != "lost" else "lost", "exit_code": code, "signal": number, "reason": reason,
            "started": self.started, "ended": time.time(), "ram_peak_gib": round(max(self.ram_peak, most) / GIB, 3),
            "gpu_peak_gib": self.gpu_peak, "cpu_seconds": round(_children().ru_utime + _children().ru_stime, 3),
        }  # fmt: skip
        for tool in self.tools:
            send(tool.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, "reserve"))
        _write(self.folder, "outcome.json", outcome, part="outcome.part")


def why(code, number, oom, tail):
    """The reason in one word."""
    if code is None and number is None:
        return "lost"
    if (number == signal.SIGKILL or code == 128 + signal.SIGKILL) and oom:
        return "oom-host"
    if (code or number) and any(mark in tail for mark in DEVICE_FULL):
        return "oom-device"
    if (code or number) and any(mark in tail for mark in HOST_FULL):
        return "oom-host"
    return "signal" if number else "exited"


def exit_of(status_word):
    """(exit code, None) or (None, signal) of a wait status."""
    if os.WIFSIGNALED(status_word):
        return (None, os.WTERMSIG(status_word))
    return (os.WEXITSTATUS(status_word), None)


def _daemonise(folder, spec):
    """Two forks and a session of its own; the caller waits until the job is started."""
    heard, ready = os.pipe()
    if os.fork():
        os.close(ready)
        said = os.read(heard, 4096)
        os.wait()
        return 0 if said == b"ok" else _refuse(said.decode() or "The agent ended before the job was started", 1)
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        _detach(folder)
        Watcher(folder, spec, ready).run()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _detach(folder):
    lock = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held by both watchers for as long as one lives
    os.chdir("/")
    null, errors = os.open(os.devnull, os.O_RDWR), os.open(os.path.join(folder, "agent.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for number, source in ((0, null), (1, null), (2, errors)):
        os.dup2(source, number)


def _in_scope(label, folder, raw):
    """Start as a transient unit of the user's service manager, where there is one: a logout then leaves it alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not runtime or not os.path.exists(os.path.join(runtime, "systemd", "private")) or not on_path("systemd-run"):
        return False
    import subprocess

    argv = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--unit=" + label, "--", sys.executable, "-ES", sys.argv[0], "start", folder, "--plain"]
    done = subprocess.run(argv, input=raw, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode and os.path.exists(os.path.join(folder, "agent.json")):
        sys.exit(_refuse(done.stderr.decode("utf-8", "replace").strip(), done.returncode))
    return done.returncode == 0


def _watched(folder):
    """Whether a watcher lives: it holds the lock."""
    try:
        lock = os.open(os.path.join(folder, "lock"), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _await_watcher(folder, grace):
    """Ask the watcher to end the job; whether it did in time."""
    patience = time.monotonic() + grace + 2 * KILL_GRACE_SECONDS + LEFTOVER_GRACE_SECONDS
    asked = 0
    while time.monotonic() < patience:
        if os.path.exists(os.path.join(folder, "outcome.json")):
            return True
        if not _watched(folder):
            return False
        pid = _read(folder, "agent.json").get("pid", 0)
        if pid and pid != asked:
            send(pid, signal.SIGTERM)
            asked = pid
        time.sleep(0.02)
    return False


def _ladder_without_watcher(folder, grace):
    """Nobody watches any more: end what carries the label, and record that the outcome is lost."""
    label, begun = os.path.basename(folder), time.monotonic()
    for after, number in ladder(grace):
        while marked(label) and time.monotonic() - begun < after:
            time.sleep(0.02)
        for pid in marked(label):
            send(pid, number)
    known = _read(folder, "agent.json")
    outcome = {"phase": "lost", "exit_code": None, "signal": None, "reason": "lost", "started": known.get("started"), "ended": time.time()}
    if not os.path.exists(os.path.join(folder, "outcome.json")):
        _write(folder, "outcome.json", outcome)


def _refuse(message, code):
    print(message, file=sys.stderr)
    return code


def _spawn(argv, out=False):
    """A tool of ours beside the job; one that reads stdin ends with us."""
    import subprocess

    env = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCHER_")}
    sink = subprocess.PIPE if out else subprocess.DEVNULL
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.DEVNULL, env=env)


def _children():
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def _disk_free(place):
    with contextlib.suppress(OSError):
        found = os.statvfs(place)
        return round(found.f_bavail * found.f_frsize / 1e9, 2)
    return None


def _boot():
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""


def _read(folder, name):
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, name)) as file:
        return json.load(file)
    return {}


def _write(folder, name, value, part=None):
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


def _append(folder, name, value):
    with contextlib.suppress(OSError), open(os.path.join(folder, name), "a") as file:
        file.write(json.dumps(value) + "\n")


def _lines(folder, name):
    """The JSON lines at a file's end."""
    found = []
    for line in _tail(os.path.join(folder, name)).splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return [one for one in found if isinstance(one, dict)]


def _tail(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read()
    return b""


def _size(folder, name):
    with contextlib.suppress(OSError):
        return os.stat(os.path.join(folder, name)).st_size
    return 0


def _touch(path):
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.utime(path)


VERBS = {"start": start, "status": status, "stop": stop, "labels": labels}

if __name__ == "__main__":
    sys.exit(main(sys.argv))
