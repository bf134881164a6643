"""What runs on a paper host: jobs that take the lab's time, and a shell that knows what mlrun types."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field

from tests.lab.clock import Clock

LINE_SECONDS = 60.0
OUTPUT = b"weights\n"


@dataclass
class Job:
    """A job on paper: it writes a line a minute and ends with `code`."""

    began: float
    seconds: float
    code: int
    ended: float | None = None
    reason: str = "exited"

    def log(self, now: float) -> bytes:
        until = now if self.ended is None else self.ended
        return b"".join(b"minute %d\n" % n for n in range(int((until - self.began) / LINE_SECONDS)))


@dataclass
class Answer:
    """How a command ended; `code` None where nobody answered."""

    code: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass
class Computer:
    """What mlrun meets behind an address."""

    identity: str
    key: str
    next_key: str = ""
    jobs: dict[str, Job] = field(default_factory=dict)
    marks: dict[str, tuple[str, float]] = field(default_factory=dict)
    starts: int = 0
    changes: int = 0


class Computers:
    """Every computer, by its host's id. Jobs take `seconds` and end with `code`; `ended` is told when one has ended."""

    def __init__(self, clock: Clock, contacted, ended) -> None:
        self.clock, self.contacted, self.ended = clock, contacted, ended
        self.known: dict[str, Computer] = {}
        self.seconds, self.code = 1200.0, 7

    def shell(self, host: str, argv: list[str], stdin: bytes) -> Answer:
        """What mlrun types, and nothing else."""
        computer = self.known[host]
        computer.changes += bool({"start", "stop", "touch", "new", "use", "rm", "make", "end"} & set(argv))
        match argv:
            case ["touch", path] if path.endswith("/contact"):
                self.contacted(host)
                return Answer()
            case ["cat", _]:
                return Answer(stdout=computer.identity.encode())
            case ["sudo", "-n", _, "new"]:
                computer.next_key = made_key(computer.key)
                return Answer(stdout=computer.next_key.encode())
            case ["sudo", "-n", _, "use"]:
                computer.key = computer.next_key
                return Answer()
            case ["mkdir", "-p", _] | ["rm", "-rf", "--", _] | ["sh", "-c", _, "sh", _]:
                return Answer()
            case [*_, program, verb, folder, "--grace", _] | [*_, program, verb, folder] if program.endswith("/agent.py"):
                return self._agent(host, computer, verb, folder.rpartition("/")[2], stdin)
            case [*_, program] if program.endswith("/manifest.py"):
                return self._manifest(computer)
            case [_, _, program, verb, _, *named] if program.endswith("/owned.py"):
                return Answer(stdout=json.dumps(self._owned(host, computer, verb, *named)).encode())
        return Answer(1, stderr=b"not known to a paper host")

    def log(self, host: str, label: str, offset: int) -> tuple[bytes, dict | None, int]:
        """What is new in a job's log, and how it ended, once all of it was told."""
        job = self.known[host].jobs.get(label)
        if job is None:
            return b"", None, 0
        whole = job.log(self.clock.now())
        return whole[offset:], self._status(job) if job.ended is not None else None, len(whole)

    def _agent(self, host: str, computer: Computer, verb: str, label: str, stdin: bytes) -> Answer:
        job = computer.jobs.get(label)
        if verb == "start":
            return self._start(host, computer, label, stdin)
        if job is None:
            return Answer(stdout=b'{"phase": "absent"}')
        if verb == "stop" and job.ended is None:
            job.reason = "stopped"
            self._end(host, job)
        return Answer(stdout=json.dumps(self._status(job)).encode())

    def _owned(self, host: str, computer: Computer, verb: str, label: str = "", client: str = "") -> object:
        """Attempts on a computer of the user's own: their marks, and jobs that run."""
        if verb == "make":
            computer.marks.setdefault(label, (client, self.clock.now()))
            return {"made": True}
        if verb == "end":
            if label in computer.jobs:
                self._end(host, computer.jobs[label])
            computer.marks.pop(label, None)
            return {"left": []}
        rows = [("folder", f"/runs/{one}.live", one, *told) for one, told in computer.marks.items()]
        rows += [("process", "77", one, "", job.began) for one, job in computer.jobs.items() if job.ended is None]
        return [
            {"kind": kind, "id": name, "label": label, "client": client, "age": self.clock.now() - since}
            for kind, name, label, client, since in rows
        ]

    def _start(self, host: str, computer: Computer, label: str, stdin: bytes) -> Answer:
        computer.starts += 1
        if label in computer.jobs:
            return Answer(3)
        job = computer.jobs[label] = Job(self.clock.now(), self.seconds, self.code)
        limit = json.loads(stdin).get("deadline_seconds")
        if limit and limit < job.seconds:
            job.seconds, job.reason = limit, "deadline"
        self.clock.later(job.seconds, lambda: self._end(host, job))
        return Answer()

    def _end(self, host: str, job: Job) -> None:
        if job.ended is None and host in self.known:
            job.ended = self.clock.now()
            self.ended(host)

    def _status(self, job: Job) -> dict:
        told = asdict(job) | {"started": job.began, "phase": "running", "log_size": len(job.log(self.clock.now()))}
        names = ("phase", "started", "ended", "log_size")
        if job.ended is None:
            return {name: told[name] for name in names}
        return {name: told[name] for name in names} | {"phase": "ended", "exit_code": job.code, "reason": job.reason}

    @staticmethod
    def _manifest(computer: Computer) -> Answer:
        if not any(job.ended is not None for job in computer.jobs.values()):
            return Answer()
        digest = hashlib.sha256(OUTPUT).hexdigest()
        line = {"path": "out.txt", "size": len(OUTPUT), "mode": 0o644, "sha256": digest, "new": True, "patterns": [0]}
        return Answer(stdout=json.dumps(line).encode())


def made_key(seed: str) -> str:
    """Something that looks like a host key."""
    return "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519" + hashlib.sha256(seed.encode()).digest()).decode()
