"""A shell for every test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.shell import BIN, Shell


@pytest.fixture
def shell(tmp_path: Path, home: Path) -> Shell:
    """An empty folder to type in, with the tests' Python as the active environment."""
    folder = tmp_path / "work"
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_", "PYTHON"))}
    env |= {
        "PATH": f"{BIN}{os.pathsep}{env['PATH']}",
        "VIRTUAL_ENV": sys.prefix,
        "NO_COLOR": "1",
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
    }
    env["TMPDIR"] = str(tmp_path)
    return Shell(folder, home, env)
