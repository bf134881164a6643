"""What a script leaves open, and what changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.load import load
from dispatcher.jobfile.script import load_script
from dispatcher.jobfile.starter import choose, render
from tests.unit.jobfile.scripts import TABLE, TORCH, TRAINER, here, said, unread

__all__ = ["here"]

FOREST = "from sklearn.ensemble import RandomForestClassifier as RF\nfrom sklearn.ensemble import RandomForestClassifier\n"


UNREADABLE = [
    ("training.batch_size", TORCH + "DataLoader(d, batch_size=pick(), shuffle=True)", "line 3 computes it"),
    ("training.batch_size", TORCH + "DataLoader(d, 8, shuffle=True)\nDataLoader(e, 16, shuffle=True)",
     "line 3 says 8 and line 4 says 16"),
    ("training.batch_size", TORCH + "b = 8\nb = b * 2\nDataLoader(d, b, shuffle=True)", "line 5 computes it"),
    ("training.precision", TORCH + "dtype = torch.float16 if gpu else torch.bfloat16\ntorch.autocast('cuda', dtype=dtype)",
     "line 4 computes it"),
    ("model.trees", TABLE + FOREST + "RandomForestClassifier(n_estimators=int(input()))", "computes it"),
    ("training.batch_size", TORCH + "p.add_argument('--bs', default=8)\nargs = p.parse_args()\nargs.bs = 4\n"
     "DataLoader(d, args.bs, shuffle=True)", "computes it"),
]  # fmt: skip


@pytest.mark.parametrize(("setting", "code", "reason"), UNREADABLE)
def test_what_only_a_run_would_tell_is_unknown(here: Path, setting: str, code: str, reason: str) -> None:
    assert setting not in said(here, code)
    assert reason in unread(here, code)[setting]


PARSED = TORCH + (
    "import argparse\nfrom torchvision import models\n"
    "def main():\n    p = argparse.ArgumentParser()\n    p.add_argument('-b', '--batch-size', type=int, default=64)\n"
    "    p.add_argument('--epochs', type=int, default=5)\n    args = p.parse_args()\n"
    "    DataLoader(d, batch_size=args.batch_size, shuffle=True)\n    models.resnet18()\n"
)


def test_flags_of_the_script_can_be_changed_and_reach_it(here: Path) -> None:
    (here / "train.py").write_text(PARSED)
    job = load_script("train.py", sets={"dataset.samples": "1000", "training.batch_size": "16"})
    assert "python train.py --batch-size 16 --epochs 5" == job.command
    assert {"training.batch_size", "training.epochs"} <= job.bound
    assert "--set" == job.origins["training.batch_size"]
    assert "the default of --epochs in train.py line 8" == job.origins["training.epochs"]


def test_training_arguments_from_the_command_line_are_flags(here: Path) -> None:
    (here / "train.py").write_text(
        TRAINER + "TrainingArguments\nHfArgumentParser((M, TrainingArguments))\nAutoModel.from_pretrained('gpt2')\n"
    )
    given = {"model.sequence_length": 128, "dataset.samples": 10, "training.batch_size": 2}
    command = load_script("train.py", sets=given).command
    assert "python train.py --per_device_train_batch_size 2 --num_train_epochs 3" == command


def test_a_network_of_ones_own_is_asked_for_the_dimensions_that_lack(here: Path) -> None:
    (here / "train.py").write_text(
        TORCH + "n_layer = 6\nblock_size = 64\nbatch_size = 4\nmax_iters = 50\nC(n_layer=n_layer, n_head=6)\n"
    )
    with pytest.raises(JobFileError) as asked:
        load_script("train.py")
    assert ["--set model.hidden=768, with your value.", "--set model.vocab=50257, with your value."] == [
        one.fix for one in asked.value.problems
    ]
    model = load_script("train.py", sets={"model.hidden": 384, "model.vocab": 65}).config.model
    assert model is not None
    assert ("transformer", 6, 384, 6, 64) == (model.family, model.layers, model.hidden, model.heads, model.sequence_length)


def test_what_is_missing_is_all_asked_for_at_once_with_the_way_to_give_it(here: Path) -> None:
    (here / "train.py").write_text("print('hello')\n")
    with pytest.raises(JobFileError) as asked:
        load_script("train.py")
    fixes = [one.fix for one in asked.value.problems]
    assert ["model.name", "training.batch_size", "training.epochs", "dataset.samples"] == [
        fix.removeprefix("--set ").partition("=")[0] for fix in fixes
    ]
    given = {"model.name": "resnet18", "training.batch_size": 8, "training.steps": 10}
    assert "read in train.py" == load_script("train.py", sets=given).origins["run"]


def test_a_computed_value_is_shown_where_it_stands(here: Path) -> None:
    (here / "train.py").write_text(TABLE + FOREST + "RandomForestClassifier(n_estimators=count())\n")
    with pytest.raises(JobFileError) as asked:
        load_script("train.py")
    (one,) = asked.value.problems
    assert (5, "RandomForestClassifier(n_estimators=count())") == (one.line, one.source)
    assert "model.trees is unknown: line 5 computes it." == one.message


def test_a_setting_that_does_not_exist_is_refused(here: Path) -> None:
    (here / "train.py").write_text(PARSED)
    with pytest.raises(JobFileError) as refused:
        load_script("train.py", sets={"training.batchsize": "3"})
    assert "Did you mean 'training.batch_size'?" == refused.value.problems[0].fix


@pytest.mark.parametrize(
    ("code", "sets"),
    [
        (TABLE + FOREST + "GridSearchCV(RandomForestClassifier(max_depth=4), {'n_estimators': [10, 30]}, cv=3)", {}),
        (TABLE + "import xgboost\nxgboost.XGBRegressor(n_estimators=40, max_bin=64, device='cuda')", {}),
        (PARSED + "    datasets.CIFAR10('d')\n", {}),
    ],
)
def test_the_file_that_init_writes_says_what_plan_reads(here: Path, code: str, sets: dict[str, Any]) -> None:
    (here / "train.py").write_text(code)
    read = load_script("train.py", sets=sets)
    (here / "job.yaml").write_text(render(choose(Path(), script=Path("train.py"))))
    written = load("job.yaml")
    assert read.config.training == written.config.training
    assert read.config.dataset == written.config.dataset
    assert read.config.resources == written.config.resources
    assert read.config.model is not None
    assert written.config.model is not None
    assert read.config.model.model_dump(exclude={"family"}) == written.config.model.model_dump(exclude={"family"})
    assert read.command == written.command


def test_a_script_elsewhere_is_started_in_its_own_folder(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "my train.py").write_text("from sklearn.datasets import load_iris\nload_iris()\n" + FOREST + "RF()\n")
    job = load_script(other / "my train.py")
    assert (other, "python 'my train.py'") == (job.workdir, job.command)


def test_data_that_are_not_there_are_mentioned_in_the_plan(here: Path) -> None:
    (here / "train.py").write_text("import pandas as pd\npd.read_csv('gone.csv')\n" + FOREST + "RF()\n")
    job = load_script("train.py", sets={"dataset.samples": 10, "dataset.columns": 2})
    assert ("gone.csv does not exist: nothing was read from it.",) == job.notes
