"""Stopping, deadlines, and watchers that are killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading

from dispatcher.hosts import job as jobs

PY = sys.executable
STUBBORN = "trap '' INT TERM; echo up; while :; do sleep 0.05; done"


def known(bench):
    return json.loads((bench.folder / "agent.json").read_text())


def test_a_job_is_asked_politely_first(bench):
    bench.launch("trap 'echo bye; exit 8' INT; echo up; while :; do sleep 0.05; done")
    bench.printed(b"up")
    status = jobs.stop(bench.host, bench.label, 5.0)
    assert ("ended", "stopped", 8) == (status.phase, status.reason, status.exit_code)
    assert b"up\nbye\n" == (bench.folder / "log").read_bytes()


def test_a_job_that_ignores_every_wish_is_killed(bench):
    bench.launch(STUBBORN)
    bench.printed(b"up")
    status = jobs.stop(bench.host, bench.label, 0.2)
    assert ("ended", "stopped", signal.SIGKILL) == (status.phase, status.reason, status.signal)


def test_a_second_stop_without_grace_hurries_the_first(bench):
    bench.launch(STUBBORN)
    bench.printed(b"up")
    first = threading.Thread(target=jobs.stop, args=(bench.host, bench.label, 60.0))
    first.start()
    bench.until(lambda: (bench.folder / "stop.json").exists())
    status = jobs.stop(bench.host, bench.label, 0.0)
    first.join(5)
    assert "stopped" == status.reason
    assert not first.is_alive()


def test_stopping_what_has_ended_and_what_never_was_changes_nothing(bench):
    assert "absent" == jobs.stop(bench.host, bench.label, 1.0).phase
    bench.run("exit 6")
    assert ("exited", 6) == (jobs.stop(bench.host, bench.label, 1.0).reason, bench.status().exit_code)


def test_a_job_is_stopped_at_its_deadline_after_a_notice(bench):
    _, status = bench.run("sleep 300", deadline_seconds=1.0, stop_grace=0.3)
    assert ("ended", "deadline") == (status.phase, status.reason)
    assert any("time limit" in notice for notice in status.notices)
    assert 0.9 < status.ended - status.started < 4


def test_a_deadline_ends_setup_too(bench):
    log, status = bench.run("echo never", setup="sleep 300", deadline_seconds=0.5, stop_grace=0.2)
    assert (b"", "deadline") == (log, status.reason)


def test_usr1_comes_before_the_deadline_to_those_who_handle_it(bench):
    script = (
        "import signal,time; signal.signal(signal.SIGUSR1, lambda *_: (print('saved'), exit(5)))\nwhile 1: time.sleep(0.05)"
    )
    log, status = bench.run(f'exec {PY} -c "{script}"', deadline_seconds=2.0)
    assert (b"saved\n", 5, "exited") == (log, status.exit_code, status.reason)


def test_usr1_does_not_kill_those_who_do_not_handle_it(bench):
    log, status = bench.run("sleep 1.5; echo done", deadline_seconds=1.7)
    assert (b"done\n", 0) == (log, status.exit_code)


def test_when_the_first_watcher_is_killed_the_second_learns_the_exit_code(bench):
    bench.launch("echo up; read x < go; exit 11", setup="mkfifo go")
    bench.until(lambda: known(bench).get("phase") == "running")
    bench.printed(b"up")
    os.kill(known(bench)["pid"], signal.SIGKILL)
    bench.until(lambda: bench.status().notices)
    assert "running" == bench.status().phase
    (bench.work / "go").write_text("on")
    _, status = bench.finish()
    assert ("ended", 11) == (status.phase, status.exit_code)


def test_stop_works_when_the_first_watcher_was_killed(bench):
    bench.launch("echo up; sleep 300")
    bench.printed(b"up")
    os.kill(known(bench)["pid"], signal.SIGKILL)
    status = jobs.stop(bench.host, bench.label, 1.0)
    assert ("ended", "stopped") == (status.phase, status.reason)


def test_when_both_watchers_are_killed_the_job_runs_on_and_its_outcome_is_lost(bench):
    bench.launch("echo up; read x < go; exit 0", setup="mkfifo go")
    bench.until(lambda: known(bench).get("phase") == "running")
    bench.printed(b"up")
    _kill_watchers(bench)
    assert "running" == bench.status().phase
    (bench.work / "go").write_text("on")
    bench.until(lambda: bench.status().phase == "lost")
    assert None is bench.status().exit_code


def test_stop_without_any_watcher_ends_the_job_and_owns_that_its_outcome_is_lost(bench):
    bench.launch(STUBBORN)
    bench.printed(b"up")
    _kill_watchers(bench)
    status = jobs.stop(bench.host, bench.label, 0.2)
    assert ("lost", "lost", None) == (status.phase, status.reason, status.exit_code)
    assert [] == bench.living()


def _kill_watchers(bench):
    both = known(bench)
    os.kill(both["second"], signal.SIGSTOP)  # it must not take over between the two
    os.kill(both["pid"], signal.SIGKILL)
    os.kill(both["second"], signal.SIGKILL)
