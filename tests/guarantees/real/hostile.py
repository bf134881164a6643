"""Hosts that lie about what a job left: their manifests and frames, and where anything was written."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import random
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dispatcher.errors import MlrunError
from dispatcher.hosts.collect import collect
from dispatcher.hosts.ssh import SshHost, Target
from tests.sshd import sshd

PYTHON = """#!/bin/sh
# A python3 that answers as its owner likes where outputs are asked for.
case "$*" in
*manifest.py*) cat >/dev/null; cat "$HOME/manifest" ;;
*"Sends files of a folder in frames"*) cat >/dev/null; cat "$HOME/frames" ;;
*) exec {python} "$@" ;;
esac
"""
NAMES = (
    "../escaped", "../../escaped", "a/../../escaped", "/tmp/{mark}", "//tmp/{mark}", "~/escaped", "link/escaped",
    "folder-link/x",
    "a\\..\\escaped", "C:\\x", "c:escaped", "a\0b", "a\nb", "\x1b]0;x\x07", "con", "NUL.txt", "com1", "x.", "x ", ".", "..", "",
    "a//b", "a/./b", "./a", "n" * 256, "ü" * 128, "/".join("d" * 70), "ok", "OK", "Ok/x", "ok/y", "file",
    "file/below", "\ud800",
    "\u202egnp.exe", ".mlrun-x.part/y", ".mlrun-x.part", "plain.bin", "sub/plain.bin", "sub", "outside-link", "\x7f", "\x9b6n",
)  # fmt: skip
ODD = (-1, 0, 1, 7, 1 << 31, 1 << 40, 1 << 62, 1 << 70, 1.5, True, None, "7", [], {}, float("inf"))
MODES = (0o644, 0o4755, 0o2755, 0o777, 0o100644, 0o120777, -1, 1 << 40, None, "644")
PAYLOADS = (b"", b"x", b"#!/bin/sh\ntouch owned\n", b"\x7fELF" + bytes(64), bytes(range(256)) * 40)


@dataclass
class Arena:
    """A target folder among things that must stay as they are; links in it lead out."""

    root: Path
    before: dict[str, str] = field(default_factory=dict)

    @property
    def target(self) -> Path:
        return self.root / "target"

    def lay(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "outside").mkdir(parents=True)
        (self.root / "secret").write_text("untouched")
        self.target.mkdir()
        (self.target / "link").symlink_to(self.root / "outside")
        (self.target / "folder-link").symlink_to("../outside")
        (self.target / "outside-link").symlink_to("../secret")
        self.before = self.seen()

    def seen(self) -> dict[str, str]:
        """Everything but what stands in the target, with its content."""
        found = {}
        for file in sorted(self.root.rglob("*")):
            if not file.is_relative_to(self.target):
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "folder"
        return found

    def breaches(self, marks: list[Path]) -> list[str]:
        """What was written where it may not, or can do harm where it is."""
        found = ["a byte outside the target"] if self.seen() != self.before else []
        found += [f"{mark} was made" for mark in marks if mark.exists()]
        for file in self.target.rglob("*"):
            mode = file.lstat().st_mode
            if stat.S_ISREG(mode) and mode & 0o7111:
                found.append(f"{file.name!r} may be run")
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                found.append(f"{file.name!r} is no file")
        return found


def served(dice: random.Random, mark: str) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """A manifest and frames, and the (name, content) pairs that a trusting client would write."""
    lines, frames, pairs = [], [], []
    for _ in range(dice.randrange(1, 6)):
        name, data = dice.choice(NAMES).replace("{mark}", mark), dice.choice(PAYLOADS)
        told: dict[str, object] = {
            "path": name, "size": len(data), "mode": dice.choice(MODES[:2]), "sha256": hashlib.sha256(data).hexdigest(),
            "new": True, "patterns": [0],
        }  # fmt: skip
        if dice.random() < 0.3:
            spoilt = dice.choice(["size", "mode", "sha256", "path", "patterns"])
            told[spoilt] = dice.choice(MODES if spoilt == "mode" else ODD)
        lines.append(json.dumps(told).encode())
        pairs.append((name, data))
        frames.append(_frames(dice, data))
    manifest = b"\n".join(lines) + b"\n"
    if dice.random() < 0.15:
        manifest = dice.choice([b"[" * 100_000, b"\xff\xfe\n", b"null\n", b"{}\n", b"", manifest[:-20], dice.randbytes(300)])
    return manifest, b"".join(frames), pairs


def _frames(dice: random.Random, data: bytes) -> bytes:
    kind = dice.random()
    if kind < 0.7:
        return _frame(b"d", data) + _frame(b"n", b"")
    if kind < 0.8:
        return _frame(b"d", data + b"more than was announced") + _frame(b"n", b"")
    if kind < 0.9:
        return b"d" + struct.pack(">I", dice.choice([1 << 31, (1 << 32) - 1, len(data) + 1])) + data
    return dice.choice(
        [_frame(b"x", b"\x1b]0;no\x07" * 9), _frame(b"q", data), dice.randbytes(64), b"", b"d\0\0", b"x\xff\xff\xff\xff"]
    )


def _frame(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack(">I", len(data)) + data


def trusting(target: Path, pairs: list[tuple[str, bytes]]) -> None:
    """The planted control: a client that believes what it is told."""
    for name, data in pairs:
        with suppress(OSError, ValueError):
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755)


@dataclass
class Visit:
    """How many liars were visited; breaches; crashes; how many the trusting client would have fallen for."""

    servers: int = 0
    breaches: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    taken: int = 0
    control: int = 0


def visit(servers: int) -> Visit:
    found = Visit()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlrun-hostile-")))
        tools = folder / "bin"
        tools.mkdir()
        (tools / "python3").write_text(PYTHON.format(python=shutil.which("python3")))
        (tools / "python3").chmod(0o755)
        there = folder / "sshd"
        server = stack.enter_context(sshd(there, SetEnv=f"HOME={there}/home PATH={tools}:{os.environ['PATH']}"))
        target = Target("liar", "127.0.0.1", getpass.getuser(), server.port, server.key, (server.host_key,))
        host = SshHost.open(target, str(server.home / "runs"))
        stack.callback(host.close)
        mark = f"mlrun-escaped-{os.getpid()}"
        arena, marks = Arena(folder / "arena"), [Path("/tmp") / mark, Path.home() / "escaped"]
        for seed in range(servers):
            manifest, frames, pairs = served(random.Random(seed), mark)
            (server.home / "manifest").write_bytes(manifest)
            (server.home / "frames").write_bytes(frames)
            found.servers += 1
            taken = _tried(arena, marks, partial(_taken, found, host, arena.target, seed))
            found.breaches += [f"{seed}: {one}" for one in taken]
            found.control += bool(_tried(arena, marks, partial(trusting, arena.target, pairs)))
    return found


def _taken(found: Visit, host: SshHost, target: Path, seed: int) -> None:
    try:
        collect(host, "/nowhere", ["*"], target, in_place=False)
    except MlrunError as error:
        if any(ord(letter) < 32 and letter != "\n" for letter in str(error.message)):
            found.crashes.append(f"{seed}: its words reach the terminal")
    except Exception as error:  # noqa: BLE001 — a traceback is what is looked for
        found.crashes.append(f"{seed}: {error!r}")
    else:
        found.taken += 1


def _tried(arena: Arena, marks: list[Path], act: Callable[[], object]) -> list[str]:
    arena.lay()
    act()
    breaches = arena.breaches(marks)
    for mark in marks:
        mark.unlink(missing_ok=True)
    return breaches
