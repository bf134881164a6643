"""However a job ends, its end is told truly."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from dispatcher.errors import HostError
from dispatcher.hosts import job as jobs

PY = sys.executable


@pytest.mark.parametrize("code", [0, 1, 2, 7, 77, 100, 107, 126, 127, 128, 130, 137, 143, 254, 255])
def test_an_exit_code_is_told_as_it_is(bench, code):
    _, status = bench.run(f"exit {code}")
    assert ("ended", code, None, "exited") == (status.phase, status.exit_code, status.signal, status.reason)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE])
def test_a_signal_is_told_as_it_is(bench, number):
    _, status = bench.run(f"kill -{int(number)} $$")
    assert (None, int(number), "signal") == (status.exit_code, status.signal, status.reason)


def test_a_job_that_kills_its_parent_still_has_its_exit_code_learned(bench):
    _, status = bench.run(f"exec {PY} -c 'import os,time; os.kill(os.getppid(), 9); time.sleep(0.2); os._exit(9)'")
    assert ("ended", 9) == (status.phase, status.exit_code)


def test_a_job_that_closes_its_output_ends_like_any_other(bench):
    log, status = bench.run("echo before; exec 1>&- 2>&-; echo after; exit 3")
    assert (b"before\n", 3) == (log, status.exit_code)


def test_a_full_file_size_limit_ends_the_job_and_not_the_record(bench):
    _, status = bench.run("ulimit -f 1; head -c 10000000 /dev/zero")
    assert "ended" == status.phase
    assert status.exit_code or status.signal


def test_setup_runs_first_and_has_a_log_of_its_own(bench):
    log, status = bench.run("cat made", setup="echo out; echo ready > made")
    assert (b"ready\n", 0) == (log, status.exit_code)
    assert b"out\n" == (bench.folder / "setup.log").read_bytes()


def test_a_failed_setup_is_told_and_the_job_is_not_started(bench):
    log, status = bench.run("echo never", setup="exit 5")
    assert (b"", "setup-failed", 5) == (log, status.reason, status.exit_code)


def test_what_the_job_left_running_is_ended_and_said(bench):
    _, status = bench.run("(setsid sleep 300 &) ; env -i sleep 301 & sleep 0.1; exit 0")
    assert 0 == status.exit_code
    assert any("left behind" in notice for notice in status.notices)
    assert [] == bench.living()


def test_a_daemon_that_ignores_sigterm_is_killed_too(bench):
    _, status = bench.run("""setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 0.1; done' & sleep 0.2; exit 4""")
    assert 4 == status.exit_code
    assert [] == bench.living()


@pytest.mark.parametrize("message", ["torch.OutOfMemoryError: CUDA out of memory. Tried", "MPS backend out of memory"])
def test_a_gpu_that_was_full_is_said(bench, message):
    _, status = bench.run(f"echo '{message}'; exit 1")
    assert "oom-device" == status.reason


def test_python_that_found_no_memory_is_said(bench):
    _, status = bench.run(f"{PY} -c 'bytearray(1 << 60)'")
    assert ("oom-host", 1) == (status.reason, status.exit_code)


def test_a_message_of_full_memory_from_a_job_that_succeeded_means_nothing(bench):
    _, status = bench.run("echo CUDA out of memory; exit 0")
    assert ("exited", 0) == (status.reason, status.exit_code)


def test_peak_memory_counts_what_the_job_held(bench):
    _, status = bench.run(
        f"{PY} -c 'import time; x = bytearray(200 << 20); x[::4096] = b\"1\" * len(x[::4096]); time.sleep(0.3)'"
    )
    assert 0.19 < status.ram_peak_gib < 0.30
    assert status.cpu_seconds > 0


def test_a_second_start_of_one_label_is_refused(bench):
    bench.run("true")
    with pytest.raises(HostError, match="before"):
        bench.launch("echo twice > twice")
    assert not (bench.work / "twice").exists()


def test_a_missing_work_folder_is_said_and_nothing_starts(bench):
    with pytest.raises(HostError, match="work folder"):
        bench.launch("true", cwd=str(bench.work / "gone"))
    assert "absent" == bench.status().phase


def test_the_job_runs_as_the_shell_reads_it_in_its_folder_and_environment(bench):
    env = {"A": "x y", "Q": 'it\'s "q"'}
    log, _ = bench.run('printf "%s|" "$A" "$Q" "$PYTHONUNBUFFERED" "$DISPATCHER_RUN_ID" "$DISPATCHER_LABEL"; pwd', env=env)
    assert f'x y|it\'s "q"|1|{bench.label.split("-")[1]}|{bench.label}|{bench.work}\n' == log.decode()


def test_the_path_prefix_comes_first(bench):
    (bench.work / "bin").mkdir()
    (bench.work / "bin" / "greet").write_text("#!/bin/sh\necho hello\n")
    (bench.work / "bin" / "greet").chmod(0o755)
    assert b"hello\n" == bench.run("greet", path_prefix=str(bench.work / "bin"))[0]


def test_a_secret_reaches_the_job_and_neither_a_file_nor_an_argument(bench):
    secret = "canary-6f1d0c"
    bench.launch('test "$TOKEN" = canary-6f1d0c && echo same; read x < go', secrets={"TOKEN": secret}, setup="mkfifo go")
    bench.until(lambda: (bench.folder / "log").exists() and b"same" in (bench.folder / "log").read_bytes())
    own = [pid.name for pid in Path("/proc").iterdir() if pid.name.isdigit() and _labelled(pid.name, bench.label)]
    arguments = [_bytes(f"/proc/{pid}/cmdline").replace(b'test "$TOKEN" = canary-6f1d0c', b"") for pid in own]
    files = [file.read_bytes() for file in bench.folder.rglob("*") if file.is_file()]
    (bench.work / "go").write_text("on")
    bench.finish()
    assert own
    assert not [one for one in arguments + files if secret.encode() in one]


def test_samples_and_a_heartbeat_stand_beside_the_log(bench):
    bench.launch("sleep 0.5")
    bench.finish()
    lines = [json.loads(line) for line in (bench.folder / "samples.jsonl").read_text().splitlines()]
    assert len(lines) >= 3
    assert {"t", "cpus", "ram_gib", "disk_free_gb"} <= lines[-1].keys()
    assert (bench.folder / "heartbeat").exists()
    assert not (bench.folder / "reserve").exists()


def test_labels_of_folders_are_told_and_a_forgotten_one_is_not(bench):
    bench.run("true")
    assert bench.label in jobs.labels(bench.host)
    jobs.forget(bench.host, bench.label)
    assert bench.label not in jobs.labels(bench.host)
    with pytest.raises(HostError):
        jobs.forget(bench.host, "../work")


def _labelled(pid, label):
    return f"DISPATCHER_LABEL={label}".encode() in _bytes(f"/proc/{pid}/environ")


def _bytes(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_a_job_may_count_itself_in_a_file_of_its_attempt(bench):
    _, status = bench.run("""echo '{"step": 1}' >> "$DISPATCHER_PROGRESS" """)
    assert 0 == status.exit_code
    assert {"step": 1} == json.loads((bench.folder / "progress.jsonl").read_text())
