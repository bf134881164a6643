"""`mlrun plan train.py` and `mlrun init train.py` as one types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GridSearchCV
table = pd.read_csv("people.csv")
open("ran", "w").close()
search = GridSearchCV(RandomForestRegressor(max_depth=6), {"n_estimators": [50, 150]}, cv=3)
search.fit(table, table)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script and the table it reads."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "people.csv").write_text("age,height,y\n" + "30,180,1\n" * 2000)
    return tmp_path


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"DISPATCHER_HOME": str(folder / ".home"), "NO_COLOR": "1", "COLUMNS": "100"}
    command = [sys.executable, "-m", "dispatcher", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_a_script_is_planned_and_never_executed(folder: Path) -> None:
    done = typed(folder, "plan", "train.py")
    assert (0, "") == (done.returncode, done.stderr)
    assert "2,000 rows × 3 columns" in done.stdout
    assert "mlrun init train.py" in done.stdout
    assert not (folder / "ran").exists()


def test_the_plan_tells_where_each_value_was_read(folder: Path) -> None:
    document = json.loads(typed(folder, "plan", "train.py", "--json").stdout)
    origins = document["job"]["origins"]
    assert "read in train.py line 7" == origins["model.algorithm"]
    assert "mean of 50, 150 in train.py line 7" == origins["model.trees"]
    assert "counted in people.csv" == origins["dataset.samples"]


def test_the_job_file_of_init_plans_to_the_same_figures(folder: Path) -> None:
    assert 0 == typed(folder, "init", "train.py").returncode
    read, written = (json.loads(typed(folder, "plan", name, "--json").stdout) for name in ("train.py", "train.yaml"))
    assert read["estimate"] == written["estimate"]


def test_what_the_script_does_not_say_is_asked_for_and_taken(folder: Path) -> None:
    (folder / "net.py").write_text("import torch\nfrom torchvision import models\nmodels.resnet18()\n")
    asked = typed(folder, "plan", "net.py")
    assert 100 == asked.returncode
    assert "--set training.batch_size=32" in asked.stderr
    sets = ("training.batch_size=4", "training.epochs=1", "dataset.samples=100", "model.image_size=64")
    given = typed(folder, "plan", "net.py", *(word for one in sets for word in ("--set", one)))
    assert (0, "") == (given.returncode, given.stderr)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("two.py", b'print "x"\n', "Python 2"),
        ("book.ipynb", b"{}", "notebook"),
        ("bin.py", b"\0\1\2", "binary"),
        ("bad.py", b"def (:\n", "not Python"),
    ],
)
def test_what_is_no_script_is_told_with_exit_code_100(folder: Path, name: str, content: bytes, said: str) -> None:
    (folder / name).write_bytes(content)
    done = typed(folder, "plan", name)
    assert 100 == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
