"""What a job file leaves open, from its import, config.json, script and data: order, origins, mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dispatcher.errors import JobFileError, Problem
from dispatcher.jobfile.load import LoadedJob, load

AXOLOTL = """
base_model: meta-llama/Llama-3.1-8B
adapter: qlora
load_in_4bit: true
sequence_len: 2048
lora_r: 32
micro_batch_size: 2
num_epochs: 3
bf16: auto
"""
SCRIPT = """
import argparse, torch
from torch.utils.data import DataLoader
p = argparse.ArgumentParser()
p.add_argument("--batch-size", type=int, default=64)
args = p.parse_args()
DataLoader(d, args.batch_size, shuffle=True)
torch.optim.AdamW(m)
for epoch in range(9):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a script, a configuration of axolotl and a table."""
    (tmp_path / "ax.yaml").write_text(AXOLOTL)
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "table.csv").write_text("a,b,c\n" + "1,2,3\n" * 40)
    return tmp_path


def job(folder: Path, text: str, **sets: str) -> LoadedJob:
    (folder / "job.yaml").write_text(text)
    return load(folder / "job.yaml", sets=sets)


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(JobFileError) as caught:
        job(folder, text)
    return caught.value.problems


def test_an_import_fills_what_is_not_said_and_names_its_file_and_field(folder: Path) -> None:
    found = job(folder, "run: x\nimport: {from: axolotl, file: ax.yaml}\n")
    assert found.config.model is not None
    assert ("meta-llama/Llama-3.1-8B".rpartition("/")[2].lower(), 2048) == (
        found.config.model.name,
        found.config.model.sequence_length,
    )
    assert ("qlora", 32, 2, 3.0) == (
        found.config.training.method,
        found.config.training.lora_rank,
        found.config.training.batch_size,
        found.config.training.epochs,
    )
    assert "import ax.yaml: micro_batch_size" == found.origins["training.batch_size"]


def test_the_job_file_and_its_command_come_before_the_import(folder: Path) -> None:
    text = "run: train --num-epochs 7\nimport: {from: axolotl, file: ax.yaml}\ntraining: {batch_size: 16}\n"
    found = job(folder, text)
    assert (16, 7) == (found.config.training.batch_size, found.config.training.epochs)
    assert ("yaml line 3", "run") == (found.origins["training.batch_size"], found.origins["training.epochs"])


def test_steps_in_the_job_file_leave_the_imports_epochs_out(folder: Path) -> None:
    found = job(folder, "run: x\nimport: {from: axolotl, file: ax.yaml}\ntraining: {steps: 10}\n")
    assert (10, None) == (found.config.training.steps, found.config.training.epochs)


def test_a_model_of_ones_own_leaves_the_imports_name_out(folder: Path) -> None:
    found = job(folder, "run: x\nimport: {from: axolotl, file: ax.yaml}\nmodel: gpt2\n")
    assert found.config.model is not None
    assert ("gpt2", 2048) == (found.config.model.name, found.config.model.sequence_length)


def test_a_wrong_value_in_an_import_is_told_with_its_file_and_name(folder: Path) -> None:
    (folder / "ax.yaml").write_text(AXOLOTL.replace("micro_batch_size: 2", "micro_batch_size: 2.5"))
    (one,) = problems(folder, "run: x\nimport: {from: axolotl, file: ax.yaml}\n")
    assert one.message.startswith("ax.yaml: micro_batch_size: 2.5 is not a whole number")
    assert one.fix


def test_a_task_of_another_tool_brings_its_command_its_place_and_its_variables(folder: Path) -> None:
    (folder / "sky.yaml").write_text(
        "name: A_b\nenvs: {A: 1, B: 2}\nresources: {accelerators: 'A100:1', infra: aws/us-east-1}\n"
        "run: python train.py --batch-size 8\n"
    )
    found = job(folder, "import: {from: skypilot, file: sky.yaml}\nenv: {B: '3'}\n")
    assert "python train.py --batch-size 8" == found.command
    assert "import sky.yaml: run" == found.origins["run"]
    assert ("aws/us-east-1", {"A": "1", "B": "3"}) == (found.config.where, found.config.env)
    assert "training.batch_size" in found.bound
    assert "--batch-size 4" in job(folder, "import: {from: skypilot, file: sky.yaml}\n", **{"training.batch_size": "4"}).command


def test_what_an_import_asks_and_cannot_have_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / "sky.yaml").write_text("num_nodes: 4\nrun: x\nfile_mounts: {/a: s3://b}\n")
    found = problems(folder, "import: {from: skypilot, file: sky.yaml}\n")
    assert ["sky.yaml asks for num_nodes.", "sky.yaml asks for file_mounts."] == [one.message for one in found]
    assert all(one.line == 1 and one.fix for one in found)


def test_a_map_binds_a_setting_to_an_override_in_the_command(folder: Path) -> None:
    (folder / "conf.yaml").write_text("data: {bs: 4}\n")
    text = "run: python main.py\nimport: {from: yaml, file: conf.yaml, map: {training.batch_size: data.bs}}\n"
    plain, changed = job(folder, text), job(folder, text, **{"training.batch_size": "16"})
    assert (4, "python main.py") == (plain.config.training.batch_size, plain.command)
    assert (16, "python main.py data.bs=16") == (changed.config.training.batch_size, changed.command)
    assert "training.batch_size" in plain.bound


@pytest.mark.parametrize(
    ("names", "said", "fix"),
    [
        ("{training.batch_sise: data.bs}", "'training.batch_sise' is no setting.", "Did you mean 'training.batch_size'?"),
        ("{training.batch_size: data.bz}", "conf.yaml has no 'data.bz'.", "Name it as that file does: section.key"),
    ],
)
def test_a_map_that_leads_nowhere_is_told(folder: Path, names: str, said: str, fix: str) -> None:
    (folder / "conf.yaml").write_text("data: {bs: 4}\n")
    (one,) = problems(folder, f"run: x\nimport: {{from: yaml, file: conf.yaml, map: {names}}}\n")
    assert (said, fix) == (one.message, one.fix)


def test_a_printed_configuration_validates_and_is_told_to_be_unread(folder: Path) -> None:
    (note,) = job(folder, "run: x\nimport: {from: yaml, command: python t.py --print}\n").notes
    assert note.startswith("import.command would run your code: nothing was read from it.")


def test_imports_that_are_missing_folders_or_pipes_are_told(folder: Path) -> None:
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    for name, said in (("none.yaml", "No such file"), ("folder.yaml", "is not a file"), ("pipe.yaml", "is not a file")):
        (one,) = problems(folder, f"run: x\nimport: {{from: axolotl, file: {name}}}\n")
        assert said in one.message


def test_a_models_config_fills_its_dimensions_below_what_is_said(folder: Path) -> None:
    shape = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "vocab_size": 99}
    (folder / "config.json").write_text(json.dumps(shape))
    found = job(folder, "run: x\nmodel: {config: config.json, layers: 2}\n")
    assert found.config.model is not None
    assert (2, 64, "gated") == (found.config.model.layers, found.config.model.hidden, found.config.model.mlp)
    assert "config.json: hidden_size" == found.origins["model.hidden"]


def test_a_config_that_cannot_be_read_is_told_at_its_place(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    (one,) = problems(folder, "run: x\nmodel: {config: config.json}\n")
    assert "config.json is not JSON" in one.message
    assert 2 == one.line


def test_the_script_in_the_command_fills_what_the_plan_needs(folder: Path) -> None:
    found = job(folder, "run: python train.py\nmodel: resnet18\ndataset: {samples: 10}\n")
    training = found.config.training
    assert (64, 9, "adamw") == (training.batch_size, training.epochs, training.optimizer)
    assert "read in train.py line 9" == found.origins["training.epochs"]
    assert "the default of --batch-size in train.py line 7" == found.origins["training.batch_size"]


def test_the_script_is_asked_last_and_not_where_the_command_says_it_unreadably(folder: Path) -> None:
    (folder / "conf.yaml").write_text("e: 2\n")
    text = (
        "run: python train.py --batch-size $SIZE\nmodel: resnet18\n"
        "import: {from: yaml, file: conf.yaml, map: {training.epochs: e}}\n"
    )
    training = job(folder, text).config.training
    assert (None, 2) == (training.batch_size, training.epochs)


@pytest.mark.parametrize("run", ["make train.py", "cat train.py", "python -m train", "python $SCRIPT.py", "python gone.py"])
def test_a_command_that_starts_no_script_of_ours_fills_nothing(folder: Path, run: str) -> None:
    assert job(folder, f"run: {run}\nmodel: resnet18\n").config.training.batch_size is None


def test_the_table_fills_its_rows_columns_and_bytes(folder: Path) -> None:
    found = job(folder, "run: x\nmodel: {algorithm: random-forest}\ndataset: table.csv\n")
    assert found.config.dataset is not None
    assert (40, 3, 246) == (found.config.dataset.samples, found.config.dataset.columns, found.config.dataset.size)
    assert "counted in table.csv" == found.origins["dataset.samples"]


def test_what_is_said_of_the_table_is_left_as_it_is(folder: Path) -> None:
    found = job(folder, "run: x\nmodel: {algorithm: random-forest}\ndataset: {path: table.csv, rows: 7, columns: 2}\n")
    assert found.config.dataset is not None
    assert (7, 2) == (found.config.dataset.samples, found.config.dataset.columns)


def test_data_that_cannot_be_looked_at_are_a_note_and_no_error(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    for name, said in (("pipe.csv", "is a pipe"), ("none.csv", "does not exist")):
        note, *_ = job(folder, f"run: x\ndataset: {name}\n").notes
        assert said in note
    assert () == job(folder, "run: x\ndataset: s3://bucket/x.csv\n").notes


def test_files_lie_below_workdir(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "table.csv").rename(folder / "inner" / "table.csv")
    found = job(folder, "run: x\nworkdir: inner\nmodel: {algorithm: random-forest}\ndataset: table.csv\n")
    assert found.config.dataset is not None
    assert 40 == found.config.dataset.samples
