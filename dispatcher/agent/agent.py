"""Starts a job on a host, tells how it stands, ends it.

    python3 agent.py start|status|stop|labels DIR

DIR holds one attempt and is named by its label. `start` reads the job as JSON on stdin, so that no secret is ever an argument
or a file. Two processes watch: the second is the job's parent, and each can finish the work when the other is killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import signal
import sys
import time
from typing import Any, Dict, List

from files import boot_id, lines, read, size_of, write  # type: ignore[import-not-found]
from processes import ladder, marked, marked_labels, on_path, send  # type: ignore[import-not-found]

STARTED_BEFORE = 3
LINGERING = "/var/lib/systemd/linger"
STOP_SLACK_SECONDS = 25.0
"""What the watcher may take beyond the grace: SIGTERM's own, and the job's leftovers."""


def main(argv: List[str]) -> int:
    """Do what `argv` says."""
    if len(argv) < 3 or argv[1] not in VERBS:
        print("usage: agent.py start|status|stop|labels DIR", file=sys.stderr)
        return 2
    return VERBS[argv[1]](argv[2].rstrip("/"), argv[3:])


def start(folder: str, options: List[str]) -> int:
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


def status(folder: str, _options: List[str]) -> int:
    """Say as one JSON line where the job stands."""
    print(json.dumps(look(folder)))
    return 0


def stop(folder: str, options: List[str]) -> int:
    """End the job: SIGINT, SIGTERM, SIGKILL, with `--grace` seconds after the first. Returns when it has ended."""
    grace = float(options[options.index("--grace") + 1]) if "--grace" in options else 30.0
    if look(folder)["phase"] not in ("absent", "ended", "lost"):
        write(folder, "stop.json", {"grace": grace}, "stop.part")
        if not _await_watcher(folder, grace):
            _ladder_without_watcher(folder, grace)
    return status(folder, [])


def labels(root: str, _options: List[str]) -> int:
    """Say as one JSON line which attempts have a folder in `root`, or a living process."""
    with_folder = {name for name in os.listdir(root) if os.path.exists(os.path.join(root, name, "agent.json"))}
    print(json.dumps(sorted(with_folder | marked_labels())))
    return 0


def look(folder: str) -> Dict[str, Any]:
    """Where the job stands: absent, starting, setup, running, ended or lost."""
    found: Dict[str, Any] = read(folder, "outcome.json")
    known = read(folder, "agent.json")
    if not found and not os.path.exists(os.path.join(folder, "agent.json")):
        return {"phase": "absent"}
    if not found:
        found = {key: known.get(key) for key in ("started", "phase")}
        if _rebooted(known) or (not _watched(folder) and not marked(os.path.basename(folder))):
            ended = read(folder, "outcome.json")  # it may have been written between the two looks
            found = dict(ended or found, phase=ended.get("phase", "lost"), reason=ended.get("reason", "lost"))
    found["phase"] = found.get("phase") or "starting"
    found["log_size"] = size_of(folder, "log")
    found["notices"] = lines(folder, "notices.jsonl")
    found["sample"] = (lines(folder, "samples.jsonl") or [None])[-1]
    return found


def _rebooted(known: Dict[str, Any]) -> bool:
    """Whether the computer was started anew since: then nothing of the job lives, whatever has its numbers now."""
    before, now = known.get("boot"), boot_id()
    return bool(before and now and before != now)


def _daemonise(folder: str, spec: Dict[str, Any]) -> int:
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
        from watcher import Watcher  # type: ignore[import-not-found]

        Watcher(folder, spec, ready).run()
    except BaseException:  # noqa: BLE001 (a fork must never return into its caller; agent.log has the trace)
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _detach(folder: str) -> None:
    lock = os.open(os.path.join(folder, "lock"), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held by both watchers for as long as one lives
    os.chdir("/")
    null, errors = (
        os.open(os.devnull, os.O_RDWR),
        os.open(os.path.join(folder, "agent.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600),
    )
    for number, source in ((0, null), (1, null), (2, errors)):
        os.dup2(source, number)


def _in_scope(label: str, folder: str, raw: bytes) -> bool:
    """Start as a transient unit of the user's service manager, where that stays: a logout then leaves it alone."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if not _lingers():
        return False  # it ends at the last logout, with all that it has started
    if not runtime or not os.path.exists(os.path.join(runtime, "systemd", "private")) or not on_path("systemd-run"):
        return False
    import subprocess

    argv = [
        "systemd-run",
        "--user",
        "--scope",
        "--quiet",
        "--collect",
        "--unit=" + label,
        "--",
        sys.executable,
        "-ES",
        sys.argv[0],
        "start",
        folder,
        "--plain",
    ]
    done = subprocess.run(argv, input=raw, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode and os.path.exists(os.path.join(folder, "agent.json")):
        sys.exit(_refuse(done.stderr.decode("utf-8", "replace").strip(), done.returncode))
    return done.returncode == 0


def _lingers() -> bool:
    try:
        return os.path.exists(os.path.join(LINGERING, pwd.getpwuid(os.getuid()).pw_name))
    except KeyError:
        return False


def _watched(folder: str) -> bool:
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


def _await_watcher(folder: str, grace: float) -> bool:
    """Ask the watcher to end the job; whether it did in time."""
    patience = time.monotonic() + grace + STOP_SLACK_SECONDS
    asked = 0
    while time.monotonic() < patience:
        if os.path.exists(os.path.join(folder, "outcome.json")):
            return True
        if not _watched(folder):
            return False
        pid = read(folder, "agent.json").get("pid", 0)
        if pid and pid != asked:
            send(pid, signal.SIGTERM)
            asked = pid
        time.sleep(0.02)
    return False


def _ladder_without_watcher(folder: str, grace: float) -> None:
    """Nobody watches any more: end what carries the label, and record that the outcome is lost."""
    label, begun = os.path.basename(folder), time.monotonic()
    for after, number in ladder(grace):
        while marked(label) and time.monotonic() - begun < after:
            time.sleep(0.02)
        for pid in marked(label):
            send(pid, number)
    known = read(folder, "agent.json")
    outcome = {
        "phase": "lost",
        "exit_code": None,
        "signal": None,
        "reason": "lost",
        "started": known.get("started"),
        "ended": time.time(),
    }
    if not os.path.exists(os.path.join(folder, "outcome.json")):
        write(folder, "outcome.json", outcome)


def _refuse(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


VERBS = {"start": start, "status": status, "stop": stop, "labels": labels}

if __name__ == "__main__":
    sys.exit(main(sys.argv))
