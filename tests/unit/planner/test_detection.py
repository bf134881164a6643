"""Detectors as work: what grows with the image, what with proposals, and what with anchors."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.catalog.networks import find_network
from dispatcher.domain.hardware import Accelerator, Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.planner.duration import step_time
from dispatcher.planner.memory import device_memory
from dispatcher.planner.workload import detection, infer_family

CPU = Cpu("Xeon E5-2698 v4", "Intel", "Broadwell", "server", 40, 80, 2800.0, 150.0)
V100 = Accelerator(
    "V100", "NVIDIA", "Volta", "datacenter", 16, 900, 15.7, 0.0, 125, compute_capability=7.0, tdp_w=300, year=2017
)
EIGHT = Device("cuda", CPU, 40.0, 512.0, V100, 8, 16.0)
# Peak GiB and seconds per iteration of eight V100 with two images each, fp32, SGD with momentum: detectron2 MODEL_ZOO.md, 2020
PUBLISHED = [
    ("fasterrcnn_resnet50_fpn", 3.0, 0.210),
    ("retinanet_resnet50_fpn", 4.1, 0.205),
    ("maskrcnn_resnet50_fpn", 3.4, 0.261),
    ("keypointrcnn_resnet50_fpn", 5.0, 0.315),
]


def job(name: str, size: int = 1032, **training: Any) -> JobConfig:
    settings = {"batch_size": 2, "precision": "fp32", "optimizer": "sgd-momentum", **training}
    return JobConfig.model_validate({"run": "true", "model": {"name": name, "image_size": size}, "training": settings})


def work(name: str, size: int = 1032, *, for_time: bool = False, **training: Any) -> Workload:
    return detection.build(job(name, size, **training), EIGHT, for_time=for_time)


def kept(of: Workload, word: str) -> float:
    return sum(b.repeats * b.saved_bytes for b in of.blocks if word in b.name)


def last(of: Workload) -> Block:
    return of.blocks[-1]


@pytest.mark.parametrize(("name", "gib", "_"), PUBLISHED)
def test_published_peaks_are_met_within_a_quarter(name: str, gib: float, _: float) -> None:
    terms = device_memory(work(name), EIGHT).terms
    assert terms is not None
    allocated = sum(amount for term, amount in terms.items() if term not in ("reserve", "context"))
    assert allocated == pytest.approx(gib, rel=0.25)


@pytest.mark.parametrize(("name", "_", "seconds"), PUBLISHED)
def test_published_step_times_are_met_within_a_quarter(name: str, _: float, seconds: float) -> None:
    assert step_time(work(name, 924, for_time=True), EIGHT).seconds.likely == pytest.approx(seconds, rel=0.25)


def test_a_detector_is_known_by_its_name_alone() -> None:
    assert infer_family(job("fasterrcnn_resnet50_fpn")) == "detection"


def test_features_grow_with_the_image_and_heads_do_not() -> None:
    small, large = work("maskrcnn_resnet50_fpn", 512), work("maskrcnn_resnet50_fpn", 1024)
    assert kept(large, "features") == pytest.approx(4 * kept(small, "features"))
    for head in ("boxes", "masks"):
        assert kept(large, head) == pytest.approx(kept(small, head))
        assert kept(small, head) > 0


def test_a_loss_over_every_anchor_weighs_more_than_one_over_proposals() -> None:
    assert last(work("retinanet_resnet50_fpn")).saved_bytes > 5 * last(work("fasterrcnn_resnet50_fpn")).saved_bytes


def test_more_images_launch_more_kernels() -> None:
    one, two = (last(work("fasterrcnn_resnet50_fpn", batch_size=n)).kernels for n in (1, 2))
    assert two - one == detection.TWO_STAGES.kernels_each


def test_time_counts_matched_proposals_and_the_peak_all_of_them() -> None:
    peak, time = (work("maskrcnn_resnet50_fpn", for_time=t) for t in (False, True))
    flops = [sum(b.repeats * b.forward_flops for b in w.blocks if "masks" in b.name) for w in (peak, time)]
    assert 0 < flops[1] < 0.7 * flops[0]


def test_the_stem_and_first_stage_are_not_trained() -> None:
    found = work("fasterrcnn_resnet50_fpn")
    assert found.parameters - found.trainable == pytest.approx(222_400, rel=0.05)


def test_a_small_detector_needs_less_than_a_large_one() -> None:
    small, large = (device_memory(work(n, 320), EIGHT).range.likely for n in ("ssdlite320_mobilenet_v3_large", "ssd300_vgg16"))
    assert small < large


@pytest.mark.parametrize(
    ("name", "millions", "gflops"), [("yolov8n", 3.2, 8.7), ("yolov8x", 68.2, 257.8), ("yolo11m", 20.1, 68.0)]
)
def test_counts_agree_with_those_ultralytics_publishes(name: str, millions: float, gflops: float) -> None:
    # docs.ultralytics.com, models at 640 pixels, 2025
    found = find_network(name)
    assert found is not None
    assert found.parameters / 1e6 == pytest.approx(millions, abs=0.06)
    assert 2 * found.gmacs == pytest.approx(gflops, rel=0.05)
