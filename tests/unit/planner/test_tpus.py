"""TPUs in plans: offered with their price where they are named, never chosen, and no time is claimed for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher import plan
from dispatcher.catalog.offers import NOT_LAUNCHED

JOB = """
run: python train.py
resources: {{gpu: {gpu}}}
model: {{family: vision, name: resnet50, image_size: 224}}
training: {{batch_size: 8, epochs: 1}}
dataset: {{samples: 100000}}
where: {where}
"""


def planned(tmp_path: Path, gpu: str, where: str):
    job = tmp_path / "job.yaml"
    job.write_text(JOB.format(gpu=gpu, where=where))
    return plan(job)


@pytest.mark.parametrize("where", ["gcp", "gcp/us-central1", "cloud"])
def test_a_tpu_that_is_named_is_offered_with_its_price_and_never_chosen(tmp_path, where):
    made = planned(tmp_path, '"TPU-v5e:4"', where)
    assert {("gcp", "ct5lp-hightpu-4t", False, NOT_LAUNCHED, None)} == {
        (one.offer.where, one.offer.machine, one.offer.usable, one.offer.why_unusable, one.hours) for one in made.candidates
    }
    assert (None, True) == (made.choice, all(one.offer.price_per_hour and one.cost for one in made.candidates))
    assert all("does not run on TPU-v5e unchanged" in one.notes[0] for one in made.candidates)


def test_beside_a_gpu_the_gpu_is_what_the_plan_is_about(tmp_path):
    made = planned(tmp_path, '[L4, "TPU-v6e:1"]', "gcp")
    first, *_ = made.candidates
    assert ("L4", True) == (first.offer.device, made.estimate.gpu_memory is not None)
    assert "TPU-v6e" in {one.offer.device for one in made.candidates}


def test_who_names_no_tpu_is_offered_none(tmp_path):
    assert not any(one.offer.device.startswith("TPU") for one in planned(tmp_path, "24GB+", "gcp").candidates)
