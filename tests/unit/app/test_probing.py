"""Probing: a real process on a copy of its folder, of which nothing is left."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from dispatcher import paths
from dispatcher.app import probing
from dispatcher.app.plans import plan
from dispatcher.app.scratch import scratch
from dispatcher.errors import HostError
from dispatcher.jobfile.load import load
from dispatcher.jobfile.settings import load_settings

SCRIPT = """
import json, os, sys, time
assert os.environ["DISPATCHER_PROBE"] == "1" and os.environ["WANDB_MODE"] == "offline"
open("made.txt", "w").write("x"); open("data.txt", "a").write("x"); open("runs/out", "w").write("x")
table = bytearray(80 << 20)
for step in range(1, {steps} + 1):
    time.sleep(0.02)
    with open(os.environ["DISPATCHER_PROGRESS"], "a") as file:
        file.write(json.dumps({{"step": step, "total": 5000}}) + "\\n")
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job that counts to 5000, and stops early where it is only probed."""
    (tmp_path / "train.py").write_text(SCRIPT.format(steps=90))
    (tmp_path / "data.txt").write_text("data")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "old").write_text("an earlier run's")
    (tmp_path / "job.yaml").write_text(f"run: {sys.executable} train.py\noutputs: [runs]\nwhere: local\n")
    return tmp_path / "job.yaml"


def living() -> list[str]:
    """Processes that stand in this test's own folder of probes, or were told of it."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if str(paths.cache_dir()) in f"{one.cwd()} {one.cmdline()}":
                found.append(str(one))
    return found


def test_a_probe_measures_memory_and_pace_and_leaves_nothing(job: Path) -> None:
    before = sorted(str(one) for one in job.parent.rglob("*"))

    made = plan(job, probe=True)

    assert made.chosen is not None
    assert made.chosen.hours is not None
    assert 0.8 * 100 < made.chosen.hours.likely * 3600 < 4 * 100
    assert (made.chosen.hours_basis, made.estimate.ram.basis) == ("measured", "measured")
    assert 0.07 < made.estimate.ram.range.likely < 1.0
    assert made.probe["pace"]["source"] == "DISPATCHER_PROGRESS"
    assert json.loads(json.dumps(made.as_dict()))["probe"]["pace"]["total"] == 5000
    assert sorted(str(one) for one in job.parent.rglob("*")) == before
    assert (job.parent / "data.txt").read_text() == "data"
    assert list((paths.cache_dir() / "probes").iterdir()) == []
    assert living() == []


def test_a_probe_is_ended_when_its_time_is_over(job: Path) -> None:
    (job.parent / "train.py").write_text(SCRIPT.format(steps=5000))
    said: list[str] = []

    found, notes = probing.evidence(load(job), load_settings(), said.append, limit=2.0)

    assert found is not None
    assert found.run is not None
    assert not found.probed.finished
    assert notes == ()
    assert "at most 2 s" in said[0]
    assert living() == []


def test_a_job_that_fails_when_it_is_probed_says_why(job: Path) -> None:
    (job.parent / "train.py").write_text("raise SystemExit('no such table')")

    made = plan(job, probe=True)

    assert made.probe == {}
    assert any("exit code 1: no such table" in warning for warning in made.warnings)


def test_the_last_line_of_a_failed_probe_is_the_last_and_shows_no_secret(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hf_not_to_be_seen")
    job.write_text(job.read_text() + "secrets: [TOKEN]\n")
    (job.parent / "train.py").write_text(
        "import os\nfor one in range(60000): print('line', one)\nraise SystemExit('refused: ' + os.environ['TOKEN'])"
    )

    made = plan(job, probe=True)

    assert any("exit code 1: refused: ***" in warning for warning in made.warnings)
    assert "hf_not_to_be_seen" not in json.dumps(made.as_dict())


def test_ctrl_c_ends_the_probe_and_removes_its_copy(job: Path) -> None:
    (job.parent / "train.py").write_text(SCRIPT.format(steps=5000))
    argv = [sys.executable, "-m", "dispatcher", "plan", str(job), "--probe"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[3])
    probes = paths.cache_dir() / "probes"
    until = time.monotonic() + 60
    while not list(probes.glob("*/mlrun-*/progress.jsonl")) and time.monotonic() < until:
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert list(probes.iterdir()) == []
    assert living() == []


def test_a_copy_has_links_that_lead_into_it_and_environments_where_they_are(tmp_path: Path) -> None:
    work, far = tmp_path / "work", tmp_path / "far"
    for folder in (work / "src", work / ".venv", work / ".git", far):
        folder.mkdir(parents=True)
    (work / "src" / "a.py").write_text("a")
    (work / ".venv" / "pyvenv.cfg").write_text("")
    (work / "inner").symlink_to(work / "src")
    (work / "outer").symlink_to("../far")

    with scratch(work) as (_, copy):
        assert (copy / "inner" / "a.py").resolve() == (copy / "src" / "a.py").resolve()
        assert (copy / "outer").resolve() == far.resolve()
        assert (copy / ".venv").resolve() == (work / ".venv").resolve()
        assert not (copy / ".git").exists()
        (copy / "src").chmod(0o500)
    assert not copy.exists()


def test_a_link_that_names_its_own_folder_by_another_name_leads_into_the_copy(tmp_path: Path) -> None:
    work = tmp_path / "disk" / "work"
    (work / "outputs" / "run1").mkdir(parents=True)
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    (work / "outputs" / "run1" / "best.txt").write_text("the user's")
    (work / "latest").symlink_to(tmp_path / "home" / "work" / "outputs")

    with scratch(tmp_path / "home" / "work", ["outputs"]) as (_, copy):
        assert (copy / "latest").resolve() == (copy / "outputs").resolve()
        assert list((copy / "latest").iterdir()) == []


def test_a_folder_that_is_too_large_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").write_bytes(bytes(2000))
    monkeypatch.setattr("dispatcher.app.scratch.LARGEST_BYTES", 1000.0)

    with pytest.raises(HostError, match="too much for a scratch copy"), scratch(tmp_path):
        pass


def test_what_a_killed_probe_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = paths.cache_dir() / "probes" / str(ended.pid)
    left.mkdir(parents=True)

    with scratch(tmp_path) as (home, _):
        assert home.name == str(os.getpid())
        assert not left.exists()


def test_what_a_job_makes_never_lands_behind_a_link_of_the_users(tmp_path: Path) -> None:
    work, far = tmp_path / "work", tmp_path / "far"
    for folder in (work, far / "runs", far / "big" / "ckpt", far / "big" / "data"):
        folder.mkdir(parents=True)
    (far / "runs" / "best.pt").write_text("the user's")
    (far / "big" / "ckpt" / "last.pt").write_text("the user's")
    (work / "runs").symlink_to(far / "runs")
    (work / "big").symlink_to(far / "big")
    (work / "away").symlink_to(tmp_path / "unmounted")

    with scratch(work, ["./runs/", "big/ckpt", "away"]) as (_, copy):
        for folder in ("runs", "big/ckpt", "away"):
            assert list((copy / folder).iterdir()) == []
            assert (copy / folder).resolve().is_relative_to(copy.resolve())
        (copy / "runs" / "best.pt").write_text("a probe's")
        assert (copy / "big" / "data").resolve() == (far / "big" / "data").resolve()

    assert (far / "runs" / "best.pt").read_text() == "the user's"


def test_what_keeps_a_folder_from_being_copied_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")

    def refuse(number: int) -> HostError:
        error = OSError(number, os.strerror(number), str(tmp_path / "data"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dispatcher.app.scratch.shutil.copy2", lambda *_: (_ for _ in ()).throw(error))
            with pytest.raises(HostError) as caught, scratch(tmp_path):
                pass
        return caught.value

    assert "disk space" in refuse(errno.ENOSPC).fix
    denied = refuse(errno.EACCES)
    assert "may read" in denied.fix
    assert str(tmp_path / "data") in denied.message
