"""Attempts on an owned computer: made, listed, cleared away.

python3 owned.py make|list|end ROOT [LABEL CLIENT]. ROOT/LABEL.live stands from the first to the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from typing import Any, Callable, Dict, List

from processes import environments, marked, send  # type: ignore[import-not-found]

MARK = ".live"
PATIENCE_SECONDS = 10.0
UNUSED_SECONDS = 60 * 86400.0


def main(argv: List[str]) -> int:
    """Do what `argv` says, and answer with one line of JSON."""
    verb, root, rest = argv[1], os.path.expanduser(argv[2]), argv[3:]
    verbs: Dict[str, Callable[..., Any]] = {"make": make, "list": listed, "end": end}
    print(json.dumps(verbs[verb](root, *rest)))
    return 0


def make(root: str, label: str, client: str) -> Dict[str, Any]:
    """Have the mark of an attempt; one that is there stays."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    mark = os.path.join(root, label + MARK)
    if not os.path.exists(mark):
        part = "%s.%d.part" % (mark, os.getpid())
        with open(part, "w") as file:
            json.dump({"client": client, "made": time.time()}, file)
        os.rename(part, mark)
    clear_unused(root)
    return {"made": True}


def clear_unused(root: str) -> None:
    """Remove copies and environments that no run has used for long."""
    uses = [(os.path.join(root, ".sync", name), os.path.join(root, name[: -len(".json")])) for name in _copies(root)]
    envs = os.path.join(root, "envs")
    made = os.listdir(envs) if os.path.isdir(envs) else []
    uses += [(os.path.join(envs, name, ".ready"), os.path.join(envs, name)) for name in made]
    for used, folder in uses:
        with contextlib.suppress(OSError):
            if time.time() - os.stat(used).st_mtime > UNUSED_SECONDS:
                _remove(folder)
                _remove(used)


def _copies(root: str) -> List[str]:
    sync = os.path.join(root, ".sync")
    names = os.listdir(sync) if os.path.isdir(sync) else []
    return [name for name in names if name.startswith("copy-") and name.endswith(".json")]


def listed(root: str) -> List[Dict[str, Any]]:
    """Every mark, and every process of an attempt: kind, id, label, client, age in seconds."""
    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        if name.endswith(MARK):
            path = os.path.join(root, name)
            known = _load(path)
            age = time.time() - float(known.get("made") or os.stat(path).st_mtime)
            found.append(_row("folder", path, name[: -len(MARK)], str(known.get("client") or ""), age))
    for pid, words in environments():
        variables = dict(word.split(b"=", 1) for word in words if b"=" in word)
        if b"DISPATCHER_LABEL" in variables and pid != os.getpid():
            label = variables[b"DISPATCHER_LABEL"].decode("ascii", "replace")
            client = variables.get(b"DISPATCHER_CLIENT", b"").decode("ascii", "replace")
            found.append(_row("process", str(pid), label, client, _age(pid)))
    return found


def end(root: str, label: str) -> Dict[str, Any]:
    """Kill what carries the label, also what is born meanwhile; remove its folders. Tells what would not go."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while marked(label) and time.monotonic() < give_up:
        for pid in marked(label):
            send(pid, signal.SIGKILL)
        time.sleep(0.02)
    left = ["process %d" % pid for pid in marked(label)]
    for name in (label, label + ".work"):
        _remove(os.path.join(root, name))
        if os.path.lexists(os.path.join(root, name)):
            left.append(os.path.join(root, name))
    for ending in (".part", ".json", ".lock"):
        _remove(os.path.join(root, ".sync", label + ".work" + ending))
    if not left:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(root, label + MARK))
    return {"left": left}


def _remove(path: str) -> None:
    """Also folders that a job made read-only."""
    if not os.path.isdir(path) or os.path.islink(path):
        with contextlib.suppress(OSError):
            os.unlink(path)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def _age(pid: int) -> float:
    try:
        return time.time() - os.stat("/proc/%d" % pid).st_ctime
    except OSError:
        return 0.0


def _row(kind: str, name: str, label: str, client: str, age: float) -> Dict[str, Any]:
    return {"kind": kind, "id": name, "label": label, "client": client, "age": max(0.0, age)}


def _load(path: str) -> Dict[str, Any]:
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        found = json.load(file)
        return found if isinstance(found, dict) else {}
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
