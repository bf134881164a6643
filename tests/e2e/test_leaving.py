"""Several terminals, terminals that vanish, and mlrun killed at any moment: the run's true end is learned all the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests.e2e.shell import MLRUN, Shell

WAITS = "run: echo first; while [ ! -e enough ]; do sleep 0.02; done; echo last; exit 7\n"
PRINTS = "run: i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; sleep 0.01; done; exit 9\n"
ALL_LINES = "".join(f"line {number}\n" for number in range(1, 31)).encode()


def test_attaching_twice_and_after_the_end_shows_the_whole_each_time(shell: Shell) -> None:
    assert shell.mlrun(shell.write(WAITS), "-d").code == 0
    both = [shell.start("attach", "last") for _ in range(2)]
    shell.until(lambda: b"first" in shell.mlrun("logs", "last").stdout, "the job started")
    (shell.folder / "enough").touch()
    assert [b"first\nlast\n"] * 2 == [one.communicate(timeout=30)[0] for one in both]
    assert [7, 7] == [one.returncode for one in both]
    again = shell.mlrun("attach", "last")
    assert (7, b"first\nlast\n") == (again.code, again.stdout)


def test_another_terminal_sees_and_stops_what_this_one_drives(shell: Shell) -> None:
    driving = shell.start(shell.write(WAITS))
    assert driving.stdout is not None
    assert driving.stdout.readline() == b"first\n"
    assert shell.last()["state"] == "running"
    assert driving.poll() is None
    stopped = shell.mlrun("stop", "last", "--grace", "1s")
    assert stopped.code == 0, stopped.said
    _, err = driving.communicate(timeout=30)
    assert driving.returncode == 130, err
    assert ("finished", "cancelled") == (shell.last()["state"], shell.last()["outcome"])


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_closes_leaves_the_job_running(shell: Shell, number: signal.Signals) -> None:
    driving = shell.start(shell.write(WAITS))
    assert driving.stdout is not None
    assert driving.stdout.readline() == b"first\n"
    os.killpg(driving.pid, number)
    driving.communicate(timeout=30)
    assert shell.last()["state"] == "running"
    (shell.folder / "enough").touch()
    assert ("failed", 7) == (shell.finished()["outcome"], shell.last()["exit_code"])


@pytest.mark.slow
def test_killed_at_any_moment_mlrun_loses_nothing_that_had_begun(shell: Shell) -> None:
    job = shell.write(PRINTS)
    chance = random.Random(20)
    for turn in range(20):
        driving = shell.start(job)
        assert driving.stdout is not None
        first = driving.stdout.readline() if turn % 2 else b""  # every other one is killed while its job runs
        time.sleep(chance.uniform(0.0, 0.5 if first else 1.5))
        driving.kill()
        driving.communicate()
    shell.until(lambda: all(run["state"] == "finished" for run in shell.runs() if run["started"]), "all are finished")
    begun = [run for run in shell.runs() if run["started"]]
    assert {("failed", 9)} == {(run["outcome"], run["exit_code"]) for run in begun if run["exit_code"] != 130}
    assert len([run for run in begun if run["exit_code"] == 9]) >= 10
    for run in begun:
        if run["exit_code"] == 9:
            assert shell.mlrun("logs", run["id"]).stdout == ALL_LINES
            assert run["teardown"]["confirmed"] is True


def test_a_home_that_belongs_to_somebody_else_is_named_with_a_fix(shell: Shell) -> None:
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("only root can run as nobody")
    assert shell.mlrun(shell.write("run: echo kept\n")).code == 0
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*as_nobody, str(MLRUN), "--version"], capture_output=True).returncode:
        pytest.skip("nobody may not read this installation")
    done = subprocess.run(
        [*as_nobody, str(MLRUN), "ps"], cwd="/", env=shell.env | {"HOME": "/"}, capture_output=True, timeout=30
    )
    assert done.returncode == 104, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"DISPATCHER_HOME" in done.stderr
    assert ["succeeded"] == [run["outcome"] for run in shell.runs()]
