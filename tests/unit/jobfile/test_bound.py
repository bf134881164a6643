"""Which settings a command takes, and with which values."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.jobfile.bound import OPTIMIZERS, PRECISIONS, SPELLINGS, SWITCHES, agree, bound, literals, rewritten
from dispatcher.jobfile.keys import find


def values(command):
    return {setting: some[0].value for setting, some in literals(command).items()}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python t.py --batch-size 32", {"training.batch_size": 32}),
        ("python t.py --batch_size=32", {"training.batch_size": 32}),
        ("python t.py -b 32", {"training.batch_size": 32}),
        ("python t.py --bs 32", {"training.batch_size": 32}),
        ("python t.py --per_device_train_batch_size 8", {"training.batch_size": 8}),
        ("python t.py training.batch_size=32", {"training.batch_size": 32}),
        ("python t.py batch_size=32", {"training.batch_size": 32}),
        ("python t.py +trainer.max_epochs=3 data.batch_size=4", {"training.epochs": 3, "training.batch_size": 4}),
        ("python t.py --num_train_epochs 2.5", {"training.epochs": 2.5}),
        ("python t.py --max_steps 1e3", {"training.steps": 1000}),
        ("python t.py --grad-accum 4", {"training.gradient_accumulation": 4}),
        ("python t.py --precision bf16-mixed", {"training.precision": "amp-bf16"}),
        ("python t.py --optim adamw_torch", {"training.optimizer": "adamw"}),
        ("python t.py --bf16", {"training.precision": "amp-bf16"}),
        ("python t.py --bf16 True --fp16 False", {"training.precision": "amp-bf16"}),
        ("python t.py --fp16=true", {"training.precision": "amp-fp16"}),
        ("python t.py --gradient_checkpointing --epochs 3", {"training.gradient_checkpointing": True, "training.epochs": 3}),
        ("cd x && python t.py --epochs '3'", {"training.epochs": 3}),
        ("python a.py --epochs 3; python b.py --epochs 3", {"training.epochs": 3}),
        ("yolo train epochs=3 imgsz=640", {"training.epochs": 3, "model.image_size": 640}),
        ("python t.py --lr 1e-4 --learning-rate 3 --seed 7", {}),
        ("python t.py --max_steps -1", {}),
        ("python t.py --batch-size auto", {}),
        ("python t.py --batch-size $BS", {}),
        ("python t.py --batch-size", {}),
        ("python t.py --batch-size 0", {}),
        ("python t.py --batch-size 2.5", {}),
        ("python t.py --precision magic --optimizer magic", {}),
        ("python t.py eval.batch_size=8", {}),
        ("python t.py --b 8 -epochs 3", {}),
        ("python a.py --epochs 3; python b.py --epochs 5", {}),
        ("epochs=3 python t.py", {}),
        ("python t.py # --epochs 3", {}),
        ("python t.py 'x --epochs 3'", {}),
        ("python t.py --epochs | head", {}),
        ("", {}),
    ],
)
def test_settings_are_read_from_flags_and_pairs(command, expected):
    assert expected == values(command)


def test_what_can_be_changed_is_bound_and_a_switch_is_not():
    assert {"training.batch_size", "training.epochs"} == bound("t --bs 3 --bf16 --epochs ${training.epochs} --lr ${x}")


def test_a_changed_literal_is_replaced_where_it_stands():
    command = "python a.py --bs 3 'epochs=2' --batch_size=3 # --bs 3"
    assert "python a.py --bs 64 epochs=5 --batch_size=64 # --bs 3" == rewritten(
        command, {"training.batch_size": "64", "training.epochs": "5"}, str
    )


def test_a_reference_is_replaced_and_the_shells_own_is_left():
    assert 'x 7 ${HOME} "a\\$b"' == rewritten('x ${a.b} ${HOME} "${c.d}"', {}, {"a.b": "7", "c.d": "a$b"}.__getitem__)


@pytest.mark.parametrize(
    ("stated", "literal", "same"),
    [
        (32, 32, True), (32, 32.0, True), (32, 64, False), ("adamw", "adamw", True), ("adamw", "sgd", False),
        ("bf16", "amp-bf16", True), ("amp", "amp-bf16", True), ("amp-fp16", "amp-bf16", False), ("fp32", "amp", False),
        ("selective", True, True), (False, True, False), (True, True, True), (1, True, False),
    ],
)  # fmt: skip
def test_a_files_value_and_a_commands_value_agree(stated, literal, same):
    assert same == agree(stated, literal)


@pytest.mark.parametrize("setting", [*SPELLINGS, *(setting for setting, _ in SWITCHES.values())])
def test_every_setting_of_the_tables_exists(setting):
    assert find(JobConfig, setting)


def test_no_flag_means_two_settings():
    names = [name for some in SPELLINGS.values() for name in some]
    assert sorted(set(names)) == sorted(names)


def test_translations_lead_to_values_that_exist():
    assert set(PRECISIONS.values()) <= set(find(JobConfig, "training.precision").form.schema["enum"])
    assert set(OPTIMIZERS.values()) <= set(find(JobConfig, "training.optimizer").form.schema["enum"])
