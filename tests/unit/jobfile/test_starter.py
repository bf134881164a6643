"""Job files written for what stands in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.errors import JobFileError, UsageError
from dispatcher.jobfile.load import LoadedJob, load
from dispatcher.jobfile.starter import Starter, choose, from_template, render, templates
from dispatcher.jobfile.survey import beside

HUGGING_FACE = """
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
MODEL = "gpt2-medium"
model = AutoModelForCausalLM.from_pretrained(MODEL)
lengths = dict(per_device_train_batch_size=4, num_train_epochs=3)
arguments = TrainingArguments("runs/ft", **lengths, bf16=True, gradient_checkpointing=True)
"""
TORCHVISION = """
import argparse, torch
from torchvision.models import resnet50
parser = argparse.ArgumentParser()
parser.add_argument("-b", "--batch-size", type=int, default=64)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--image-size", type=int)
network = resnet50()
"""
FOREST = """
import pandas
from sklearn.ensemble import RandomForestClassifier
table = pandas.read_csv("data/people.csv")
RandomForestClassifier(n_estimators=250, max_depth=12).fit(table, table)
open("forest.joblib", "wb")
"""
OWN = "import torch\nfrom torch.nn.functional import scaled_dot_product_attention\nGPT(n_layer=6, n_embd=384, dim=1)\n"


def written(folder: Path, starter: Starter | None = None) -> tuple[str, LoadedJob]:
    """The rendered file, and what the loader makes of it."""
    text = render(starter or choose(folder))
    (folder / "job.yaml").write_text(text)
    return text, load(folder / "job.yaml")


@pytest.mark.parametrize("kind", ["gpt", "script", "tabular", "transformer", "vision"])
def test_a_template_for_an_empty_folder_loads_and_asks_what_it_does_not_know(tmp_path: Path, kind: str) -> None:
    assert kind in templates()
    text, job = written(tmp_path, from_template(kind, tmp_path))
    assert job.command == "python train.py"
    assert "CHANGE THIS" in text
    assert "#   path:" in text


@pytest.mark.parametrize("kind", templates())
def test_a_template_as_it_is_written_loads_but_for_its_two_lengths(tmp_path: Path, kind: str) -> None:
    text = from_template(kind, tmp_path).template.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("  steps:")]
    (tmp_path / "job.yaml").write_text("\n".join(lines))
    assert load(tmp_path / "job.yaml").config.run == "python train.py"


def test_a_kind_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="poetry") as refused:
        from_template("poetry", tmp_path)
    assert "tabular" in refused.value.fix


def test_a_trainer_script_becomes_a_fine_tuning_job(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(HUGGING_FACE)
    (tmp_path / "requirements.txt").write_text("transformers\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lines.jsonl").write_text('{"text": "something to learn"}\n' * 40)
    text, job = written(tmp_path)
    assert choose(tmp_path).kind == "transformer"
    assert job.config.model is not None
    assert job.config.model.name == "gpt2-medium"
    assert job.config.setup == "pip install -r requirements.txt"
    assert (job.config.training.batch_size, job.config.training.epochs) == (4, 3)
    assert job.config.training.precision == "amp-bf16"
    assert job.config.training.gradient_checkpointing is True
    assert job.config.outputs == ("runs/",)
    assert "read in train.py" in text


def test_flags_of_the_script_are_bound_and_a_flag_without_default_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(TORCHVISION)
    text, job = written(tmp_path)
    assert job.command == "python main.py --batch-size 64 --epochs 20"
    assert {"training.batch_size", "training.epochs"} <= set(job.bound)
    assert "#   image_size:" in text
    assert job.config.model is not None
    assert job.config.model.name == "resnet50"


def test_a_job_has_epochs_or_steps_but_never_both(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TORCHVISION)
    _, job = written(tmp_path)
    assert (job.config.training.epochs, job.config.training.steps) == (20, None)


def test_the_table_that_the_script_names_is_counted(tmp_path: Path) -> None:
    (tmp_path / "fit_people.py").write_text(FOREST)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "people.csv").write_text("age,height,weight\n" + "30,180,75\n" * 500)
    (tmp_path / "data" / "larger.csv").write_text("a,b\n" + "1,2\n" * 9000)
    _, job = written(tmp_path)
    model, dataset = job.config.model, job.config.dataset
    assert model is not None
    assert dataset is not None
    assert (model.library, model.algorithm, model.trees, model.depth) == ("sklearn", "RandomForestClassifier", 250, 12)
    assert (dataset.path, dataset.samples, dataset.columns) == ("data/people.csv", 500, 3)
    assert job.config.outputs == ("forest.joblib",)


def test_a_network_of_ones_own_is_described_by_its_shape(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(OWN)
    text, job = written(tmp_path)
    assert job.config.model is not None
    assert (job.config.model.layers, job.config.model.hidden, job.config.model.heads) == (6, 384, None)
    assert "#   heads:" in text


def test_a_folder_of_images_is_counted_and_its_folder_named(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(15):
            (tmp_path / "photos" / label / f"{number}.jpg").write_bytes(b"x" * 1000)
    _, job = written(tmp_path)
    assert choose(tmp_path).kind == "vision"
    assert job.config.dataset is not None
    assert (job.config.dataset.path, job.config.dataset.samples, job.config.dataset.size) == ("photos", 30, 30_000)


def test_environments_hidden_folders_results_and_links_are_not_taken_for_data(tmp_path: Path) -> None:
    for folder in ("venv", ".cache", "runs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "table.csv").write_text("a,b\n" + "1,2\n" * 100)
    (tmp_path / "link.csv").symlink_to(tmp_path / "runs" / "table.csv")
    assert choose(tmp_path).survey.data is None


@pytest.mark.parametrize("name", ["my train.py", "it's.py", "a;b.py", 'say "hi".py', "#1.py", "train: x.py", "ünï.py"])
def test_a_script_with_an_odd_name_is_one_word_of_the_command(tmp_path: Path, name: str) -> None:
    import shlex

    (tmp_path / name).write_text("print('here')\n")
    _, job = written(tmp_path)
    assert shlex.split(job.command) == ["python", name]


@pytest.mark.parametrize("name", ["odd name.csv", "a: b.csv", "#.csv", "123.csv", "{x}.csv", "- y.csv", "true.csv"])
def test_data_with_an_odd_name_keep_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n" + "1,2\n" * 100)
    _, job = written(tmp_path)
    assert job.config.dataset is not None
    assert job.config.dataset.path == name


def test_a_name_with_a_newline_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "two\nlines.py").write_text("print(1)\n")
    assert choose(tmp_path).survey.script is None


@pytest.mark.parametrize("content", [b"def broken(:\n", b"\x00\x01", b"(" * 5000, b"\xff\xfe"])
def test_a_script_that_is_not_python_still_becomes_a_job(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.py").write_bytes(content)
    _, job = written(tmp_path)
    assert job.command == "python train.py"
    assert choose(tmp_path).kind == "script"


def test_of_two_scripts_the_one_that_is_a_program_is_taken_and_of_two_programs_none(tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text("x = 1\n")
    (tmp_path / "learn.py").write_text('if __name__ == "__main__":\n    pass\n')
    assert choose(tmp_path).survey.script == "learn.py"
    (tmp_path / "again.py").write_text('if __name__ == "__main__":\n    pass\n')
    assert choose(tmp_path).survey.script is None


def test_a_shell_script_is_run_by_bash(tmp_path: Path) -> None:
    (tmp_path / "train.sh").write_text("true\n")
    _, job = written(tmp_path)
    assert job.command == "bash train.sh"


@pytest.mark.parametrize("folder", ["Pets & Cats", "-x-", "été", "a" * 80])
def test_the_job_is_named_for_the_folder_in_legal_letters(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    _, job = written(tmp_path / folder)
    assert job.name.strip("-") == job.name
    assert 1 <= len(job.name) <= 39


def test_the_script_asked_for_is_taken_and_named_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("x = 1\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "boost.py").write_text("import lightgbm\nlightgbm.LGBMRegressor(num_leaves=15)\n")
    monkeypatch.chdir(tmp_path)
    _, job = written(tmp_path, choose(Path(), script=Path("jobs/boost.py")))
    assert job.command == "python jobs/boost.py"
    assert job.config.model is not None
    assert (job.config.model.library, job.config.model.leaves) == ("lightgbm", 15)


def test_a_notebook_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "book.ipynb").write_text("{}")
    with pytest.raises(JobFileError) as refused:
        choose(tmp_path, script=tmp_path / "book.ipynb")
    assert "nbconvert" in refused.value.problems[0].fix


def test_a_folder_of_arrays_alone_is_seen(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_text('{"a": 1}\n' * 100)
    found = render(choose(tmp_path))
    assert "path: data/x.jsonl" in found
    assert "samples: 100" in found


def test_the_target_is_said_to_be_among_the_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n" + "1,2,0\n" * 100)
    assert "columns: 3" in (found := render(choose(tmp_path)))
    assert "the target among them" in found


def test_data_that_only_lie_beside_the_script_stay_a_comment(tmp_path: Path) -> None:
    (tmp_path / "neighbour.csv").write_text("a,b,c\n" + "1,2,3\n" * 100)
    (tmp_path / "train.py").write_text("import torchvision\nfrom torchvision.models import resnet50\nresnet50()\n")
    text, job = written(tmp_path)
    assert job.config.dataset is None or job.config.dataset.path is None
    assert "does the script read it?" in next(line for line in text.splitlines() if "neighbour.csv" in line)
    assert all(line.startswith("#") for line in text.splitlines() if "neighbour" in line)


def test_data_that_the_script_names_are_filled_in(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b,c\n" + "1,2,3\n" * 100)
    (tmp_path / "train.py").write_text("import torchvision\nload('mine.csv')\ntorchvision.models.resnet50()\n")
    _, job = written(tmp_path)
    assert job.config.dataset is not None
    assert job.config.dataset.path == "mine.csv"


@pytest.mark.parametrize("content", [b"def (\n", bytes(range(256)) * 20])
def test_what_is_no_python_is_refused_when_it_is_asked_for(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "e.py").write_bytes(content)
    with pytest.raises(JobFileError):
        choose(tmp_path, script=tmp_path / "e.py")


def test_other_scripts_of_a_folder_are_named(tmp_path: Path) -> None:
    for name, text in {"train.py": "", "fit.py": "", "tool.py": "if __name__ == '__main__': pass", "lib.py": "x = 1"}.items():
        (tmp_path / name).write_text(text)
    assert ("fit.py", "tool.py") == beside(tmp_path, "train.py")
    assert 4 == len(beside(tmp_path, None))


def test_a_folder_of_data_that_nothing_is_known_of_is_named_in_place_of_an_example(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "train.py").write_text("import sys\n")
    text, job = written(tmp_path)
    assert "#   path: data  " in text
    assert "input.csv" not in text
    assert job.config.dataset is None
