"""The last words of a run: its setup's output, a missing module, and events from two threads."""

from __future__ import annotations

import io
import json
import threading

import pytest

from dispatcher.cli.render.aftermath import missing_module, no_python, setup_lines, tail
from dispatcher.cli.render.live import JsonLines, Screen
from dispatcher.cli.render.receipt import last_words, report_lines
from dispatcher.domain.run import Outcome, Run, RunState
from dispatcher.events import LogBytes, Warned

TRACE = "Traceback (most recent call last):\n  File 'a.py'\nModuleNotFoundError: No module named 'torch'\n"


def ended(**more) -> Run:
    known = {"state": RunState.FINISHED, "outcome": Outcome.FAILED, "reason": "exited", "exit_code": 1}
    return Run("a" * 10, "job", **(known | more))


def written(folder, text, name="log"):
    (folder / name).write_text(text)
    return folder / name


def test_a_missing_module_names_the_python_that_ran(tmp_path):
    run = ended(job={"instructions": {"path_prefix": "/project/.venv/bin"}})
    said = " ".join(" ".join(last_words(run, written(tmp_path, TRACE), 80)).split())
    assert "'torch' is not installed in /project/.venv/bin/python" in said
    assert "--setup" in said
    assert "the `python` on PATH" in missing_module(ended(), tmp_path / "log")


@pytest.mark.parametrize(
    ("said", "fix"),
    [
        ("/bin/bash: line 1: python: command not found", "python3 -m venv .venv"),
        ("sh: 1: pip: not found", "python -m pip"),
        ("/bin/bash: line 1: pythonic: command not found", ""),
    ],
)
def test_where_the_shell_finds_no_python_the_last_words_tell_how_to_have_one(tmp_path, said, fix):
    log = written(tmp_path, f"{said}\n")
    assert (fix or "log") in " ".join(" ".join(last_words(ended(exit_code=127), log, 80)).split())
    assert bool(fix) is bool(no_python(ended(exit_code=127), log))
    assert "" == no_python(ended(exit_code=1), log)


@pytest.mark.parametrize(("code", "text"), [(0, TRACE), (1, "say ModuleNotFoundError: No module named 'x'\n"), (1, "")])
def test_nothing_is_said_of_modules_where_none_was_missing(tmp_path, code, text):
    assert "" == missing_module(ended(exit_code=code), written(tmp_path, text))


def test_a_failed_setup_shows_its_last_lines_without_control_characters(tmp_path):
    log = written(tmp_path, "".join(f"line {n}\n" for n in range(40)) + "\x1b[2Jno such package\n", "setup.log")
    said = last_words(ended(reason="setup-failed", exit_code=104), None, 80, setup_log=log)
    assert "    �[2Jno such package" in said
    assert "    line 39" in said
    assert "    line 3" not in said
    assert any(str(log) in line for line in said)
    assert [] == setup_lines(None)
    assert f"setup's log: {log}" in report_lines(ended(reason="setup-failed", exit_code=104), None, 80, setup_log=log)[-1]


def test_the_end_of_a_huge_or_absent_log_is_read_quickly(tmp_path):
    log = written(tmp_path, "x" * 100_000 + "end")
    assert tail(log).endswith("end")
    assert len(tail(log)) < 20_000
    assert "" == tail(tmp_path / "none")


class Pipe(io.RawIOBase):
    """A stdout whose writes let other threads run in between."""

    def __init__(self, said: list[bytes]) -> None:
        self.said = said

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        threading.Event().wait(0.001)
        self.said.append(bytes(data))
        return len(data)


@pytest.mark.parametrize("listener", [Screen, JsonLines])
def test_what_two_threads_tell_is_not_mixed(monkeypatch, listener):
    said: list[bytes] = []
    stream = io.TextIOWrapper(io.BufferedWriter(Pipe(said), 8), encoding="utf-8", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    screen = listener()
    words = [lambda: screen(LogBytes("r", 0.0, 0, b"job " * 20 + b"\n")), lambda: screen(Warned("r", 0.0, "ours " * 20))]
    threads = [threading.Thread(target=lambda tell=tell: [tell() for _ in range(10)]) for tell in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = b"".join(said).decode().splitlines()
    assert 20 == len(lines)
    assert not [line for line in lines if "job" in line and "ours" in line]
    if listener is JsonLines:
        assert {"log", "warning"} == {json.loads(line)["event"] for line in lines}
