"""What cannot work on a device."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import Training
from dispatcher.domain.plan import Tariff
from dispatcher.planner.assess import assess
from dispatcher.planner.candidates import Terms
from dispatcher.planner.compatibility import disappointing, forbidden
from dispatcher.planner.phases import Transfers
from dispatcher.planner.suggest import ideas
from tests.unit.planner.things import device, job, offer

TURING, AMPERE, ADA = 7.5, 8.6, 8.9


@pytest.mark.parametrize(
    ("settings", "capability", "word"),
    [
        ({"precision": "bf16"}, TURING, "bf16"),
        ({"precision": "amp-bf16"}, TURING, "amp-fp16"),
        ({"precision": "fp8"}, AMPERE, "fp8"),
        ({"attention": "flash"}, TURING, "FlashAttention"),
        ({"method": "qlora"}, 5.2, "bitsandbytes"),
    ],
)
def test_an_older_gpu_is_told_apart_by_its_compute_capability(settings, capability, word):
    (reason,) = forbidden(Training.model_validate(settings), device(compute_capability=capability))
    assert word in reason
    assert "T4" in reason


@pytest.mark.parametrize(
    ("settings", "capability"),
    [
        ({"precision": "bf16"}, AMPERE),
        ({"precision": "fp8"}, ADA),
        ({"attention": "flash"}, AMPERE),
        ({"precision": "amp"}, TURING),
    ],
)
def test_a_newer_gpu_runs_it(settings, capability):
    assert () == forbidden(Training.model_validate(settings), device(compute_capability=capability))


@pytest.mark.parametrize("settings", [{"method": "qlora"}, {"optimizer": "adamw-8bit"}, {"optimizer": "paged-adamw-8bit"}])
def test_bitsandbytes_does_not_run_on_apple_gpus(settings):
    assert "bitsandbytes" in forbidden(Training.model_validate(settings), device("mps"))[0]


def test_compute_capability_is_no_matter_of_other_makers():
    assert () == forbidden(Training(precision="amp-bf16"), device("rocm", compute_capability=0.0))


def test_what_works_but_not_as_written_is_a_warning():
    warnings = disappointing(Training(precision="tf32"), device(compute_capability=TURING))
    assert ("T4 has no TF32: the job runs in fp32.",) == warnings


def test_an_architecture_that_newer_wheels_dropped_is_told():
    assert "CUDA 13" in disappointing(Training(), device(compute_capability=7.0))[0]


def test_half_precision_on_a_cpu_is_told_and_costs_its_time():
    assert any("emulated" in one for one in disappointing(Training(precision="amp-fp16"), device("cpu")))
    model = {"family": "transformer", "layers": 2, "hidden": 256, "heads": 4, "vocab": 1000, "sequence_length": 128}
    seconds = {}
    for precision in ("fp32", "amp-fp16"):
        training = {"batch_size": 4, "steps": 10, "precision": precision}
        seconds[precision] = assess(job(model=model, training=training), device("cpu")).run.likely
    assert seconds["amp-fp16"] > 3 * seconds["fp32"]


def test_qlora_that_computes_in_fp32_takes_the_memory_and_the_time_of_fp32():
    model = {"family": "transformer", "layers": 8, "hidden": 1024, "heads": 8, "vocab": 32000, "sequence_length": 512}
    found = {}
    for precision in ("fp32", "bf16"):
        training = {"method": "qlora", "batch_size": 4, "steps": 10, "precision": precision}
        found[precision] = assess(job(model=model, training=training), device("cuda", compute_capability=AMPERE))
    assert found["fp32"].gpu.range.likely > found["bf16"].gpu.range.likely
    assert found["fp32"].run.likely > 1.3 * found["bf16"].run.likely
    assert any("QLoRA computes in fp32" in one for one in found["fp32"].warnings)


def test_a_precision_that_a_gpu_lacks_is_answered_with_one_that_it_has():
    model = {"family": "transformer", "layers": 2, "hidden": 256, "heads": 4, "vocab": 1000, "sequence_length": 128}
    wanted = job(model=model, training={"batch_size": 4, "steps": 10, "precision": "bf16"})
    old = device("cuda", compute_capability=TURING)
    terms = Terms(lambda _where, _region: Tariff(), Transfers())
    (first, *_) = ideas(wanted, (old, offer()), terms, frozenset())
    assert {"training.precision": "amp-fp16"} == first.suggestion.change


def test_adapters_on_an_int8_base_are_told_to_be_slow_and_their_range_holds_it():
    model = {"family": "transformer", "layers": 8, "hidden": 1024, "heads": 8, "vocab": 32000, "sequence_length": 512}
    training = {"method": "lora", "batch_size": 4, "steps": 10, "precision": "int8"}
    found = assess(job(model=model, training=training), device("cuda", compute_capability=AMPERE))
    assert found.run.high >= 4 * found.run.likely
    assert any("int8 base" in one for one in found.warnings)


def test_checkpoints_take_their_time_by_size_and_frequency():
    model = {"family": "custom", "parameters": 1e9, "flops_per_sample": 1e12, "activation_bytes_per_sample": 1e6}
    training = {"batch_size": 4, "steps": 10_000, "precision": "bf16", "optimizer": "adamw"}
    plain, seldom, often = (
        assess(job(model=model, training=training, checkpoint=saves), device("cuda", compute_capability=AMPERE)).run.likely
        for saves in (None, {"dir": "ck", "every": "60m"}, {"dir": "ck", "every": "1m"})
    )
    assert plain < seldom < 1.05 * plain
    assert 1.2 * plain < often


def test_validation_takes_a_forward_pass_of_its_samples_after_every_epoch():
    model = {"family": "transformer", "layers": 8, "hidden": 1024, "heads": 8, "vocab": 32000, "sequence_length": 512}
    training = {"batch_size": 4, "epochs": 3, "precision": "bf16", "optimizer": "sgd"}
    on, seconds, lines = device("cuda", compute_capability=AMPERE), {}, {}
    for looked in (None, 500, 1000):
        data = {"samples": 1000} | ({"validation": looked} if looked else {})
        found = assess(job(model=model, dataset=data, training=training), on, explained=True)
        seconds[looked], lines[looked] = found.run.likely, " ".join(found.explain)
    half, whole = (seconds[looked] - seconds[None] for looked in (500, 1000))
    assert whole == pytest.approx(2 * half)
    assert 0.2 < whole / seconds[None] < 0.5
    assert "validation" in lines[1000]
    assert "validation" not in lines[None]


def test_a_gpu_that_no_wheel_runs_on_is_no_place_to_train():
    (why,) = forbidden(job(model="resnet50").training, device(compute_capability=3.7))
    assert "dropped it" in why
