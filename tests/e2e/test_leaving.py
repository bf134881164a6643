"""Several terminals, terminals that vanish, and mlrun killed at any moment: the run's true end is learned all the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def test_a_terminal_that_closes_leaves_the_job_running(shell: Shell) -> None:
    driving = shell.start(shell.write(WAITS))
    assert driving.stdout is not None
    assert driving.stdout.readline() == b"first\n"
    os.killpg(driving.pid, signal.SIGHUP)
    driving.communicate(timeout=30)
    assert shell.last()["state"] == "running"
    (shell.folder / "enough").touch()
    assert ("failed", 7) == (shell.finished()["outcome"], shell.last()["exit_code"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_here_is_ended_by_the_signal_that_mlrun_gets(shell: Shell, number: signal.Signals) -> None:
    driving = shell.start(shell.write("run: echo first; exec sleep 60\n"))
    assert driving.stdout is not None
    assert driving.stdout.readline() == b"first\n"
    os.kill(driving.pid, number)
    _, err = driving.communicate(timeout=30)
    assert 130 == driving.returncode
    assert b"which has up to 40 s" in err
    assert ("finished", "cancelled", 130) == tuple(shell.last()[key] for key in ("state", "outcome", "exit_code"))


def test_stop_says_how_long_it_may_take(shell: Shell) -> None:
    assert shell.mlrun(shell.write(WAITS), "-d").code == 0
    shell.until(lambda: shell.last()["started"], "the job started")
    stopped = shell.mlrun("stop", "last", "--grace", "5s")
    assert (0, True) == (stopped.code, "asked to stop; the job has up to 10 s" in stopped.err)


def test_a_follower_of_what_another_drives_leaves_when_told_to(shell: Shell) -> None:
    driving = shell.start(shell.write(WAITS))
    assert driving.stdout is not None
    assert driving.stdout.readline() == b"first\n"
    both = {number: shell.start("attach", "last") for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, follower in both.items():
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"first\n"
        os.kill(follower.pid, number)
        _, err = follower.communicate(timeout=30)
        assert (0, True) == (follower.returncode, b"follow: mlrun attach" in err), err
    programs = shell.start("attach", "last", "--json")
    (shell.folder / "enough").touch()
    events = [json.loads(line) for line in programs.communicate(timeout=30)[0].splitlines()]
    assert b"last\n" == driving.communicate(timeout=30)[0]
    assert ("first\nlast\n", "result") == ("".join(one["text"] for one in events if one["event"] == "log"), events[-1]["event"])
    again = shell.mlrun("attach", "last", "--json").events()
    assert ["log", "result"] == [one["event"] for one in again]
    assert 7 == again[-1]["exit_code"] == again[-1]["result"]["exit_code"]


def test_leaving_a_stop_leaves_the_job_ending_and_its_true_end_is_learned(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: trap '' INT; echo first; while :; do sleep 0.1; done\n"), "-d").code == 0
    shell.until(lambda: b"first" in shell.mlrun("logs", "last").stdout, "the job started")
    stopping = shell.start("stop", "last", "--grace", "3s")
    shell.until(lambda: list(shell.home.rglob("stop.json")), "the agent was asked")
    begun = time.monotonic()
    os.killpg(stopping.pid, signal.SIGINT)
    _, err = stopping.communicate(timeout=30)
    assert (130, False, True) == (stopping.returncode, b"Traceback" in err, b"ends all the same" in err), err
    assert time.monotonic() - begun < 2.5
    assert shell.last()["outcome"] is None
    assert ("cancelled", "stopped", 130) == tuple(shell.finished()[key] for key in ("outcome", "reason", "exit_code"))


@pytest.mark.parametrize("words", [("ps",), ("logs", "last", "-f"), ("attach", "last"), ("report",), ("costs",)])
def test_looking_at_a_run_and_leaving_at_any_moment_ends_nothing(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.mlrun(shell.write(WAITS), "-d").code == 0
    shell.until(lambda: b"first" in shell.mlrun("logs", "last").stdout, "the job started")
    for after in (0.3, 0.6, 0.9):
        looking = shell.start(*words)
        time.sleep(after)
        os.killpg(looking.pid, signal.SIGINT)
        _, err = looking.communicate(timeout=30)
        assert b"bug" not in err, err
    (shell.folder / "enough").touch()
    assert ("failed", 7) == (shell.finished()["outcome"], shell.last()["exit_code"])
    assert b"first\nlast\n" == shell.mlrun("logs", "last").stdout


def test_ctrl_c_while_the_program_is_loaded_shows_no_trace(shell: Shell) -> None:
    words = [sys.executable, "-c", "import dispatcher.cli; raise KeyboardInterrupt"]
    done = subprocess.run(words, cwd=shell.folder, capture_output=True, timeout=30)
    assert (-signal.SIGINT, b"") == (done.returncode, done.stderr)
    words[2] = "import sys; before = set(sys.modules); import dispatcher.cli; print(sorted(set(sys.modules) - before))"
    done = subprocess.run(words, cwd=shell.folder, capture_output=True, timeout=30)
    assert b"['__future__', 'dispatcher', 'dispatcher.cli']" == done.stdout.strip()  # nothing takes long before it is heeded


@pytest.mark.parametrize(
    "words", [("ps",), ("ps", "--json"), ("logs", "last"), ("attach", "last"), ("report",), ("schema",), ("--help",)]
)
def test_output_that_can_be_written_nowhere_is_said_in_a_sentence(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.mlrun(shell.write("run: echo hi\n")).code == 0
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [str(MLRUN), *words], cwd=shell.folder, env=shell.env, stdout=full, stderr=subprocess.PIPE, timeout=30
        )
    assert (1, True) == (done.returncode, b"could not be written: No space left on device" in done.stderr), done.stderr
    assert b"bug" not in done.stderr


def test_a_time_limit_says_how_long_the_job_may_still_take(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: trap '' INT; sleep 1.5; sleep 2.5\n"), "--max-time", "1s")
    assert 105 == done.code, done.said
    shown = shell.mlrun("report", "last", "--json").json()
    assert "deadline" == shown["reason"]


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


@pytest.mark.parametrize("config", ["aws: {profle: x}\n", "limits: {per_run: [\n", "- 3\n"])
def test_wrong_settings_keep_nobody_from_looking_at_runs_and_stopping_them(shell: Shell, config: str) -> None:
    job = shell.write("run: echo first; sleep 60\n")
    assert shell.mlrun(job, "-d").code == 0
    (run,) = shell.runs()
    place = shell.mlrun("config", "show").out.splitlines()[0]
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_text(config)
    for words in (("ps",), ("logs", "last"), ("report",), ("stop", "last", "--grace", "1s"), ("attach", "last")):
        done = shell.mlrun(*words)
        assert done.code == (130 if words[0] == "attach" else 0), done.said
        assert ("config.yaml has 1 problem" in done.err) == (words[0] != "report"), done.err
    assert "cancelled" == shell.last()["outcome"]
    assert run["id"] == shell.last()["id"]
    refused = shell.mlrun(job)
    assert (100, 1) == (refused.code, len(shell.runs()))
    found = [one for one in shell.mlrun("doctor", "--json").json()["checks"] if one["name"] == "settings"]
    assert ["error"] == [one["level"] for one in found]
    assert "config.yaml, line 1" in found[0]["message"]


def test_programs_get_a_runs_record_with_its_log_however_they_leave_it(shell: Shell) -> None:
    left = shell.mlrun(shell.write(WAITS), "-d", "--json").events()[-1]
    assert ("left", "running") == (left["event"], left["result"]["state"])
    stopped = shell.mlrun("stop", "last", "--grace", "0", "--json").events()[-1]
    again = shell.mlrun("stop", "last", "--json").events()[-1]
    for one in (stopped, again):
        assert ("result", "cancelled", left["run"]) == (one["event"], one["result"]["outcome"], one["run"])
        assert b"first\n" == Path(one["result"]["log"]).read_bytes()


def test_a_name_means_the_run_that_goes_on_where_runs_are_stopped(shell: Shell) -> None:
    assert shell.mlrun(shell.write("name: twin\nrun: sleep 60\n"), "-d").code == 0
    going = shell.last()["id"]
    assert shell.mlrun(shell.write("name: twin\nrun: echo quick\n")).code == 0
    assert shell.last()["id"] != going
    assert shell.mlrun("stop", "twin", "--grace", "0").code == 0
    assert {"cancelled", "succeeded"} == {run["outcome"] for run in shell.runs()}


def test_without_room_for_the_job_file_nothing_is_started(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: echo hi\n")).code == 0
    folder = next(iter(shell.home.rglob("runs.sqlite3"))).parent / "runs"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    done = shell.mlrun(shell.folder / "job.yaml")
    assert (104, True, False) == (done.code, "Nothing was started" in done.err, "bug" in done.err), done.err


def test_what_is_kept_goes_whole_with_purge_all(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: echo hi\n")).code == 0
    record = next(iter(shell.home.rglob("runs.sqlite3")))
    aside = [record.with_name(f"{record.name}.{word}-20260101-000000") for word in ("corrupt", "newer")]
    for one in aside:
        one.write_text("old")
    assert shell.mlrun("purge", "--older-than", "0", "--yes").code == 0
    assert [True, True] == [one.exists() for one in aside]
    assert shell.mlrun("purge", "--all", "--yes").code == 0
    assert [False, False] == [one.exists() for one in aside]
    assert [] == shell.runs()


def test_what_only_nights_need_is_not_loaded_where_there_was_none(shell: Shell) -> None:
    code = "import sys; from dispatcher.app import runs\nwith runs.opened(): print('dispatcher.app.overnight' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=shell.folder, env=shell.env, capture_output=True, timeout=60)
    assert b"False\n" == done.stdout, done.stderr


def test_keeping_this_computer_is_said_to_hold_nothing(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: echo hi\n"), "--keep", "1h")
    assert (0, b"hi\n", True) == (done.code, done.stdout, "nothing has to be held" in done.err)
