"""Secrets of twenty shapes on their way to a job, and every place where they must not be found."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.guarantees.real.place import Place, place
from tests.guarantees.row import Size
from tests.lab.clock import SystemClock
from tests.lab.ec2.cloud import Ec2
from tests.lab.faults import Faults
from tests.lab.ledger import Ledger
from tests.lab.paper import PaperHosts

SHAPES = (
    "{}", "hf_{}", "sk-{}", "--{}", "-{}=x", "a b {} c", "'{}'", '"{}"', "${}", "`{}`", "$({})", "{};exit 9", "{}\\n", "é{}模",
    "{}==",
    "https://u:{}@h/?q=1&r=2", '{{"key": "{}"}}', "-----BEGIN-----\n{}\n-----END-----", "%s%n{}%", "x" * 3000 + "{}",
)  # fmt: skip
SAMPLE_SECONDS = {Size.WHOLE: 0.01, Size.QUICK: 0.01, Size.LEAST: 0.04}
AGAIN = ("logs last", "attach last", "report last --json")
"""What shows again what another command shows too: not for every test run."""
JOB = """\
import base64, hashlib, json, os, sys, urllib.parse
names = sorted(name for name in os.environ if name.startswith("CANARY_"))
for name in names:
    value = os.environ[name]
    print(value, urllib.parse.quote(value, safe=""), base64.b64encode(value.encode()).decode(), json.dumps(value))
    print(base64.b64encode(("user:" + value).encode()).decode(), file=sys.stderr)
known = {name: hashlib.sha256(os.environ[name].encode()).hexdigest() for name in names}
with open("seen.json", "w") as file:
    json.dump(known, file)
raise SystemExit("failed with " + os.environ["CANARY_00"])
"""
CRASH = """\
import sys
from dispatcher.engine.steps import Launch
def do(self, ctx, work):
    raise RuntimeError("a bug, with %r and %r" % (work.job, work))
Launch.do = do
from dispatcher.cli.main import main
main(sys.argv[1:])
"""


@dataclass
class Hunt:
    """The canaries by name, where one was found, and what else was wrong."""

    size: Size
    values: dict[str, str] = field(default_factory=dict)
    needles: dict[bytes, str] = field(default_factory=dict)
    places: int = 0
    samples: int = 0
    seconds: float = 0.0
    hits: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def look(self, where: str, data: bytes) -> None:
        self.places += 1
        self.hits += [f"{name} in {where}" for needle, name in self.needles.items() if needle in data]


def hunt(size: Size) -> Hunt:
    found = Hunt(size)
    for number, shape in enumerate(SHAPES):
        core, name = secrets.token_hex(12), f"CANARY_{number:02}"
        found.values[name] = shape.replace("{}", core).replace("{{", "{").replace("}}", "}")
        found.needles |= dict.fromkeys(spellings(core), name)
    with place() as at, sampled(found):
        _here(found, at)
        _over_ssh(found, at)
        _in_a_cloud(found, at)
        _search(found, at)
    return found


def spellings(core: str) -> Iterator[bytes]:
    """Of twenty-four letters: as they are, and within base64 at each of its three places."""
    raw = core.encode()
    yield raw
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        yield encoded[4 if before else 0 : len(encoded) - 4]


def job(at: Place, where: str, found: Hunt) -> Path:
    folder = at.folder / "work" / where.partition(":")[0].partition("/")[0]
    folder.mkdir(exist_ok=True)
    (folder / "print.py").write_text(JOB)
    text = {
        "name": "canaries", "run": f"{shlex.quote(sys.executable)} print.py", "secrets": list(found.values), "where": where,
        "outputs": ["seen.json"], "resources": {"gpu": 0, "cpus": "1+", "memory": "0.1GB+"}, "budget": {"max_time": "20m"},
        "model": {"family": "tabular", "library": "sklearn", "algorithm": "random-forest", "trees": 10},
        "dataset": {"rows": 1000, "columns": 10, "dtype": "float64"},
    }  # fmt: skip
    (folder / "job.yaml").write_text(json.dumps(text))
    return folder / "job.yaml"


def typed(found: Hunt, at: Place, *words: str, code: int | None = None, script: str = "", **more: str) -> bytes:
    """What mlrun shows, on both of its outputs; it is searched."""
    if found.size is Size.LEAST and " ".join(words) in AGAIN:
        return b""
    start = [sys.executable, "-c", script] if script else [sys.executable, "-m", "dispatcher"]
    done = subprocess.run(
        [*start, *words],
        env={**at.environment(), **found.values, **more},
        cwd=at.folder,
        capture_output=True,
        timeout=180,
        check=False,
    )
    said = done.stdout + done.stderr
    found.look(f"mlrun {' '.join(words)[:40]}", said)
    if code is not None and done.returncode != code:
        found.wrong.append(f"mlrun {words[0]} ended with {done.returncode}: {said[-300:]!r}")
    return said


def _here(found: Hunt, at: Place) -> None:
    file = str(job(at, "local", found))
    typed(found, at, "plan", file, "--json", "-o", str(at.folder / "plan.json"))
    shown = typed(found, at, file, "--yes", code=1)
    if b"***" not in shown:
        found.wrong.append("the job's own output was not shown at all")
    typed(found, at, file, "--yes", "--json", code=1)
    typed(found, at, "logs", "last")
    typed(found, at, "logs", "last", "--json")
    typed(found, at, "attach", "last")
    typed(found, at, "ps", "--json")
    typed(found, at, "report", "last", "--json")
    typed(found, at, "report", "last", "--html", str(at.folder / "report.html"))
    typed(found, at, file, "--yes", script=CRASH)
    _received(found, Path(file).parent)


def _over_ssh(found: Hunt, at: Place) -> None:
    config = at.folder / "client" / "dispatcher" / "config" / "config.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("hosts: {desk: {ssh: desk}}\n")
    file = job(at, "ssh:desk", found)
    typed(found, at, str(file), "--yes", code=1)
    if found.size is not Size.LEAST:
        typed(found, at, str(file), "--yes", script=CRASH)
        typed(found, at, "report", "last", "--html", str(at.folder / "report-ssh.html"))
    _received(found, file.parent)


def _in_a_cloud(found: Hunt, at: Place) -> None:
    """As far as a machine on paper goes: all that a cloud is ever told."""
    clock = SystemClock()
    cloud = Ec2(PaperHosts(clock), Ledger(clock), Faults(), clock)
    try:
        words = [sys.executable, "-m", "dispatcher", str(job(at, "aws/us-east-1", found)), "--yes"]
        env = {**at.environment(), **found.values, **cloud.exports(), "NO_GCE_CHECK": "true"}
        env["DISPATCHER_CALLER_IP"] = "198.18.0.1"
        mlrun = subprocess.Popen(words, cwd=at.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        end = time.monotonic() + 60
        while mlrun.poll() is None and time.monotonic() < end and not cloud.world.instances():
            time.sleep(0.05)
        time.sleep(1.0)
        machines = [*cloud.world.instances()]
        mlrun.send_signal(signal.SIGINT)
        said, _ = mlrun.communicate(timeout=120)
        found.look("mlrun on AWS", said)
        for one in machines:
            found.look("user-data", one.user_data)
            found.look("tags", json.dumps([one.tags, one.interface_tags]).encode())
        found.look("every call to AWS", json.dumps(cloud.calls, default=str).encode())
        if not machines:
            found.wrong.append(f"no machine was rented: {said[-300:]!r}")
    finally:
        cloud.close()
        clock.close()


def _received(found: Hunt, folder: Path) -> None:
    """Nothing of this is worth anything if the job did not get them."""
    import hashlib

    kept = folder / "seen.json"
    seen = json.loads(kept.read_text()) if kept.exists() else {}
    if seen != {name: hashlib.sha256(value.encode()).hexdigest() for name, value in found.values.items()}:
        found.wrong.append(f"the job in {folder.name} did not get its secrets")


def _search(found: Hunt, at: Place) -> None:
    """Every file that mlrun left, here and there. Raw logs hold what the job wrote, and are the user's alone."""
    raw = 0
    for file in sorted(at.folder.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        if file.name in ("log", "setup.log") and "runs" in file.parts:
            raw += any(needle in file.read_bytes() for needle in found.needles)
            if stat.S_IMODE(file.stat().st_mode) & 0o077 and stat.S_IMODE(file.parent.stat().st_mode) & 0o077:
                found.wrong.append(f"others may read {file.relative_to(at.folder)}")
            continue
        found.look(str(file.relative_to(at.folder)), file.read_bytes())
    if not raw:
        found.wrong.append("no raw log holds what the job wrote: the search is blind")


@contextmanager
def sampled(found: Hunt) -> Iterator[None]:
    """The arguments of every process, again and again."""
    over = threading.Event()
    any_of = re.compile(b"|".join(map(re.escape, found.needles)))

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS[found.size]):
            found.samples += 1
            for entry in os.listdir("/proc"):  # noqa: PTH208 — a hundred times a second
                if entry.isdigit():
                    with suppress(OSError), open(f"/proc/{entry}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
                        told = file.read(1 << 20)
                        found.hits += [f"{found.needles[hit]} in argv of {told[:60]!r}" for hit in any_of.findall(told)]

    begun, thread = time.monotonic(), threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        found.seconds = time.monotonic() - begun
