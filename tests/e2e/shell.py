"""mlrun as people run it: a subprocess, in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

BIN = Path(sys.executable).parent
MLRUN = BIN / "mlrun"
PATIENCE = 60.0


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        return self.stderr.decode(errors="replace")

    @property
    def said(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        return json.loads(self.stdout)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


@dataclass
class Shell:
    """A folder and an environment in which commands are typed."""

    folder: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, name: str = "job.yaml") -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def mlrun(self, *words: object, stdin: bytes = b"", timeout: float = PATIENCE, **env: str) -> Ended:
        """Type a command, and wait for its end."""
        argv = [str(MLRUN), *map(str, words)]
        done = subprocess.run(argv, cwd=self.folder, env=self.env | env, input=stdin, capture_output=True, timeout=timeout)
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: object, **env: str) -> subprocess.Popen[bytes]:
        """Type a command, and go on."""
        argv = [str(MLRUN), *map(str, words)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, cwd=self.folder, env=self.env | env, start_new_session=True, **pipes)

    def runs(self) -> list[dict[str, Any]]:
        """What `ps` knows."""
        done = self.mlrun("ps", "--json")
        assert done.code == 0, done.said
        return list(done.json()["runs"])

    def last(self) -> dict[str, Any]:
        """The newest run."""
        return max(self.runs(), key=lambda run: run["submitted"])

    def until(self, told: Callable[[], Any], what: str) -> Any:
        """Wait for something that other processes bring about."""
        end = time.monotonic() + PATIENCE
        while not (answer := told()):
            assert time.monotonic() < end, f"never happened: {what}"
            time.sleep(0.05)
        return answer

    def finished(self) -> dict[str, Any]:
        """The newest run once it is finished."""
        self.until(lambda: self.last()["state"] == "finished", "the run is finished")
        return self.last()
