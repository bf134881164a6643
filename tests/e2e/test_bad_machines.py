"""Homes that cannot be written, disks that are full, databases that are broken or newer, and two mlruns at once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.e2e.shell import MLRUN, Shell


def database(shell: Shell) -> Path:
    return shell.home / "dispatcher" / "data" / "runs.sqlite3"


def test_a_corrupt_database_is_moved_aside_and_said(shell: Shell) -> None:
    database(shell).parent.mkdir(parents=True)
    database(shell).write_bytes(b"this is not a database, and never was " * 500)
    done = shell.mlrun(shell.write("run: echo ran\n"))
    assert (0, b"ran\n") == (done.code, done.stdout), done.err
    kept = [file for file in database(shell).parent.iterdir() if "corrupt" in file.name]
    assert kept[0].name in done.err
    assert kept[0].read_bytes().startswith(b"this is not a database")
    assert shell.last()["outcome"] == "succeeded"


def test_a_newer_database_is_left_whole_and_said(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: 'true'\n")).code == 0
    with sqlite3.connect(database(shell)) as newer:
        newer.execute("PRAGMA user_version = 9999")
    newer.close()
    done = shell.mlrun("ps")
    assert "Traceback" not in done.err
    assert "newer" in done.err
    kept = [file for file in database(shell).parent.rglob("runs.sqlite3*") if not file.name.endswith(("-wal", "-shm"))]
    assert any(_version(file) == 9999 for file in kept)


def _version(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def test_a_home_that_cannot_be_written_is_named_with_a_fix(shell: Shell) -> None:
    done = in_small_home(shell, "ro,size=64k", "exec")
    assert done.returncode == 104, done.stderr
    assert b"Traceback" not in done.stderr
    assert str(shell.home / "dispatcher").encode() in done.stderr.replace(b"\n", b"")
    assert b"fix" in done.stderr


@pytest.mark.parametrize("kilobytes", [64, 1024])
def test_a_full_disk_is_said_and_leaves_nothing(shell: Shell, kilobytes: int) -> None:
    fill = 'head -c 2000000 /dev/zero > "$0/filler" 2>/dev/null; exec'
    done = in_small_home(shell, f"size={kilobytes}k", fill)
    assert done.returncode == 104, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"space" in done.stderr.lower() or b"full" in done.stderr.lower()


def test_a_disk_that_fills_while_the_job_runs_keeps_its_outcome(shell: Shell) -> None:
    done = in_small_home(
        shell, "size=24m", "", 'echo "code $?"; "$1" report --json last', run="head -c 60000000 /dev/zero; echo end; exit 3"
    )
    assert b"code 3" in done.stdout, done.stderr
    assert b'"finished"' in done.stdout
    assert b"Traceback" not in done.stderr
    assert b'"reason": "the disk was full, and the log is incomplete"' in done.stdout
    assert b"failed: the disk was full, and the log is incomplete (exit code 3)" in b" ".join(done.stderr.split())


def in_small_home(
    shell: Shell, disk: str, before: str, after: str = "", run: str = "echo ran"
) -> subprocess.CompletedProcess[bytes]:
    """mlrun with a disk of its own, seen by nobody else, mounted where it keeps everything."""
    if (
        os.geteuid()
        or not shutil.which("unshare")
        or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode
    ):
        pytest.skip("only root may mount a disk, and not in every container")
    shell.write(f"run: {run}\n")
    home = shell.home / "dispatcher"
    home.mkdir()
    script = f'mount -t tmpfs -o {disk} none "$0" || exit 99; {before} "$@"; {after}'
    argv = ["unshare", "--mount", "sh", "-c", script, str(home), str(MLRUN), "job.yaml"]
    return subprocess.run(argv, cwd=shell.folder, env=shell.env, capture_output=True, timeout=90)


def test_two_mlruns_at_once_are_two_runs(shell: Shell) -> None:
    job = shell.write("run: sleep 0.5; echo mine\n")
    both = [shell.start(job) for _ in range(4)]
    ended = [one.communicate(timeout=60) for one in both]
    assert [b"mine\n"] * 4 == [out for out, _ in ended]
    assert [0] * 4 == [one.returncode for one in both]
    assert ["succeeded"] * 4 == [run["outcome"] for run in shell.runs()]


def test_two_followers_of_one_run_both_hear_its_end(shell: Shell) -> None:
    shell.mlrun(shell.write("run: while [ ! -e enough ]; do sleep 0.05; done; echo end; exit 3\n"), "-d")
    both = [shell.start("attach", "last") for _ in range(2)]
    (shell.folder / "enough").touch()
    assert [b"end\n"] * 2 == [one.communicate(timeout=60)[0] for one in both]
    assert [3, 3] == [one.returncode for one in both]


def test_the_terminals_end_is_not_the_jobs(shell: Shell) -> None:
    running = shell.start(shell.write("run: echo on; while [ ! -e enough ]; do sleep 0.05; done; exit 8\n"))
    assert running.stdout is not None
    assert running.stdout.readline() == b"on\n"
    os.killpg(running.pid, signal.SIGHUP)
    running.communicate(timeout=30)
    assert shell.last()["state"] == "running"
    (shell.folder / "enough").touch()
    assert shell.finished()["exit_code"] == 8


def test_output_that_nobody_reads_any_more_ends_quietly(shell: Shell) -> None:
    job = shell.write("run: yes | head -c 20000000\n")
    argv = f"'{MLRUN}' '{job}' | head -n 1"
    done = subprocess.run(["bash", "-c", argv], cwd=shell.folder, env=shell.env, capture_output=True, timeout=60)
    assert done.stdout == b"y\n"
    assert b"Traceback" not in done.stderr
    assert shell.finished()["teardown"]["confirmed"] is True


@pytest.mark.parametrize("closed", [">&-", "2>&-", "2> /dev/full", "2< /dev/null", "<&- >&- 2>&-"])
def test_closed_streams_end_no_job(shell: Shell, closed: str) -> None:
    job = shell.write("run: echo ran; echo aside >&2; touch ran; exit 5\n")
    done = subprocess.run(["bash", "-c", f"'{MLRUN}' '{job}' {closed}"], cwd=shell.folder, env=shell.env, timeout=60)
    assert 5 == done.returncode
    assert (shell.folder / "ran").exists()
    assert ("failed", 5) == (shell.last()["outcome"], shell.last()["exit_code"])
    assert b"ran\naside\n" == shell.mlrun("logs", "last").stdout


@pytest.mark.parametrize("words", ["job.yaml --json", "ps --json", "logs last --json", "doctor --json", "schema"])
def test_a_reader_of_json_that_leaves_is_no_trouble(shell: Shell, words: str) -> None:
    shell.mlrun(shell.write("run: for i in $(seq 300); do echo $i; done; exit 4\n"))
    script = f"'{MLRUN}' {words} 2> err | head -n 1 > first; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=shell.folder, env=shell.env, timeout=60)
    assert "Traceback" not in (err := (shell.folder / "err").read_text()), err
    assert "bug" not in err
    assert (shell.folder / "first").read_text().startswith("{")
    assert done.returncode == (4 if words.startswith("job") else 0) or words.startswith("doctor")
    assert 4 == shell.finished()["exit_code"]


def test_a_clean_environment_is_enough(shell: Shell) -> None:
    shell.write("run: echo ran\n")
    bare = {name: shell.env[name] for name in ("PATH", "HOME", "DISPATCHER_HOME", "DISPATCHER_TEST", "TMPDIR")}
    done = subprocess.run([MLRUN, "job.yaml"], cwd=shell.folder, env=bare | {"TERM": "dumb"}, capture_output=True, timeout=60)
    assert (0, b"ran\n") == (done.returncode, done.stdout), done.stderr
    assert b"\x1b" not in done.stderr
