"""Networks for images as work: memory, arithmetic and traffic follow from the counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dispatcher.domain.hardware import Accelerator, Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.duration import step_time
from dispatcher.planner.memory import device_memory
from dispatcher.planner.workload import vision, workload

CPU = Cpu("EPYC", "AMD", "Zen 2", "server", 8, 16, 800.0, 100.0)
GPU = Accelerator(
    "RTX 3090", "NVIDIA", "Ampere", "desktop", 24, 936, 35.6, 35.6, 71, 71, compute_capability=8.6, tdp_w=350, year=2020
)
DEVICE = Device("cuda", CPU, 8.0, 64.0, GPU, 1, 24.0)
HOST = Device("cpu", CPU, 8.0, 64.0)


def job(name: str = "resnet50", *, task: str = "train", **training: Any) -> JobConfig:
    size = training.pop("image_size", None)
    model = {"family": "vision", "name": name} | ({"image_size": size} if size else {})
    settings = {"batch_size": 64, "precision": "amp", "optimizer": "sgd-momentum", **training}
    return JobConfig.model_validate({"run": "true", "task": task, "model": model, "training": settings})


def work(name: str = "resnet50", device: Device = DEVICE, **settings: Any) -> Workload:
    return vision.build(job(name, **settings), device)


def total(of: Workload, attribute: str) -> float:
    return sum(b.repeats * getattr(b, attribute) for b in of.blocks)


def test_a_resnet50_keeps_what_its_convolutions_and_norms_put_out() -> None:
    # 11.1 million convolution outputs in 16 bit, and as many after their batch norms (in-place ReLUs keep nothing more)
    assert total(work(), "saved_bytes") == pytest.approx(2 * 2 * 11.11e6, rel=0.05)


def test_fp32_keeps_twice_what_autocast_keeps_in_a_convolutional_network() -> None:
    assert total(work(precision="fp32"), "saved_bytes") == pytest.approx(2 * total(work(), "saved_bytes"), rel=0.05)


def test_parameters_are_all_there_and_all_trained() -> None:
    found = work()
    assert found.parameters == pytest.approx(25_557_032)
    assert found.trainable == pytest.approx(25_557_032)


def test_training_costs_three_forward_passes() -> None:
    found = work("vit_base_patch16_224")
    assert total(found, "forward_flops") == pytest.approx(2 * 17.56e9, rel=0.01)
    assert total(found, "backward_flops") == pytest.approx(2 * total(found, "forward_flops"), rel=0.03)


def test_a_convolutional_network_grows_with_the_area() -> None:
    small, large = work(image_size=224), work(image_size=448)
    for attribute in ("saved_bytes", "forward_flops", "moved_bytes"):
        assert total(large, attribute) == pytest.approx(4 * total(small, attribute), rel=0.01)


def test_global_attention_grows_with_the_square_of_the_tokens() -> None:
    small, large = work("vit_base_patch16_224", image_size=224), work("vit_base_patch16_224", image_size=448)
    assert total(large, "attention_flops") == pytest.approx(16 * total(small, "attention_flops"))


def test_eager_attention_keeps_its_matrices() -> None:
    fused, eager = work("vit_base_patch16_224"), work("vit_base_patch16_224", attention="eager")
    scores = 12 * 12 * 197 * 197
    assert total(eager, "saved_bytes") - total(fused, "saved_bytes") == pytest.approx(6 * scores, rel=0.01)
    assert total(eager, "moved_bytes") > total(fused, "moved_bytes")


def test_inference_keeps_nothing_and_trains_nothing() -> None:
    found = work(task="inference")
    assert total(found, "saved_bytes") == 0
    assert found.trainable == 0
    assert total(found, "backward_flops") == 0


def test_adapters_leave_the_base_without_gradients() -> None:
    found = work("vit_base_patch16_224", method="lora", lora_rank=8)
    assert 0 < found.trainable < 0.03 * found.parameters
    assert total(found, "saved_bytes") < total(work("vit_base_patch16_224"), "saved_bytes")


def test_checkpointing_frees_most_of_the_memory() -> None:
    plain = device_memory(work(batch_size=128), DEVICE).range.likely
    assert device_memory(work(batch_size=128, gradient_checkpointing=True), DEVICE).range.likely < 0.6 * plain


def test_the_largest_batch_that_ran_on_24_gb_fits_within_a_tenth() -> None:
    # 512 images under autocast with SGD on a 3090: timm's results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv, 2022
    found = device_memory(work(batch_size=512), DEVICE)
    assert 0.8 * 24 < found.range.likely < 1.1 * 24


def test_depthwise_networks_are_bound_by_memory_and_plain_ones_by_arithmetic() -> None:
    assert step_time(work("efficientnet_b0", batch_size=256), DEVICE).bound == "memory"
    assert step_time(work("vgg16", batch_size=256), DEVICE).bound == "compute"


def test_tiny_batches_are_bound_by_launches() -> None:
    assert step_time(work("efficientnet_b0", batch_size=1), DEVICE).bound == "host"


def test_a_larger_batch_is_never_slower_per_image() -> None:
    rates = [step_time(work(batch_size=n), DEVICE).samples_per_second.likely for n in (1, 4, 16, 64, 256)]
    assert rates == sorted(rates)


def test_reading_photographs_bounds_small_networks_on_few_cores() -> None:
    plain = job("resnet18", batch_size=256)
    reading = plain.model_copy(update={"dataset": plain.model_copy().dataset or _folder()})
    assert step_time(vision.build(reading, DEVICE), DEVICE).bound == "loader"
    assert step_time(vision.build(plain, DEVICE), DEVICE).bound != "loader"


def _folder() -> Any:
    return JobConfig.model_validate({"run": "true", "dataset": "photos/"}).dataset


def test_arrays_need_no_decoding() -> None:
    arrays = JobConfig.model_validate({"run": "true", "dataset": "photos.NPY"})
    assert vision.decoding(arrays) == 0
    assert vision.decoding(JobConfig.model_validate({"run": "true", "dataset": "photos/"})) > 0


def test_a_size_left_out_is_the_networks_own_and_said() -> None:
    assert any("224" in note for note in work().notes)
    assert not any("image size" in note for note in work(image_size=224).notes)


def test_a_slip_in_the_name_is_answered_with_its_neighbours() -> None:
    with pytest.raises(UnknownError, match="resnet5o") as caught:
        work("resnet5o")
    assert "resnet50" in str(caught.value.fix)


def test_a_job_without_a_name_is_asked_for_one() -> None:
    with pytest.raises(UnknownError, match="not named"):
        vision.build(
            JobConfig.model_validate({"run": "true", "model": {"family": "vision"}, "training": {"batch_size": 1}}), DEVICE
        )


def test_a_processor_computes_too() -> None:
    found = step_time(work("resnet50", HOST, task="inference", precision="fp32", batch_size=1), HOST)
    assert 5 < found.samples_per_second.likely < 500


def test_a_faster_device_is_faster() -> None:
    faster = replace(
        DEVICE, accelerator=replace(GPU, fp16_tflops=300, bf16_tflops=300, bandwidth_gbs=3000, fp32_tflops=60, tdp_w=700)
    )
    assert step_time(work(), faster).samples_per_second.likely > 1.5 * step_time(work(), DEVICE).samples_per_second.likely


def test_images_that_patches_do_not_divide_are_refused_with_the_nearest_size() -> None:
    with pytest.raises(UnknownError, match="patches of 16") as caught:
        work("vit_base_patch16_224", image_size=230)
    assert "224" in caught.value.fix
    assert work("vit_base_patch16_224", image_size=240).blocks
    assert work("vit_so400m_patch14_siglip_384", image_size=384).blocks


def test_images_smaller_than_networks_shrink_them_are_told() -> None:
    assert any("8 pixels" in note for note in work(image_size=8).notes)
    assert not any("pixels" in note for note in work(image_size=64).notes)


@pytest.mark.parametrize(("family", "name"), [("diffusion", "resnet50"), ("diffusion", "yolov8x"), ("detection", "resnet50")])
def test_a_network_of_another_family_than_stated_is_refused_with_its_own(family: str, name: str):
    asked = JobConfig.model_validate({"run": "true", "model": {"family": family, "name": name}, "training": {"batch_size": 1}})
    with pytest.raises(UnknownError, match=f"not {family}"):
        workload(asked, DEVICE)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("resnet5O", "resnet50"),
        ("fasterrcn_resnet50", "fasterrcnn_resnet50_fpn"),
        ("stable-difusion-xl", "stable-diffusion-xl-base-1.0"),
        ("yolo12z", "yolo11x"),
        ("llama-3-8bb", "llama-3-8b"),
    ],
)
def test_a_name_that_is_nearly_known_is_answered_with_what_is_near_in_all_families(written: str, meant: str):
    asked = JobConfig.model_validate({"run": "true", "model": {"name": written}, "training": {"batch_size": 1}})
    with pytest.raises(UnknownError) as caught:
        workload(asked, DEVICE)
    assert meant in (caught.value.fix or "")
