"""Diffusion models as work: a trained denoiser beside frozen encoders."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.catalog.networks import find_network
from dispatcher.domain.hardware import Accelerator, Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Workload
from dispatcher.planner.duration import step_time
from dispatcher.planner.memory import device_memory
from dispatcher.planner.workload import diffusion, infer_family

CPU = Cpu("EPYC 7763", "AMD", "Zen 3", "server", 64, 128, 2500.0, 200.0)
A100 = Accelerator(
    "A100-80GB", "NVIDIA", "Ampere", "datacenter", 80, 2039, 19.5, 156, 312, 312, compute_capability=8.0, tdp_w=400, year=2020
)
DEVICE = Device("cuda", CPU, 16.0, 128.0, A100, 1, 80.0)
SD15, SDXL, FLUX = "stable-diffusion-v1-5", "stable-diffusion-xl-base-1.0", "flux.1-dev"
# Millions of parameters of the denoiser, from the model cards and papers
PUBLISHED = [
    (SD15, 860),
    ("stable-diffusion-2-1", 866),
    (SDXL, 2567),
    (FLUX, 11900),
    ("pixart-xl-2-512x512", 611),
    ("flux.2-klein-base-4b", 3876),
]


def job(name: str = SD15, path: str | None = None, size: int | None = None, **training: Any) -> JobConfig:
    model = {"name": name} | ({"image_size": size} if size else {})
    settings = {"batch_size": 2, "precision": "fp16", **training}
    return JobConfig.model_validate({"run": "true", "model": model, "training": settings} | ({"dataset": path} if path else {}))


def work(name: str = SD15, path: str | None = None, size: int | None = None, **training: Any) -> Workload:
    return diffusion.build(job(name, path, size, **training), DEVICE)


def total(of: Workload, attribute: str) -> float:
    return sum(b.repeats * getattr(b, attribute) for b in of.blocks)


@pytest.mark.parametrize(("name", "millions"), PUBLISHED)
def test_denoisers_have_the_parameters_their_authors_publish(name: str, millions: int) -> None:
    network = find_network(name)
    assert network is not None
    assert network.parts[0].role == "denoiser"
    assert network.parts[0].parameters / 1e6 == pytest.approx(millions, rel=0.01)


def test_a_diffusion_model_is_known_by_its_name_alone() -> None:
    assert infer_family(job("stabilityai/stable-diffusion-xl-base-1.0")) == "diffusion"


def test_only_the_denoiser_is_trained() -> None:
    found = work()
    assert found.trainable == pytest.approx(859_520_964)
    assert found.parameters > 1.15 * found.trainable


def test_encoders_keep_nothing() -> None:
    assert all(b.saved_bytes == 0 for b in work().blocks if "text" in b.name or "images" in b.name)


def test_precomputed_latents_leave_the_encoders_out() -> None:
    cached = work(path="data/latents/")
    assert cached.parameters == pytest.approx(cached.trainable)
    assert total(cached, "forward_flops") < total(work(), "forward_flops")
    assert not any("encoded in every step" in note for note in cached.notes)


def test_adapters_train_a_small_share_and_fit_where_full_training_does_not() -> None:
    adapted, full = work(SDXL, method="lora", lora_rank=16, batch_size=1), work(SDXL, batch_size=1, precision="fp32")
    assert adapted.trainable < 0.05 * adapted.parameters
    assert device_memory(adapted, DEVICE).range.likely < 24 < device_memory(full, DEVICE).range.likely


def test_a_quarter_of_the_pixels_cost_a_quarter_or_less() -> None:
    small, large = (total(work(size=size, path="latents"), "forward_flops") for size in (256, 512))
    assert small < 0.26 * large


def test_checkpointing_makes_room() -> None:
    plain, light = (
        device_memory(work(FLUX, method="lora", precision="bf16", gradient_checkpointing=c), DEVICE) for c in (False, True)
    )
    assert light.range.likely < 0.7 * plain.range.likely


def test_an_evaluation_for_inference_runs_the_denoiser_alone() -> None:
    asked = job().model_copy(update={"task": "inference"})
    found = diffusion.build(asked, DEVICE)
    assert {b.name.partition(":")[0] for b in found.blocks} == {"denoiser"}
    assert total(found, "backward_flops") == 0


def test_larger_models_are_slower() -> None:
    rates = [step_time(work(name, size=512, method="lora"), DEVICE).samples_per_second.likely for name in (SD15, SDXL, FLUX)]
    assert rates == sorted(rates, reverse=True)


def test_a_joint_transformers_text_stays_when_the_image_shrinks() -> None:
    small, large = (total(work(FLUX, size=size, path="latents"), "saved_bytes") for size in (512, 1024))
    assert small / large == pytest.approx((1024 + 512) / (4096 + 512))


# GB of DreamBooth on Stable Diffusion 1.4 with its attention written out, batches of two: README.md of huggingface/peft, 2023
@pytest.mark.parametrize(("settings", "gb"), [({}, 15.5), ({"gradient_checkpointing": True}, 8.12)])
def test_published_peaks_of_adapters_are_met_within_a_fifth(settings: dict[str, Any], gb: float) -> None:
    found = device_memory(work(method="lora", lora_rank=16, precision="fp32", attention="eager", **settings), DEVICE)
    assert found.range.likely * 1.0737 == pytest.approx(gb, rel=0.2)


def test_a_published_peak_of_a_whole_fine_tune_is_met_within_a_tenth() -> None:
    # 39.9 GB reserved for FLUX.2 klein at 512 pixels, all of it trained in bf16: method_comparison of huggingface/peft, 2026
    settings = {"precision": "bf16", "optimizer": "adamw", "batch_size": 2, "gradient_checkpointing": True}
    found = device_memory(work("flux.2-klein-base-4b", "latents", 512, **settings), DEVICE)
    assert (found.range.likely - (found.terms or {})["context"]) * 1.0737 == pytest.approx(39.9, rel=0.1)


def test_a_published_peak_on_ready_latents_is_met_within_a_fifth() -> None:
    # 10.7 GB reserved for FLUX.2 klein with rank 32 at 512 pixels: method_comparison of huggingface/peft, 2026
    job_ = {"method": "lora", "lora_rank": 32, "precision": "bf16", "gradient_checkpointing": True}
    found = device_memory(work("flux.2-klein-base-4b", "latents", 512, **job_), DEVICE)
    assert (found.range.likely - (found.terms or {})["context"]) * 1.0737 == pytest.approx(10.7, rel=0.2)
