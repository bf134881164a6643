"""A run's life: live output, detaching, coming back, stopping, and mlrun killed in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
import time

import pytest

from tests.e2e.shell import Shell

COUNTS = """
    name: counts
    run: |
      i=0; while [ $i -lt 200 ] && [ ! -e enough ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done; echo done > out.txt; exit 7
    outputs: [out.txt]
"""


def test_output_goes_to_stdout_ours_to_stderr_and_the_exit_code_is_the_jobs(shell: Shell) -> None:
    job = shell.write("run: echo to stdout; echo to stderr >&2; exit 3\n")
    done = shell.mlrun(job)
    assert done.code == 3
    assert done.stdout == b"to stdout\nto stderr\n"
    assert b"to stdout" not in done.stderr
    assert ("finished", "failed", 3) == tuple(shell.last()[key] for key in ("state", "outcome", "exit_code"))


def test_output_is_live(shell: Shell) -> None:
    job = shell.write("run: echo first; while [ ! -e enough ]; do sleep 0.05; done\n")
    running = shell.start(job)
    assert running.stdout is not None
    assert running.stdout.readline() == b"first\n"
    assert running.poll() is None
    (shell.folder / "enough").touch()
    running.communicate(timeout=30)
    assert running.returncode == 0


def test_the_receipt_says_what_was_used(shell: Shell) -> None:
    job = shell.write(
        "run: python -c \"x = bytearray(150 << 20); import time; time.sleep(1.5); open('o', 'w').write('abc')\"\noutputs: [o]\n"
    )
    done = shell.mlrun(job)
    assert done.code == 0, done.said
    told = shell.mlrun("report", "last", "--json").json()
    assert 0.14 < told["peak"]["ram_gib"] < 1.0
    assert told["outputs"] == [{"path": "o", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}]
    assert told["cost_usd"]["so_far"] == 0
    assert told["teardown"]["confirmed"] is True
    assert told["phases_seconds"]
    assert "counts" not in shell.mlrun("report", "last").out


def test_a_detached_run_is_listed_followed_and_ends_with_its_own_code(shell: Shell) -> None:
    job = shell.write(COUNTS)
    begun = shell.mlrun(job, "-d")
    assert begun.code == 0, begun.said
    run = shell.last()
    assert ("counts", "running") == (run["name"], run["state"])
    shell.until(lambda: b"line 3\n" in shell.mlrun("logs", run["id"]).stdout, "three lines are in the log")
    following = shell.start("attach", "counts")
    (shell.folder / "enough").touch()
    out, _ = following.communicate(timeout=30)
    assert following.returncode == 7
    assert out.startswith(b"line 1\nline 2\n")
    ended = shell.finished()
    assert ("failed", 7) == (ended["outcome"], ended["exit_code"])
    assert ["out.txt"] == [output["path"] for output in ended["outputs"]]
    assert shell.mlrun("logs", "last").stdout == out


def test_killing_mlrun_loses_neither_the_job_nor_its_log_nor_its_code(shell: Shell) -> None:
    running = shell.start(shell.write(COUNTS))
    assert running.stdout is not None
    assert running.stdout.readline() == b"line 1\n"
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert shell.last()["state"] == "running"
    (shell.folder / "enough").touch()
    ended = shell.finished()
    assert ("failed", 7, True) == (ended["outcome"], ended["exit_code"], ended["teardown"]["confirmed"])
    log = shell.mlrun("logs", "last").stdout.decode().splitlines()
    assert log == [f"line {number}" for number in range(1, len(log) + 1)]
    assert ["out.txt"] == [output["path"] for output in ended["outputs"]]


def test_stop_ends_the_job_and_keeps_what_it_wrote(shell: Shell) -> None:
    job = shell.write("run: echo kept > out.txt; echo started; sleep 300 & sleep 300\noutputs: [out.txt]\n")
    assert shell.mlrun(job, "-d").code == 0
    shell.until(lambda: b"started" in shell.mlrun("logs", "last").stdout, "the job started")
    stopped = shell.mlrun("stop", "last")
    assert stopped.code == 0, stopped.said
    run = shell.finished()
    assert run["outcome"] == "cancelled"
    assert ["out.txt"] == [output["path"] for output in run["outputs"]]
    again = shell.mlrun("stop", "last")
    assert again.code == 0, again.said


def test_ctrl_c_reaches_the_job_which_ends_as_it_likes(shell: Shell) -> None:
    shell.write(
        """
        import signal, sys, time
        def leave(*_):
            print("saved")
            sys.exit(5)
        signal.signal(signal.SIGINT, leave)
        print("ready")
        time.sleep(300)
        """,
        "train.py",
    )
    running = shell.start(shell.write("run: python train.py\n"))
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert b"saved" in out
    assert running.returncode in (5, 130), err
    assert shell.finished()["teardown"]["confirmed"] is True


def test_a_run_is_found_by_id_prefix_name_and_last_and_nothing_else(shell: Shell) -> None:
    assert shell.mlrun(shell.write("name: quick\nrun: echo it\n")).code == 0
    run = shell.last()["id"]
    for word in (run, run[:6], "quick", "last"):
        assert shell.mlrun("logs", word).stdout == b"it\n"
    unknown = shell.mlrun("logs", "nothing-like-it")
    assert unknown.code == 2
    assert "nothing-like-it" in unknown.err


def test_events_come_one_a_line_and_the_last_is_the_run(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: echo hello\n"), "--json")
    assert done.code == 0, done.said
    events = done.events()
    assert {"event", "time", "run"} <= set(events[0])
    assert events[-1]["event"] == "result"
    assert all(event["schema"].startswith("1.") for event in events[-1:])
    states = [event["state"] for event in events if event["event"] == "state"]
    assert states[-1] == "finished"
    assert states.index("running") < states.index("collecting") < states.index("terminating")


def test_costs_of_local_runs_are_nothing(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: 'true'\n")).code == 0
    done = shell.mlrun("costs", "--json")
    assert done.code == 0, done.said
    assert shell.mlrun("costs").code == 0


def test_words_after_two_dashes_and_set_reach_the_job(shell: Shell) -> None:
    job = shell.write("run: echo batch ${training.batch_size}\ntraining: {batch_size: 8}\n")
    done = shell.mlrun(job, "--set", "training.batch_size=32", "--", "--seed", "it's 7")
    assert done.stdout == b"batch 32 --seed it's 7\n"


def test_the_job_is_told_who_it_is_and_runs_unbuffered_in_its_folder(shell: Shell) -> None:
    shell.write(
        "run: 'echo \"$DISPATCHER_RUN_ID|$PYTHONUNBUFFERED|$PWD|$GREETING\"'\nenv: {GREETING: hi there}\n", "sub/job.yaml"
    )
    done = shell.mlrun("sub/job.yaml")
    run, unbuffered, folder, greeting = done.out.strip().split("|")
    assert run == shell.last()["id"]
    assert (unbuffered, greeting) == ("1", "hi there")
    assert os.path.realpath(folder) == os.path.realpath(shell.folder / "sub")


def test_a_secret_reaches_the_job_and_nothing_of_ours(shell: Shell) -> None:
    job = shell.write("run: test ${#TOKEN} = 12 && sleep 1\nsecrets: [TOKEN]\n")
    done = shell.mlrun(job, TOKEN="s3cr3t-value")
    assert done.code == 0, done.said
    assert "s3cr3t-value" not in done.said + shell.mlrun("report", "last").said + shell.mlrun("ps", "--json").said
    kept = [file for file in shell.home.rglob("*") if file.is_file() and b"s3cr3t-value" in file.read_bytes()]
    assert kept == []


def test_a_missing_secret_is_named_before_anything_starts(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: echo started\nsecrets: [TOKEN_NOBODY_HAS]\n"))
    assert done.code == 100
    assert "TOKEN_NOBODY_HAS" in done.err
    assert b"started" not in done.stdout


def test_the_time_limit_stops_the_job_and_says_so(shell: Shell) -> None:
    began = time.monotonic()
    done = shell.mlrun(shell.write("run: echo on; exec sleep 300\nbudget: {max_time: 3s}\n"), timeout=120)
    assert done.code == 105, done.said
    assert time.monotonic() - began < 60
    assert shell.last()["state"] == "finished"


def test_setup_runs_only_when_asked_and_its_failure_is_told(shell: Shell) -> None:
    job = shell.write("run: test -e prepared\nsetup: touch prepared\n")
    assert shell.mlrun(job).code == 1
    assert shell.mlrun(job, "--setup").code == 0
    broken = shell.mlrun(shell.write("run: echo started\nsetup: echo no such thing >&2; exit 9\n"), "--setup")
    assert broken.code == 104
    assert "no such thing" in broken.said
    assert b"started" not in broken.stdout


@pytest.mark.parametrize("flags", [["--dry-run"], ["--dryrun"]])
def test_a_dry_run_starts_nothing(shell: Shell, flags: list[str]) -> None:
    done = shell.mlrun(shell.write("run: touch started\n"), *flags)
    assert done.code == 0, done.said
    assert "NOTHING WAS STARTED" in done.said
    assert not (shell.folder / "started").exists()
    assert shell.runs() == []


def test_what_this_machine_cannot_hold_is_refused_and_can_be_insisted_on(shell: Shell) -> None:
    job = shell.write(
        """
        run: echo ran
        model: {family: custom, parameters: 1e13, flops_per_sample: 1, activation_bytes_per_sample: 1}
        training: {batch_size: 1, steps: 1, precision: fp32, optimizer: adamw}
        """
    )
    refused = shell.mlrun(job, "--yes")
    assert refused.code == 101, refused.said
    assert b"ran" not in refused.stdout
    assert "RAM" in refused.err
    planned, told = shell.mlrun(job, "--json").events()
    assert ("progress", False, "result", 101) == (
        planned["event"],
        planned["plan"]["here"]["capable"],
        told["event"],
        told["exit_code"],
    )
    assert "RAM" in told["error"]["message"]
    done = shell.mlrun(job, "--where", "local", "--yes")
    assert done.stdout == b"ran\n"
    assert done.code == 0
    assert len(done.err) > 0


def test_quiet_is_only_the_job(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: echo only this\n"), "-q")
    assert (b"only this\n", b"") == (done.stdout, done.stderr)


def test_logs_are_events_for_programs(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: printf 'one\\ntwo\\n'\n")).code == 0
    events = shell.mlrun("logs", "last", "--json").events()
    assert {"log"} == {event["event"] for event in events}
    assert "one\ntwo\n" == "".join(event["text"] for event in events)
    assert [4] == [event["offset"] for event in shell.mlrun("logs", "last", "--json", "-n", "1").events()]


def test_a_gpu_asked_for_without_a_model_is_needed_here_too(shell: Shell) -> None:
    job = shell.write("run: echo ran\nresources: {gpu: T4}\n")
    refused = shell.mlrun(job)
    assert (101, b"") == (refused.code, refused.stdout) or "T4" in refused.err
    assert "asks for a GPU, and there is none" in refused.err
    assert (0, b"ran\n") == ((insisted := shell.mlrun(job, "--where", "local")).code, insisted.stdout)


def test_errors_name_the_job_file_that_was_given(shell: Shell) -> None:
    refused = shell.mlrun(shell.write("run: echo ran\nresources: {memory: 9000GB}\n", "big one.yaml"))
    assert 101 == refused.code
    assert "--where local insists" in refused.err
    assert "big one.yaml" in refused.err
    assert "mlrun JOB" not in refused.err
