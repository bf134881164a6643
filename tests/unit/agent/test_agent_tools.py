"""What cannot run here stands in by fake programs on PATH and constructed outputs; each says so."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

import dispatcher
from dispatcher.engine.outcome import conclude
from dispatcher.hosts.job import JobStatus

PS_FAMILY = b"    1     0 Ss\n  100     1 S+\n  101   100 R\n  102   101 Z\n  200     1 S\n"
"""Constructed, in the shape of macOS's `ps -axo pid=,ppid=,stat=` (ps(1), macOS 14)."""
PS_ENVIRONMENT = b"  101 python train.py HOME=/u DISPATCHER_LABEL=mlrun-aaaaaaaaaa-1 A=b\n  200 vim mlrun-aaaaaaaaaa-1\n"
"""Constructed, in the shape of macOS's `ps -axEww -o pid=,command=`."""


@pytest.fixture
def tools(bench, monkeypatch):
    """A folder of fake programs, first on PATH."""
    folder = bench.work.parent / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return add


@pytest.fixture
def module(monkeypatch):
    """The agent's modules, by name: they are programs of their own, outside the package."""
    monkeypatch.setattr(sys, "path", [str(Path(dispatcher.__file__).parent / "agent"), *sys.path])
    return importlib.import_module


def test_a_gpus_use_is_sampled_by_process(bench, tools, module, monkeypatch):
    monkeypatch.setattr(module("gauge"), "GPU_SECONDS", 0.0)
    tools("nvidia-smi", 'case "$1" in *compute-apps*) echo "101, 3000"; echo "999, 500";; *) echo "87, 3600";; esac')
    gauge = module("gauge").Gauge(str(bench.work), str(bench.work))
    gauge.sample(1.0, {101})
    gauge.tools[0].wait()
    gauge.sample(2.0, {101})
    line = json.loads((bench.work / "samples.jsonl").read_text().splitlines()[-1])
    assert (0.87, 2.93) == (line["gpu_utilisation"], line["gpu_memory_gib"])
    assert 2.93 == gauge.peaks()["gpu_peak_gib"]
    for tool in gauge.tools:
        tool.communicate()


def test_where_a_container_hides_process_ids_the_rise_above_the_first_look_counts(bench, tools, module):
    gauge = module("gauge").Gauge(str(bench.work), str(bench.work))
    assert (0.0, 0.0) == gauge._gpu_use("--\n0, 400\n", {101})
    assert (0.5, 2.0) == gauge._gpu_use("--\n50, 2448\n", {101})
    assert (0.5, 2.0) == gauge._gpu_use("101, [N/A]\n--\n50, 2448\n", {101})


def test_a_gpus_memory_that_other_programs_took_is_not_the_jobs(bench, tools, module):
    gauge = module("gauge").Gauge(str(bench.work), str(bench.work))
    assert (0.0, 0.0) == gauge._gpu_use("--\n0, 400\n", {101})
    assert (0.9, 0.0) == gauge._gpu_use("999, 2000\n--\n90, 2448\n", {101})


def test_a_gpu_tool_that_fails_or_says_nonsense_changes_nothing(bench, tools):
    tools("nvidia-smi", "echo 'NVIDIA-SMI has failed, [N/A]'; exit 9")
    _, status = bench.run("sleep 0.3; exit 3")
    assert (3, "exited") == (status.exit_code, status.reason)


@pytest.mark.parametrize("lingers", [True, False])
def test_a_job_starts_in_a_unit_of_the_users_manager_where_that_outlives_a_logout(
    tmp_path, tools, module, monkeypatch, lingers
):
    """The manager is a fake program that notes what it is asked and what it is handed."""
    agent = module("agent")
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd" / "private").touch()
    (tmp_path / (agent.pwd.getpwuid(os.getuid()).pw_name if lingers else "somebody")).touch()
    monkeypatch.setattr(agent, "LINGERING", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tools("systemd-run", f'echo "$@" > {tmp_path}/asked; cat > {tmp_path}/handed')
    assert lingers == agent._in_scope("mlrun-k-1", str(tmp_path), b"hidden")
    assert lingers == (tmp_path / "asked").exists()
    if lingers:
        assert "--user --scope --quiet --collect --unit=mlrun-k-1" in (tmp_path / "asked").read_text()
        assert "hidden" not in (tmp_path / "asked").read_text()
        assert (tmp_path / "handed").read_text() == "hidden"


def test_a_manager_that_refuses_keeps_no_job_from_running(bench, tools, monkeypatch):
    (bench.work.parent / "run0" / "systemd").mkdir(parents=True)
    (bench.work.parent / "run0" / "systemd" / "private").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(bench.work.parent / "run0"))
    tools("systemd-run", "echo 'Failed to connect to bus' >&2; exit 1")
    assert 6 == bench.run("exit 6")[1].exit_code


@pytest.mark.parametrize("name", ["caffeinate", "systemd-inhibit"])
def test_sleep_is_held_off_exactly_while_the_job_runs(bench, tools, name):
    tools(name, f'echo "$@" > {bench.work}/held; exec cat')
    bench.launch("read x < go", setup="mkfifo go", keep_awake=True)
    bench.until(lambda: bench.status().phase == "running" and (bench.work / "held").exists())
    (bench.work / "go").write_text("on\n")
    _, status = bench.finish()
    assert "cat" in (bench.work / "held").read_text()
    assert (0, ()) == (status.exit_code, status.notices)


def test_after_a_reboot_the_outcome_is_lost_whoever_has_the_numbers_now(bench):
    bench.launch("sleep 60")
    bench.until(lambda: bench.status().phase == "running")
    known = json.loads((bench.folder / "agent.json").read_text())
    (bench.folder / "agent.json").write_text(json.dumps(known | {"boot": "another"}))
    assert ("lost", "lost") == (bench.status().phase, bench.status().reason)
    for pid in (known["second"], known["pid"], known["job"]):
        os.kill(pid, signal.SIGKILL)


def test_families_and_labels_are_read_from_a_macs_ps(module, monkeypatch):
    processes = module("processes")
    monkeypatch.setattr(processes, "LINUX", False)
    said = {"-axo": PS_FAMILY, "-axEww": PS_ENVIRONMENT, "-o": b" 1024\n 2048\n"}
    monkeypatch.setattr(processes, "output", lambda *argv: said[argv[1]])
    assert {100, 101} == processes.descendants({100}, set())
    assert (True, False) == (processes.alive(101), processes.alive(102))
    assert {101} == processes.marked("mlrun-aaaaaaaaaa-1")
    assert {"mlrun-aaaaaaaaaa-1"} == processes.marked_labels()
    assert 3 * 2**20 == processes.ram_bytes({100, 101})
    assert not processes.catches(999_999, signal.SIGUSR1)


def test_no_polite_signal_goes_to_our_own_group_where_the_job_is_not_known(module, monkeypatch):
    processes, groups = module("processes"), []
    monkeypatch.setattr(os, "killpg", lambda leader, number: groups.append((leader, number)))
    processes.signal_job(0, set(), signal.SIGTERM)
    assert [] == groups


def test_every_exit_code_and_every_ending_signal_is_handed_on(module):
    exit_of = module("watcher").exit_of
    codes = [exit_of(_status(f"exit {code}")) for code in range(256)]
    assert [(code, None) for code in range(256)] == codes
    ending = [n for n in range(1, 32) if n not in (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)]
    ending = [n for n in ending if n not in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)]
    assert [(None, n) for n in ending] == [exit_of(_status(f"ulimit -c 0; kill -{n} $$")) for n in ending]
    told = [conclude(JobStatus("ended", exit_code=code, reason="exited"), None).exit_code for code in range(256)]
    assert list(range(256)) == told
    assert [128 + n for n in ending] == [
        conclude(JobStatus("ended", signal=n, reason="signal"), None).exit_code for n in ending
    ]


def _status(script: str) -> int:
    defaults = [signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM]
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], {}, setsigdef=defaults)
    return os.waitpid(pid, 0)[1]
