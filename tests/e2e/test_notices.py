"""Whoever a job names is told how its run stands, really."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.shell import Shell
from tests.inbox import Inbox, inbox

SECRETS = ("hunter2", "tok3n")


@pytest.fixture
def box() -> Iterator[Inbox]:
    with inbox() as server:
        yield server


def job(shell: Shell, run: str, notify: str) -> Path:
    return shell.write(f"run: {run}\nwhere: local\nnotify: [{notify}]\n")


def kept(home: Path) -> str:
    """Everything that mlrun wrote down."""
    files = [Path(folder, name) for folder, _, names in os.walk(home) for name in names]
    return "".join(file.read_bytes().decode(errors="replace") for file in files if file.is_file())


def test_a_run_tells_its_start_and_its_end_and_nowhere_its_address(shell: Shell, box: Inbox) -> None:
    done = shell.mlrun(job(shell, "echo hi", f"'{box.address}'"), "--json")
    assert (0, ["mlrun: job has started", "mlrun: job succeeded"]) == (done.code, sorted(box.titles)), done.said
    page = shell.mlrun("report", "last", "--json")
    said = done.said + page.said + kept(shell.home)
    assert [] == [one for one in SECRETS if one in said]


def test_a_notice_that_fails_is_said_and_hurts_nothing(shell: Shell, box: Inbox) -> None:
    box.answer = 500
    done = shell.mlrun(job(shell, "exit 3", f"'{box.address}', NOTIFY_URL, 'pigeon://r00f'"))
    assert 3 == done.code
    assert "No notice of job went to json://…: it was not taken." in done.err
    assert "nothing will go to NOTIFY_URL: the secret NOTIFY_URL is in none of" in done.err.replace("\n ", "")
    assert "pigeon://…: apprise knows no such address" in done.err
    assert [] == [one for one in (*SECRETS, "r00f") if one in done.said + kept(shell.home)]


def test_the_end_of_a_run_that_was_left_is_told_by_the_next_command_once(shell: Shell, box: Inbox) -> None:
    (shell.folder / ".env").write_text(f"NOTIFY_URL={box.address}\n")
    left = shell.mlrun(job(shell, "'until [ -e go ]; do sleep 0.05; done; exit 4'", "NOTIFY_URL"), "-d")
    assert (0, ["mlrun: job has started"]) == (left.code, box.titles), left.said
    (shell.folder / "go").touch()
    assert 4 == shell.finished()["exit_code"]
    shell.mlrun("ps")
    assert ["mlrun: job has started", "mlrun: job has not succeeded: failed"] == box.titles
    assert [] == [one for one in SECRETS if one in kept(shell.home)]


@pytest.mark.long
def test_that_little_time_is_left_is_told(shell: Shell, box: Inbox) -> None:
    file = job(shell, "sleep 60", f"'{box.address}'")
    file.write_text(file.read_text() + "budget: {max_time: 20s}\n")
    done = shell.mlrun(file)
    assert 105 == done.code, done.said
    assert ["mlrun: job has not succeeded: failed", "mlrun: job has started", "mlrun: job nears its limit"] == sorted(
        box.titles
    )
    assert "stopped at its time limit (exit code 105)" in box.got[-1]["message"]
