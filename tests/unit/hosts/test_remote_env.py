"""A project's environment on another computer: made once, made anew when its list changes."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from dispatcher.hosts import job as jobs
from dispatcher.hosts.remote_env import remote_environment

WHEEL = "demo_mlrun-1.0-py3-none-any.whl"


class There:
    """A host whose agent stands where one would be pushed."""

    name = "there"

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        (root / jobs.agent_folder()).symlink_to(jobs.AGENT)


@pytest.fixture
def host(tmp_path):
    (tmp_path / "runs").mkdir()
    return There(tmp_path / "runs")


@pytest.fixture
def work(tmp_path):
    root = tmp_path / "work"
    root.mkdir()
    with zipfile.ZipFile(root / WHEEL, "w") as file:
        file.writestr("demo_mlrun.py", "word = 'here'\n")
        info = "demo_mlrun-1.0.dist-info"
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo-mlrun\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return root


def run(found, work: Path, then: str = "true", setup: str | None = None) -> subprocess.CompletedProcess[bytes]:
    env = dict(os.environ, PATH=f"{found.path_prefix}:{os.environ['PATH']}")
    argv = ["/bin/sh", "-c", f"{found.before(setup)} && {then}"]
    return subprocess.run(argv, cwd=work, env=env, capture_output=True, check=False, timeout=120)


def test_what_the_list_names_is_there_and_made_once(host, work):
    (work / "requirements.txt").write_text(f"./{WHEEL}\n")
    found = remote_environment(host, work)
    first = run(found, work, "python -c 'import demo_mlrun; print(demo_mlrun.word)'")
    again = run(found, work, "python -c 'import sys; print(sys.prefix)'")
    assert (b"here\n", 0) == (first.stdout.splitlines(keepends=True)[-1], first.returncode)
    assert [found.path_prefix.removesuffix("/bin").encode()] == again.stdout.splitlines()


def test_without_a_list_there_is_a_python_and_a_setup_of_its_own(host, work):
    found = remote_environment(host, work, setup="pip install x")
    done = run(found, work, "cat made && python -c pass", setup="echo set > made\necho up >> made")
    assert ([b"set", b"up"], None) == (done.stdout.splitlines()[-2:], found.file)


def test_a_list_that_cannot_be_met_fails_and_leaves_nothing_to_be_used(host, work):
    (work / "requirements.txt").write_text("./no-such-1.0-py3-none-any.whl\n")
    found = remote_environment(host, work)
    assert (True, True) == (run(found, work).returncode != 0, run(found, work).returncode != 0)


def test_an_environment_that_was_not_finished_is_made_anew(host, work):
    (work / "requirements.txt").write_text("")
    found = remote_environment(host, work)
    folder = Path(found.path_prefix).parent
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("broken")
    assert 0 == run(found, work, "python -c pass").returncode


def test_another_list_setup_or_name_is_another_environment(host, work):
    found = {remote_environment(host, work).path_prefix}
    (work / "requirements.txt").write_text("numpy\n")
    found.add(remote_environment(host, work).path_prefix)
    (work / "requirements.txt").write_text("numpy>=2\n")
    found |= {remote_environment(host, work, *rest).path_prefix for rest in ((), ("make",), ("make", "name"))}
    assert 5 == len(found)


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "requirements.lock"])
def test_a_lock_comes_before_a_list(host, work, file):
    (work / "requirements.txt").write_text("numpy\n")
    (work / file).write_text("")
    found = remote_environment(host, work)
    assert (file, True) == (found.file, found.setup.endswith(file))
