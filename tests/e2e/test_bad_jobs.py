"""Jobs that misbehave: each ends with the right code, a clear word, and nothing lost or left."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess

import pytest

from tests.e2e.shell import Shell


def test_a_script_that_is_missing_is_named(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: python nowhere.py\n"))
    assert done.code != 0
    assert "nowhere.py" in done.said
    assert "Traceback" not in done.err


def test_a_program_that_is_missing_is_the_shells_127(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: no-such-program --at all\n"))
    assert done.code == 127
    assert "no-such-program" in done.said


@pytest.mark.parametrize("code", [0, 1, 2, 70, 100, 107, 126, 255])
def test_any_exit_code_is_handed_on_and_told_from_ours(shell: Shell, code: int) -> None:
    assert shell.mlrun(shell.write(f"run: exit {code}\n")).code == code
    assert ("succeeded" if code == 0 else "failed", code) == (shell.last()["outcome"], shell.last()["exit_code"])


def test_data_that_cannot_be_read_are_the_jobs_own_failure(shell: Shell) -> None:
    shell.write("open('secret.csv')\n", "train.py")
    (shell.folder / "secret.csv").mkdir()
    done = shell.mlrun(shell.write("run: python train.py\ndataset: {path: secret.csv}\n"))
    assert done.code == 1
    assert "IsADirectoryError" in done.out


def test_a_job_that_ignores_sigterm_is_ended_all_the_same(shell: Shell) -> None:
    shell.write(
        """
        import signal, time
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)
        print("deaf", flush=True)
        time.sleep(600)
        """,
        "deaf.py",
    )
    assert shell.mlrun(shell.write("run: python deaf.py\n"), "-d").code == 0
    shell.until(lambda: b"deaf" in shell.mlrun("logs", "last").stdout, "the job started")
    assert shell.mlrun("stop", "last", "--grace", "1s").code == 0
    assert shell.finished()["outcome"] == "cancelled"


def test_a_flood_of_output_arrives_whole(shell: Shell) -> None:
    size = 200_000_000
    done = shell.mlrun(shell.write(f"run: yes 0123456789 | head -c {size}\n"), timeout=120)
    assert done.code == 0, done.err
    assert len(done.stdout) == size
    assert (
        hashlib.sha256(b"0123456789\n" * (size // 11) + b"0123456789\n"[: size % 11]).digest()
        == hashlib.sha256(done.stdout).digest()
    )


def test_binary_output_arrives_byte_for_byte(shell: Shell) -> None:
    shell.write("import sys; sys.stdout.buffer.write(bytes(range(256)) * 999)\n", "binary.py")
    done = shell.mlrun(shell.write("run: python binary.py\n"))
    assert done.stdout == bytes(range(256)) * 999
    assert shell.mlrun("logs", "last").stdout == done.stdout


def test_a_progress_bar_stays_readable_in_a_pipe(shell: Shell) -> None:
    job = shell.write("run: \"for i in 1 2 3; do printf '\\\\r%d/3' $i; done; echo; echo end\"\n")
    done = shell.mlrun(job)
    assert done.code == 0, done.said
    assert re.findall(rb"\d/3", done.stdout)[-1] == b"3/3"
    assert done.stdout.endswith(b"end\n")


def test_the_last_line_without_a_newline_is_not_lost(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: printf 'no end'\n")).stdout == b"no end"


def test_a_job_that_closes_its_output_goes_on(shell: Shell) -> None:
    shell.write(
        "import os, sys, time; os.close(1); os.close(2); time.sleep(0.5); open('late.txt', 'w').write('x'); sys.exit(4)\n",
        "mute.py",
    )
    done = shell.mlrun(shell.write("run: exec python mute.py\noutputs: [late.txt]\n"))
    assert done.code == 4
    assert ["late.txt"] == [output["path"] for output in shell.last()["outputs"]]


def test_children_that_the_job_leaves_are_ended_with_it(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: setsid sleep 300 & nohup sleep 300 & echo parent\n"))
    assert (0, b"parent\n") == (done.code, done.stdout)


def test_a_job_that_kills_its_parent_still_has_an_outcome(shell: Shell) -> None:
    shell.write(
        "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(1); print('alive'); raise SystemExit(6)\n",
        "kill.py",
    )
    done = shell.mlrun(shell.write("run: python kill.py; exit $?\n"))
    assert done.code in (6, 106, 137), done.said
    assert shell.last()["state"] == "finished"
    assert done.code != 0


def test_a_job_killed_by_a_signal_says_which(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: kill -SEGV $$\n"))
    assert done.code == 128 + 11
    assert shell.last()["outcome"] == "failed"


def test_running_out_of_memory_is_said(shell: Shell) -> None:
    shell.write(
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); x = bytearray(4 << 30)\n", "greedy.py"
    )
    done = shell.mlrun(shell.write("run: python greedy.py\n"))
    assert done.code == 1
    assert "memory" in done.err.lower()


def test_running_out_of_device_memory_is_said(shell: Shell) -> None:
    shell.write("raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')\n", "device.py")
    done = shell.mlrun(shell.write("run: python device.py\n"))
    assert done.code == 1
    assert "memory" in done.err.lower()


@pytest.mark.skipif(
    not shutil.which("systemd-run"), reason="needs a memory limit that the kernel enforces: systemd-run is not here"
)
def test_the_kernels_out_of_memory_killer_is_named(shell: Shell) -> None:
    shell.write("x = []\nwhile True: x.append(bytearray(10 << 20))\n", "greedy.py")
    job = shell.write("run: systemd-run --user --scope -p MemoryMax=200M -p MemorySwapMax=0 python greedy.py\n")
    if subprocess.run(["systemd-run", "--user", "--scope", "true"], capture_output=True, env=shell.env).returncode:
        pytest.skip("no user manager is running here")
    done = shell.mlrun(job)
    assert done.code == 137
    assert "memory" in done.err.lower()


@pytest.mark.parametrize("name", ["with space", "quo'te", 'dou"ble', "semi;colon", "dollar$HOME", "new\nline", "-dash", "ünï"])
def test_folders_with_odd_names_are_only_names(shell: Shell, name: str) -> None:
    folder = shell.folder / name
    folder.mkdir()
    (folder / "job.yaml").write_text("run: echo here > out.txt; cat out.txt\noutputs: [out.txt]\n")
    done = shell.mlrun(folder / "job.yaml")
    assert (0, b"here\n") == (done.code, done.stdout), done.err
    assert ["out.txt"] == [output["path"] for output in shell.last()["outputs"]]


def test_outputs_that_lead_outside_are_not_recorded(shell: Shell) -> None:
    (shell.folder.parent / "outside.txt").write_text("not ours")
    job = shell.write("run: mkdir -p o; echo x > o/in.txt; ln -s ../../outside.txt o/link; mkfifo o/pipe\noutputs: [o/]\n")
    done = shell.mlrun(job)
    assert done.code == 0, done.said
    assert ["o/in.txt"] == [output["path"] for output in shell.last()["outputs"]]


def test_an_output_that_never_came_is_said(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: 'true'\noutputs: [never.txt]\n"))
    assert "never.txt" in done.err
    assert done.code == 0
