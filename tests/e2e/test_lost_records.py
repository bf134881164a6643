"""Records of runs that are damaged, lost, or on a disk that is full: the jobs go on, and are found again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.shell import MLRUN, Shell

WAITING = "run: echo on; while [ ! -e enough ]; do sleep 0.05; done; exit 7\n"


def database(shell: Shell) -> Path:
    return shell.home / "dispatcher" / "data" / "runs.sqlite3"


def begun(shell: Shell) -> None:
    assert shell.mlrun(shell.write(WAITING), "-d").code == 0


def spoil(shell: Shell) -> None:
    """Noise in every page but the first."""
    blob = bytearray(database(shell).read_bytes())
    blob[4096:] = os.urandom(len(blob) - 4096)
    database(shell).write_bytes(blob)


def test_a_running_job_is_found_again_when_the_record_is_damaged(shell: Shell) -> None:
    begun(shell)
    spoil(shell)
    listed = shell.mlrun("ps")
    assert "running" in listed.out
    assert "is damaged. It was moved to" in listed.err
    assert "1 run was found again" in listed.err
    assert b"on\n" == shell.mlrun("logs", "last").stdout
    (shell.folder / "enough").touch()
    assert 7 == shell.finished()["exit_code"]
    assert "failed with exit code 7" in shell.mlrun("report", "last").out


def test_a_running_job_is_stopped_when_the_record_is_gone(shell: Shell) -> None:
    begun(shell)
    for file in database(shell).parent.glob("runs.sqlite3*"):
        file.unlink()
    assert 0 == shell.mlrun("stop", "last").code
    assert ("finished", "cancelled", True) == (
        shell.last()["state"],
        shell.last()["outcome"],
        shell.last()["teardown"]["confirmed"],
    )


def test_a_record_that_is_damaged_meanwhile_is_put_right_by_the_command_that_meets_it(shell: Shell) -> None:
    shell.mlrun(shell.write("name: needleneedle\nrun: 'true'\n"))
    document = b'"name": "needleneedle"'
    blob = database(shell).read_bytes()
    assert document in blob
    database(shell).write_bytes(blob.replace(document, b'"name": "needleneedl\xff"'))
    listed = shell.mlrun("ps")
    assert 0 == listed.code
    assert "needleneedle" in listed.out
    assert "is damaged" in listed.err


FILL = """
mount -t tmpfs -o size=$SIZE none "$DISPATCHER_HOME" || exit 99
$MLRUN job.yaml > out 2>> err & mlrun=$!
i=0; until grep -q on out; do i=$((i+1)); [ $i -lt 600 ] || exit 98; sleep 0.05; done
(while [ ! -e full ]; do dd if=/dev/zero of="$DISPATCHER_HOME/filler" bs=4k oflag=append conv=notrunc 2> /dev/null; done) &
filler=$!
sleep 0.5
"""
FREE = """
touch full; wait $filler; rm "$DISPATCHER_HOME/filler"
$MLRUN ps --json > after
"""


@pytest.mark.parametrize("size", ["1m", "24m"])
def test_a_full_disk_leaves_a_job_alone_and_loses_nothing_of_it(shell: Shell, size: str) -> None:
    code, said = on_a_full_disk(shell, size, f"{FILL} touch enough; wait $mlrun; echo $? > code; {FREE}")
    assert "104" == code, said
    assert "The disk is full" in said
    assert "Free space there" in said
    assert "another mlrun" not in said
    assert '"exit_code": 7' in (shell.folder / "after").read_text()
    assert '"outcome": "failed"' in (shell.folder / "after").read_text()


@pytest.mark.parametrize("size", ["1m", "24m"])
def test_stop_ends_a_job_although_the_disk_is_full(shell: Shell, size: str) -> None:
    code, said = on_a_full_disk(shell, size, f"{FILL} $MLRUN stop last 2>> err; echo $? > code; wait $mlrun; {FREE}")
    assert "104" == code, said
    assert "The job of job runs no more" in said
    assert '"outcome": "cancelled"' in (shell.folder / "after").read_text()


def on_a_full_disk(shell: Shell, size: str, script: str) -> tuple[str, str]:
    """The script with mlrun's home on a small disk of its own, seen by nobody else: what it wrote to `code` and `err`."""
    if (
        os.geteuid()
        or not shutil.which("unshare")
        or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode
    ):
        pytest.skip("only root may mount a disk, and not in every container")
    shell.write(WAITING)
    (shell.home / "dispatcher").mkdir()
    env = shell.env | {"MLRUN": str(MLRUN), "SIZE": size}
    argv = ["unshare", "--mount", "bash", "-c", script]
    done = subprocess.run(argv, cwd=shell.folder, env=env, capture_output=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return (shell.folder / "code").read_text().strip(), (shell.folder / "err").read_text()
