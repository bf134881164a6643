"""Every effect of a driver, numbered as it is about to happen: where it may be killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests.adapters
from botocore.httpsession import URLLib3Session

from dispatcher.backends.cloud import keyring
from dispatcher.store import store
from tests.guarantees.sim.desk import changes

READS = re.compile(r"Describe|Get|List|Head|Lookup")
SCHEDULES = re.compile(r"/schedules/(mlrun-end)-")
SCHEDULED = {"POST": "CreateSchedule", "DELETE": "DeleteSchedule"}
ACTION = re.compile(rb"(?:^|&)Action=(\w+)")


CHANGING = frozenset(f"os.{one}" for one in ("rename", "remove", "mkdir", "rmdir", "link", "symlink", "truncate"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def named(path: str) -> str:
    """A path without what differs from run to run."""
    return re.sub(r"\d{2,}", "N", re.sub(r"(?<=[/-])[0-9a-z]{10}(?=[-/]|$)", "RUN", path))


class Effects:
    """Notes each effect in a file, and ends the process before the one with number `fatal`, counted from 1."""

    def __init__(self, file: str, fatal: int = 0) -> None:
        self.fatal, self.count = fatal, 0
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def __call__(self, name: str) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(self._file, f"{name}\n".encode())

    def watch_here(self, folder: Path) -> None:
        """Stand before every commit, and before everything that the interpreter itself says it is about to change here."""
        _before_commits(self)
        sys.addaudithook(lambda event, details: self._audited(event, details, str(folder)))

    def _audited(self, event: str, details: tuple[Any, ...], folder: str) -> None:
        told = ""
        if event == "subprocess.Popen":
            told = changes([str(one) for one in details[1]])
        elif event == "os.kill" and details[0] != os.getpid():
            told = "kill"
        elif event in CHANGING or (event == "open" and isinstance(details[2], int) and details[2] & WRITING):
            path = os.fsdecode(details[0]) if isinstance(details[0], (str, bytes)) else "/"
            if not path.startswith("/") or (path.startswith(folder) and not path.startswith(f"{folder}/answer-")):
                told = f"{event} {named(path.removeprefix(folder))}"
        if told:
            self(told)

    def watch(self) -> None:
        """Stand before every commit, every private file, and every call that changes a cloud."""
        _before_commits(self)
        _before(self, keyring.Keyring, "write", lambda _ring, kind, _text: f"file {kind}")
        _before(self, keyring.Keyring, "forget", lambda _ring: "file forgotten")
        _before(self, store, "keep_copy", lambda _folder, _document: "file copy")
        _before(self, URLLib3Session, "send", lambda _session, request: _aws(request))
        _before(self, requests.adapters.HTTPAdapter, "send", lambda _adapter, request, **_more: _gcp(request))


def _before(effects: Effects, owner: Any, name: str, describe: Any) -> None:
    original = getattr(owner, name)

    def standing_before(*arguments: Any, **named: Any) -> Any:
        if told := describe(*arguments, **named):
            effects(told)
        return original(*arguments, **named)

    setattr(owner, name, standing_before)


def _before_commits(effects: Effects) -> None:
    original = store.Store._writing

    @contextlib.contextmanager
    def writing(self: store.Store, *, durable: bool = True) -> Iterator[None]:
        with original(self, durable=durable):
            yield
            effects("commit")

    store.Store._writing = writing  # type: ignore[method-assign]


def _aws(request: Any) -> str:
    if request.method == "GET":
        return ""
    if found := SCHEDULES.search(request.url):
        return f"aws {SCHEDULED.get(request.method, request.method)} {found[1]}"
    body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
    target = request.headers.get("X-Amz-Target", b"")
    named = ACTION.search(body)
    action = named[1].decode() if named else (target.decode() if isinstance(target, bytes) else target).rpartition(".")[2]
    return "" if READS.match(action) else f"aws {action}"


def _gcp(request: Any) -> str:
    path = request.url.partition("?")[0].partition("/projects/")[2]
    if request.method == "GET" or path.endswith("/wait"):
        return ""
    return f"gcp {request.method} {re.sub(r'mlrun-[0-9a-z]+-', 'mlrun-', path)}"
