"""Files of other tools, given as if they were job files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.load import load

AXOLOTL = """base_model: meta-llama/Llama-3.1-8B
adapter: qlora
load_in_4bit: true
sequence_len: 2048
sample_packing: true
micro_batch_size: 2
num_epochs: 3
val_set_size: 0.05
"""
FILES = {
    "axolotl": AXOLOTL,
    "llama-factory": "model_name_or_path: m\nfinetuning_type: lora\ncutoff_len: 1024\nstage: sft\n",
    "hf-trainer": "per_device_train_batch_size: 8\nnum_train_epochs: 3\noutput_dir: out\n",
    "skypilot": "resources: {accelerators: A100:8, use_spot: true}\nnum_nodes: 2\nrun: python t.py\n",
    "dstack": "type: task\ncommands: [python t.py]\nspot_policy: auto\n",
}


@pytest.mark.parametrize("form", FILES)
def test_a_file_of_another_tool_is_named_with_the_job_file_that_reads_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "theirs.yaml").write_text(FILES[form])
    with pytest.raises(JobFileError) as caught:
        load(tmp_path / "theirs.yaml")
    (problem,) = caught.value.problems
    assert f"reads like a file of {form}" in problem.message
    assert f"import: {{from: {form}, file: theirs.yaml}}" in caught.value.fix


def test_a_models_own_configuration_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32}')
    with pytest.raises(JobFileError) as caught:
        load(tmp_path / "config.json")
    assert "model: {config: config.json" in caught.value.fix


def test_one_foreign_name_in_a_job_file_is_a_problem_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("run: python t.py\nnum_nodes: 2\n")
    with pytest.raises(JobFileError, match="1 problem") as caught:
        load(tmp_path / "job.yaml")
    assert "one machine" in caught.value.problems[0].message


def test_what_an_import_read_and_passed_over_is_told_and_packing_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "axolotl.yaml").write_text(AXOLOTL)
    (tmp_path / "job.yaml").write_text("run: axolotl train axolotl.yaml\nimport: {from: axolotl, file: axolotl.yaml}\n")
    read, packed = load(tmp_path / "job.yaml").notes[:2]
    assert "training.batch_size 2" in read
    assert read.endswith("Not read: sample_packing, val_set_size.")
    assert packed.startswith("axolotl.yaml: sample_packing puts several samples into each sequence")
