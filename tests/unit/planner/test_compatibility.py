"""What cannot work on a device."""

from __future__ import annotations

import pytest

from dispatcher.domain.job import Training
from dispatcher.planner.compatibility import disappointing, forbidden
from tests.unit.planner.things import device

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
