"""The JSON Schema says what the loader says, as far as a schema can."""

from __future__ import annotations

import json

import jsonschema
import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.jobfile.keys import every, keys_of
from dispatcher.jobfile.load import from_mapping
from dispatcher.jobfile.reference import reference
from dispatcher.jobfile.schema import schema
from dispatcher.jobfile.yaml import parse
from dispatcher.paths import PACKAGE, templates_dir

CONFIGS = sorted((PACKAGE.parent / "configs").glob("*.yaml"))
VALIDATOR = jsonschema.Draft7Validator(schema())

CONTRACT = """\
name: pets-resnet50
workdir: .
setup: pip install -r requirements.txt
run: python train.py
env: {OMP_NUM_THREADS: "4"}
secrets: [WANDB_API_KEY]
outputs: [runs/, best.pt]
results: s3://my-bucket/pets
checkpoint: {dir: runs/ckpt, every: 10m}
task: train
model: resnet50
dataset:
  path: data/pets
  samples: 50_000
  size: 1.1GB
training:
  method: full
  precision: amp-fp16
  optimizer: sgd-momentum
  batch_size: 64
  gradient_accumulation: 1
  gradient_checkpointing: false
  epochs: 20
resources:
  gpu: [T4, "L4:1", "24GB+"]
  cpus: 4+
  memory: 16GB+
  disk: 100GB
budget: {max_cost: 2.00, max_time: 3h, max_hourly: 1.20, finish_by: "07:30", prefer: cheap}
where: auto
spot: auto
schedule: {at: "01:00", timezone: Europe/Rome}
notify: [desktop]
"""

VALID = [
    {"model": {"family": "transformer", "layers": 2, "hidden": 64, "heads": 4, "mlp": "plain"}},
    {"envs": {"A": 4}}, {"nodes": 1}, {"num_nodes": 1},
    {"resources": {"accelerators": {"A100": 8}}}, {"resources": {"gpu": 0}}, {"resources": {"gpu": "24GB.."}},
    {"resources": {"memory": 16, "cpus": "2..8", "disk": "1TB"}},
    {"training": {"gradient_checkpointing": "selective", "lora_targets": ["a"], "method": "lora"}},
    {"training": {"lora_targets": "all-linear", "method": "qlora"}},
    {"training": {"epochs": 0.5}}, {"dataset": "data/"}, {"dataset": {"rows": 1e6}}, {"spot": True}, {"outputs": "runs/"},
    {"model": {"search": {"candidates": 3, "folds": 5, "jobs": -1}, "library": "sklearn"}},
    {"model": {"factory": "a:b", "input": [3, 224, 224]}},
    {"import": {"from": "json", "file": "a", "map": {"training.epochs": "b"}}},
    {"budget": {"max_time": 3600}}, {"budget": {"finish_by": "2026-11-22 07:30"}}, {"training": None},
]  # fmt: skip

INVALID = [
    {"runn": "x"}, {"resources": {"memroy": "16GB"}}, {"run": 3}, {"run": ""}, {"training": {"batch_size": 0}},
    {"training": {"batch_size": "8"}}, {"training": {"compile": "yes"}}, {"training": {"precision": "fp17"}}, {"nodes": 2},
    {"budget": {"max_time": "2 hrs and a bit"}}, {"budget": {"max_cost": -1}}, {"resources": {"memory": "lots"}},
    {"resources": {"gpu": True}}, {"resources": {"gpu": []}}, {"dataset": {"rows": 3, "samples": 3}}, {"env": {"A": True}},
    {"env": {"a b": "x"}}, {"secrets": ["a b"]}, {"where": "mars"}, {"name": "A B"}, {"checkpoint": {"every": "3m"}},
    {"import": {"file": "a"}}, {"schedule": {"cron": "daily"}}, {"results": "ftp://x"}, {"model": 3}, {"training": []},
    {"import_": {}}, {"notify": ["pigeon"]},
]  # fmt: skip


def test_it_is_a_draft_07_schema_that_editors_accept():
    made = schema()
    jsonschema.Draft7Validator.check_schema(made)
    assert "http://json-schema.org/draft-07/schema#" == made["$schema"]
    assert ("definitions" in made, "$defs" in json.dumps(made)) == (True, False)


@pytest.mark.parametrize("text", [CONTRACT, reference(), *(file.read_text() for file in CONFIGS)], ids=lambda text: text[:30])
def test_every_valid_file_is_valid_under_it(text):
    data = parse(text).data
    assert from_mapping(data).config
    assert [] == [one.message for one in VALIDATOR.iter_errors(data)]


@pytest.mark.parametrize("file", sorted((templates_dir() / "jobs").glob("*.yaml")), ids=lambda file: file.name)
def test_every_template_is_valid_under_it(file):
    assert [] == [one.message for one in VALIDATOR.iter_errors(parse(file.read_bytes()).data)]


@pytest.mark.parametrize("part", VALID, ids=str)
def test_every_form_is_valid_in_both(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("b: 3\n")
    assert from_mapping({"run": "t", **part}).config
    assert [] == [one.message for one in VALIDATOR.iter_errors({"run": "t", **part})]


@pytest.mark.parametrize("part", INVALID, ids=str)
def test_what_is_invalid_is_so_in_both(part):
    from dispatcher.errors import JobFileError

    assert not VALIDATOR.is_valid({"run": "t", **part})
    with pytest.raises(JobFileError):
        from_mapping({"run": "t", **part})


def test_a_job_without_run_is_invalid():
    assert not VALIDATOR.is_valid({})


def test_every_key_is_described():
    assert [] == [".".join(path) for path, key in every(JobConfig) if not key.description]
    assert [] == [key.name for key in keys_of(JobConfig).values() if not key.description]


def test_other_spellings_are_properties_too():
    made = schema()
    assert {"envs", "num_nodes", "import"} <= made["properties"].keys()
    assert {"rows", "samples"} <= made["definitions"]["Dataset"]["properties"].keys()
    assert "accelerators" in made["definitions"]["Resources"]["properties"]
    assert "import_" not in made["properties"]
