"""Other tools' files. Field names and shapes as those projects publish them (read 2026-11); values are made up."""

from __future__ import annotations

import json

import pytest

from dispatcher.domain.job import Import, JobConfig
from dispatcher.errors import JobFileError
from dispatcher.jobfile.importers import imported, read_import
from dispatcher.jobfile.load import load

AXOLOTL = """
base_model: casperhansen/llama-3-70b-fp16
load_in_8bit: false
load_in_4bit: true
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
output_dir: ./outputs/out
adapter: qlora
sequence_len: 512
lora_r: 8
lora_target_modules:
lora_target_linear: true
lora_modules_to_save: [embed_tokens, lm_head]
gradient_accumulation_steps: 4
micro_batch_size: 1
num_epochs: 4
optimizer: adamw_torch
bf16: auto
fp16:
gradient_checkpointing: true
flash_attention: true
deepspeed:
fsdp: [full_shard, auto_wrap]
fsdp_config:
  fsdp_offload_params: true
"""
LLAMA_FACTORY = """
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
quantization_bit: 4
stage: sft
do_train: true
finetuning_type: lora
lora_target: q_proj,v_proj
cutoff_len: 2048
output_dir: saves/out
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
num_train_epochs: 3.0
bf16: true
flash_attn: fa2
"""
SKYPILOT = """
name: Axolotl_Run
resources:
  accelerators: A100:1
  cloud: gcp
  use_spot: True
  disk_size: 200
  image_id: docker:somebody/image
workdir: mistral
num_nodes: 2
file_mounts:
  /notebook: {name: bucket, mode: MOUNT}
setup: pip install -r requirements.txt
run: |
  accelerate launch train.py
envs:
  HF_TOKEN:
  EPOCHS: 3
"""
DSTACK = """
type: task
name: train-trl
python: "3.11"
env:
  - HF_TOKEN
  - EPOCHS=3
commands:
  - pip install trl
  - python train.py
resources:
  gpu: 24GB:2..
  disk: {size: 100GB..}
spot_policy: auto
max_duration: 2h
max_price: 1.5
"""
HF_TRAINER = {
    "model_name_or_path": "google-bert/bert-base-uncased",
    "per_device_train_batch_size": 32,
    "gradient_accumulation_steps": 2,
    "num_train_epochs": 3.0,
    "max_steps": -1,
    "bf16": False,
    "fp16": True,
    "optim": "adamw_bnb_8bit",
    "gradient_checkpointing": False,
    "deepspeed": {"zero_optimization": {"stage": 3}},
    "max_seq_length": 128,
    "output_dir": "out",
    "learning_rate": 2e-5,
}


def parsed(text: str):
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def test_an_axolotl_file():
    assert {
        "model.name": "llama-3-70b-fp16",
        "model.family": "transformer",
        "model.sequence_length": 512,
        "task": "finetune",
        "training.method": "qlora",
        "training.lora_rank": 8,
        "training.lora_targets": "all-linear",
        "training.train_embeddings": True,
        "training.batch_size": 1,
        "training.gradient_accumulation": 4,
        "training.epochs": 4,
        "training.optimizer": "adamw",
        "training.precision": "amp-bf16",
        "training.gradient_checkpointing": True,
        "training.attention": "flash",
        "training.sharding": "fsdp",
        "training.offload": "parameters",
        "dataset.path": "hf://tatsu-lab/alpaca",
        "outputs": ["./outputs/out"],
    } == imported("axolotl", parsed(AXOLOTL)).values


@pytest.mark.parametrize(("adapter", "precision"), [("lora", "bf16"), ("qlora", "amp-bf16"), (None, "amp-bf16")])
def test_axolotl_loads_a_frozen_base_in_the_type_it_computes_in(adapter, precision):
    file = {"base_model": "meta-llama/Llama-3.1-8B", "bf16": True} | ({"adapter": adapter} if adapter else {})

    found = imported("axolotl", file)

    assert precision == found.values["training.precision"]
    assert ("16-bit weights" in " ".join(found.notes)) == (adapter is None)


def test_a_llama_factory_file():
    assert {
        "model.name": "meta-llama-3-8b-instruct",
        "model.family": "transformer",
        "model.sequence_length": 2048,
        "task": "finetune",
        "training.method": "qlora",
        "training.lora_targets": ["q_proj", "v_proj"],
        "training.batch_size": 1,
        "training.gradient_accumulation": 8,
        "training.epochs": 3.0,
        "training.precision": "amp-bf16",
        "training.attention": "flash",
        "training.gradient_checkpointing": True,
        "outputs": ["saves/out"],
    } == imported("llama-factory", parsed(LLAMA_FACTORY)).values


def test_a_skypilot_file():
    found = imported("skypilot", parsed(SKYPILOT))
    assert {
        "name": "axolotl-run",
        "workdir": "mistral",
        "setup": "pip install -r requirements.txt",
        "run": "accelerate launch train.py\n",
        "env": {"EPOCHS": "3"},
        "secrets": ["HF_TOKEN"],
        "resources.gpu": "A100:1",
        "resources.disk": "200GB",
        "spot": True,
        "where": "gcp",
    } == found.values


def test_what_cannot_be_done_is_refused_by_name():
    refused = " ".join(imported("skypilot", parsed(SKYPILOT)).refused)
    assert all(word in refused for word in ("num_nodes", "file_mounts", "image_id"))


def test_a_dstack_file():
    assert {
        "name": "train-trl",
        "run": "pip install trl\npython train.py",
        "env": {"EPOCHS": "3"},
        "secrets": ["HF_TOKEN"],
        "resources.gpu": "24GB:2",
        "resources.disk": "100GB..",
        "spot": "auto",
        "budget.max_hourly": 1.5,
        "budget.max_time": "2h",
    } == imported("dstack", parsed(DSTACK)).values


def test_training_arguments():
    assert {
        "model.name": "bert-base-uncased",
        "model.sequence_length": 128,
        "training.batch_size": 32,
        "training.gradient_accumulation": 2,
        "training.epochs": 3.0,
        "training.precision": "amp-fp16",
        "training.optimizer": "adamw-8bit",
        "training.sharding": "zero3",
        "outputs": ["out"],
    } == imported("hf-trainer", HF_TRAINER).values


def test_steps_outrank_epochs_as_in_the_trainer():
    values = imported("hf-trainer", {**HF_TRAINER, "max_steps": 100}).values
    assert 100 == values["training.steps"]
    assert "training.epochs" not in values


@pytest.mark.parametrize(
    ("name", "stage"), [("configs/zero2.json", "zero2"), ("deepspeed/ds_z3_config.json", "zero3"), ("other.json", None)]
)
def test_a_deepspeed_files_name_tells_its_stage(name, stage):
    assert stage == imported("axolotl", {"deepspeed": name}).values.get("training.sharding")


def test_any_file_is_read_by_a_map():
    found = imported("toml", {"data": {"bs": 16}}, {"training.batch_size": "data.bs", "training.epochs": "data.missing"})
    assert {"training.batch_size": 16} == found.values
    assert {"training.batch_size": "data.bs"} == found.origins


def test_each_value_names_where_it_stood():
    assert "micro_batch_size" == imported("axolotl", parsed(AXOLOTL)).origins["training.batch_size"]


def test_what_was_not_read_is_told():
    assert "learning_rate" in imported("hf-trainer", HF_TRAINER).unread


@pytest.mark.parametrize("suffix", ["json", "yaml", "toml"])
def test_files_are_read_by_their_suffix(tmp_path, suffix):
    text = {"json": json.dumps({"bs": 4}), "yaml": "bs: 4\n", "toml": "bs = 4\n"}[suffix]
    (tmp_path / f"c.{suffix}").write_text(text)
    source = Import.model_validate({"from": suffix, "file": f"c.{suffix}", "map": {"training.batch_size": "bs"}})
    assert {"training.batch_size": 4} == read_import(source, tmp_path).values


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("c.json", b"{", "understood"),
        ("c.yaml", b"a: [", "understood"),
        ("c.yaml", b"\xff\xfe\x00", "understood"),
        ("c.toml", b"=", "understood"),
        ("c.yaml", b"- 1\n", "understood"),
        ("c.yaml", b"a: !!python/object:os.system {}\n", "understood"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    source = Import.model_validate({"from": "axolotl", "file": name})
    with pytest.raises(JobFileError) as caught:
        read_import(source, tmp_path)
    assert name in caught.value.problems[0].message
    assert word in caught.value.problems[0].message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(JobFileError) as caught:
        read_import(Import.model_validate({"from": "axolotl", "file": "none.yaml"}), tmp_path)
    assert "none.yaml cannot be read" in caught.value.problems[0].message


def test_a_huge_file_is_no_configuration(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"a: 1\n" * 300_000)
    with pytest.raises(JobFileError):
        read_import(Import.model_validate({"from": "axolotl", "file": "c.yaml"}), tmp_path)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("A100", "A100"),
        ("A10G,A100:24GB..:2", ["A10G:24GB..:2", "A100:24GB..:2"]),
        ("nvidia:24GB..40GB:1..4", "24GB..40GB:1"),
        ({"name": ["L4", "A10G"], "memory": "24GB", "count": 2}, ["L4:24GB:2", "A10G:24GB:2"]),
        ({"name": "H100", "count": {"min": 4, "max": 8}}, "H100:4"),
        ({"memory": {"min": "16GB"}}, "16GB.."),
        (2, "2"),
    ],
)
def test_dstacks_gpus_are_each_that_will_do(written, meant):
    found = imported("dstack", {"resources": {"gpu": written}}).values["resources.gpu"]
    assert meant == found
    assert JobConfig.model_validate({"run": "x", "resources": {"gpu": found}}).resources.gpu


@pytest.mark.parametrize(
    ("written", "precision"),
    [
        ({"finetuning_type": "lora", "bf16": True}, "bf16"),
        ({"fp16": True}, "fp16"),
        ({"finetuning_type": "full", "bf16": True}, "amp-bf16"),
        ({"finetuning_type": "lora", "quantization_bit": 4, "bf16": True}, "amp-bf16"),
        ({"finetuning_type": "lora"}, None),
    ],
)
def test_llama_factory_loads_a_frozen_base_in_the_type_it_computes_in(written, precision):
    assert precision == imported("llama-factory", written).values.get("training.precision")


def test_what_a_section_holds_beside_what_is_read_is_told():
    data = {"datasets": [{"path": "a", "type": "alpaca"}, {"path": "b"}], "fsdp_config": {"offload_params": True, "x": 1}}
    assert ("datasets.0.type", "datasets.1") == imported("axolotl", data).unread[:2]
    assert {"gpu": "T4", "shm_size": "8GB"}.keys() - {"gpu"} == {
        one.removeprefix("resources.") for one in imported("dstack", {"resources": {"gpu": "T4", "shm_size": "8GB"}}).unread
    }


def _loaded(tmp_path, text: str):
    (tmp_path / "conf.yaml").write_text(text)
    (tmp_path / "j.yaml").write_text("run: axolotl train conf.yaml\nimport: {from: axolotl, file: conf.yaml}\n")
    return load(tmp_path / "j.yaml")


AXOLOTL_LEAST = "base_model: meta-llama/Llama-3.1-8B\nsequence_len: 512\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('micro_batch_size: "two"', "conf.yaml: micro_batch_size: 'two' is not"),
        ("micro_batch_size: -1", "conf.yaml: micro_batch_size: -1 is not"),
        ("num_epochs: -1", "conf.yaml: num_epochs: -1 is not"),
        ("bf16: maybe", "conf.yaml: bf16: 'maybe' is not"),
        ("{bf16: true, fp16: true}", "conf.yaml asks for bf16 and fp16."),
    ],
)
def test_a_value_that_cannot_be_read_is_an_error_with_its_place(tmp_path, line, said):
    lines = line[1:-1].replace(", ", "\n") if line.startswith("{") else line
    with pytest.raises(JobFileError) as caught:
        _loaded(tmp_path, f"{AXOLOTL_LEAST}{lines}\n")
    (problem,) = caught.value.problems
    assert problem.message.startswith(said)


def test_an_optimizer_nobody_knows_is_told_to_be_counted_as_adamw(tmp_path):
    found = _loaded(tmp_path, f"{AXOLOTL_LEAST}micro_batch_size: 1\noptimizer: weird_opt\n")
    assert any("optimizer: 'weird_opt' is no optimizer" in note for note in found.notes)


def test_yes_is_true_and_a_number_in_quotes_is_one_as_the_tools_read_them(tmp_path):
    found = _loaded(
        tmp_path, f'{AXOLOTL_LEAST}micro_batch_size: "2"\nbf16: yes\nmax_steps: -1\nnum_epochs: auto\nadapter: lora\n'
    ).config
    assert ("bf16", 2, None, None) == (
        found.training.precision, found.training.batch_size, found.training.steps, found.training.epochs
    )  # fmt: skip
