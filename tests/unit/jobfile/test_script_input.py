"""Scripts that are none, and expressions that would harm who evaluated them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.script import load_script
from dispatcher.jobfile.source import facts_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder one stands in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD = {
    "binary": (b"\x7fELF\0\0\0", "a binary file"),
    "python two": (b'print "hello"\n', "Python 2"),
    "syntax": (b"def f(:\n", "not Python"),
    "large": (b"#" * 5_000_000, "larger than 2 MB"),
    "deep": (b"(" * 5000, "not Python"),
    "odd bytes": (b"x = '\xff\xfe'\n", "not Python"),
}


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=list(BAD))
def test_what_is_no_script_is_told(here: Path, content: bytes, said: str) -> None:
    (here / "train.py").write_bytes(content)
    with pytest.raises(JobFileError) as told:
        load_script("train.py")
    assert said in told.value.problems[0].message
    assert told.value.problems[0].fix


def test_folders_pipes_loops_notebooks_and_nothing_are_told(here: Path) -> None:
    (here / "folder.py").mkdir()
    os.mkfifo(here / "pipe.py")
    (here / "loop.py").symlink_to("loop.py")
    (here / "book.ipynb").write_text('{"cells": []}')
    expected = {"folder.py": "a folder", "pipe.py": "no file", "loop.py": "cannot be read", "book.ipynb": "a notebook"}
    for name, words in (expected | {"none.py": "does not exist"}).items():
        with pytest.raises(JobFileError) as told:
            load_script(name)
        assert words in told.value.problems[0].message


@pytest.mark.parametrize(
    "code",
    [
        "batch_size = 9**9**9**9",
        "batch_size = [0] * 10**15",
        "batch_size = 'x' * 10**15",
        "batch_size = 1 << 10**9",
        "a = b\nb = a\nbatch_size = a",
        "batch_size = 1/0",
        "batch_size = " + "+".join(["1"] * 300),
        "import torch\nfor epoch in range(10**18):\n    pass",
        "batch_size = -5",
        "batch_size = float('nan')",
        "batch_size = True",
    ],
)
def test_no_expression_harms_the_reader(here: Path, code: str) -> None:
    (here / "train.py").write_text(code)
    assert "training.batch_size" not in facts_of(here / "train.py").settings
