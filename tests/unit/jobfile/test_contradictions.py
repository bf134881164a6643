"""Settings that are each right and cannot hold together."""

from __future__ import annotations

import pytest

from dispatcher.errors import JobFileError
from dispatcher.jobfile.families import RELEVANT
from dispatcher.jobfile.load import from_mapping


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"training": {"epochs": 3, "steps": 5}}, "training.steps"),
        ({"training": {"steps": 3, "tokens": 5}}, "training.tokens"),
        ({"model": {"heads": 7, "hidden": 100}}, "model.heads"),
        ({"model": {"heads": 8, "kv_heads": 3}}, "model.kv_heads"),
        ({"model": {"experts": 2, "active_experts": 4}}, "model.active_experts"),
        ({"model": {"family": "transformer", "trees": 4}}, "model.trees"),
        ({"model": {"family": "tabular", "layers": 4}}, "model.layers"),
        ({"model": {"family": "vision", "hidden": 4}}, "model.hidden"),
        ({"model": {"layers": 4, "trees": 4}}, "model.trees"),
        ({"model": {"name": "gpt2", "config": "config.json"}}, "model.config"),
        ({"training": {"lora_rank": 8}}, "training.lora_rank"),
        ({"training": {"lora_targets": "all-linear"}}, "training.lora_targets"),
        ({"training": {"train_embeddings": True}}, "training.train_embeddings"),
        ({"training": {"method": "qlora", "precision": "nf4"}}, "training.precision"),
        ({"task": "inference", "training": {"method": "lora"}}, "training.method"),
        ({"model": {"family": "tabular"}, "training": {"method": "lora"}}, "training.method"),
        ({"task": "train", "training": {"precision": "int8"}}, "training.precision"),
        ({"training": {"precision": "nf4", "method": "full"}}, "training.precision"),
        ({"training": {"sharding": "fsdp", "optimizer_in_backward": True}}, "training.optimizer_in_backward"),
        ({"training": {"sharding": "zero1", "offload": "parameters"}}, "training.offload"),
        ({"training": {"sharding": "zero3"}, "resources": {"gpu": 0}}, "training.sharding"),
        ({"training": {"gradient_accumulation": 2, "optimizer_in_backward": True}}, "training.optimizer_in_backward"),
        ({"schedule": {"at": "01:00", "cron": "0 1 * * *"}}, "schedule.cron"),
        ({"schedule": {"timezone": "Europe/Rome"}}, "schedule"),
        ({"import": {"from": "yaml"}}, "import"),
        ({"import": {"from": "yaml", "file": "a", "command": "b"}}, "import"),
        ({"import": {"from": "axolotl", "file": "a", "map": {"a": "b"}}}, "import.map"),
        ({"where": "local", "spot": True}, "spot"),
        ({"where": "ssh:desk", "spot": True}, "spot"),
        ({"outputs": ["/etc"]}, "outputs[0]"),
        ({"outputs": ["a", "../b"]}, "outputs[1]"),
        ({"outputs": ["~/b"]}, "outputs[0]"),
        ({"checkpoint": {"dir": "/tmp/x"}}, "checkpoint.dir"),
        ({"env": {"KEY": "x"}, "secrets": ["A", "KEY"]}, "secrets[1]"),
    ],
)  # fmt: skip
def test_a_contradiction_is_told_at_one_of_its_settings(settings, path):
    with pytest.raises(JobFileError) as caught:
        from_mapping({"run": "t", **settings})
    assert [path] == [one.path for one in caught.value.problems]
    assert all(one.fix for one in caught.value.problems)


@pytest.mark.parametrize(
    "settings",
    [
        {"training": {"epochs": 3}},
        {"model": {"heads": 8, "kv_heads": 2, "hidden": 64}},
        {"model": {"family": "diffusion", "image_size": 64}},
        {"training": {"method": "lora", "lora_rank": 8, "lora_targets": ["q_proj"]}},
        {"training": {"sharding": "zero3", "offload": "parameters"}},
        {"schedule": {"cron": "0 1 * * *"}},
        {"import": {"from": "yaml", "file": "a", "map": {"training.epochs": "b"}}},
        {"outputs": ["runs/**/*.pt", "a..b"]},
        {"task": "inference", "training": {"precision": "int8"}},
    ],
)
def test_what_fits_together_is_accepted(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_text("b: 3\n")
    assert from_mapping({"run": "t", **settings}).config.run == "t"


def test_contradictions_are_told_beside_wrong_values():
    with pytest.raises(JobFileError) as caught:
        from_mapping({"run": "t", "name": "A", "outputs": [3], "training": {"epochs": 3, "steps": 5, "workers": -1}})
    assert {"name", "outputs[0]", "training.steps", "training.workers"} == {one.path for one in caught.value.problems}


def test_every_key_of_a_model_matters_to_some_family():
    from dispatcher.domain.job import Model

    assert set(Model.model_fields) - {"family", "name"} == set().union(*RELEVANT.values())
