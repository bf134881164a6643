"""The scripts say what is missing, and the benchmarks judge as they say."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "dirname", "basename", "cat", "cksum", "env", "tail", "mkdir", "rm", "ls", "grep")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of what the scripts need, in a folder with a space, and tools without a Python."""
    copy = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(str(shutil.which(tool)))
    return copy


def typed(checkout: Path, script: str, **env: str) -> subprocess.CompletedProcess[str]:
    words = {"PATH": str(checkout.parent / "bin"), **env}
    return subprocess.run([checkout / "scripts" / script], env=words, cwd="/", capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("script", ["demo", "test", "check", "bench"])
def test_without_python_each_script_says_so_and_how_to_get_it(checkout: Path, script: str) -> None:
    done = typed(checkout, script)
    assert done.returncode == 1
    assert "No Python 3.11" in done.stderr
    assert "fix:" in done.stderr


def test_a_python_that_cannot_make_environments_is_told_with_the_package_to_install(checkout: Path) -> None:
    python = checkout.parent / "bin" / "python3.11"
    python.write_text('#!/bin/bash\n[ "$1" = -m ] && { echo "ensurepip is not available" >&2; exit 1; }; exit 0\n')
    python.chmod(0o755)
    done = typed(checkout, "demo")
    assert done.returncode == 1
    assert "ensurepip is not available" in done.stderr
    assert "apt install python3.11-venv" in done.stderr


def test_an_installation_without_network_is_told_as_that(checkout: Path) -> None:
    venv = checkout / ".venv" / "bin"
    venv.mkdir(parents=True)
    python = venv / "python"
    python.write_text('#!/bin/bash\n[ "$1" = -m ] && { echo "NewConnectionError: refused" >&2; exit 1; }; exit 0\n')
    python.chmod(0o755)
    done = typed(checkout, "demo")
    assert done.returncode == 1
    assert "no network?" in done.stderr
    assert not list(checkout.glob(".venv/.installed-*"))


def test_what_is_installed_is_not_installed_again_until_pyproject_changes(checkout: Path) -> None:
    venv = checkout / ".venv" / "bin"
    venv.mkdir(parents=True)
    for name in ("python", "mlrun"):
        program = venv / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >> "{checkout}/calls"\n')
        program.chmod(0o755)
    (checkout / "configs" / "runs" / "digits").mkdir(parents=True)
    for _ in range(2):
        assert typed(checkout, "demo").returncode == 0
    assert (checkout / "calls").read_text().count("pip install") == 1
    assert (checkout / "calls").read_text().count("mlrun configs/train.yaml") == 2
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert typed(checkout, "demo").returncode == 0
    assert (checkout / "calls").read_text().count("pip install") == 2


@pytest.mark.parametrize(
    ("value", "bound", "at_least", "met"),
    [
        (0.5, 0.5, False, True),
        (0.51, 0.5, False, False),
        (0.8, 0.8, True, True),
        (0.79, 0.8, True, False),
        (9.0, None, False, None),
    ],
)
def test_a_goal_is_met_at_its_bound_and_missed_beyond(
    monkeypatch: pytest.MonkeyPatch, value: float, bound: float | None, at_least: bool, met: bool | None
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "benchmarks"))
    measure = importlib.import_module("measure")
    assert measure.Row("x", "1", "1", value, "ratio", bound, at_least).met is met


def test_a_measured_command_that_fails_measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "benchmarks"))
    measure = importlib.import_module("measure")
    with pytest.raises(measure.Broken, match="ended with 3: why"):
        measure.run([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"])
    sample = measure.run([sys.executable, "-c", "x = bytearray(100 << 20)"])
    assert 100 < sample.peak_mib  # at most says nothing here: Linux counts what the test's own process held before the start
    assert 0 < sample.cpu <= sample.seconds * 64
