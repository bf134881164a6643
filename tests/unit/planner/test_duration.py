"""Time of a step: what bounds it, and how it changes with work and device."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from dispatcher.catalog.tables import CatalogDamaged
from dispatcher.domain.hardware import Accelerator, Device
from dispatcher.errors import UnknownError
from dispatcher.planner.constants import Constant, constant, constants
from dispatcher.planner.duration import StepTime, communication, micro_batch, step_time, train_hours, work_of
from dispatcher.planner.explain import explain
from dispatcher.planner.host_memory import ram
from dispatcher.planner.intervals import time_spread
from dispatcher.planner.memory import TERMS
from dispatcher.planner.rates import filling, link, multiprocessors, peak_flops, product_flops
from tests.unit.planner.networks import A100, BERT, H100, LLAMA_8B, M2_ULTRA, SMALL, T4, job, on, work

ON = on()


def step(device: Device = ON, **settings: object) -> StepTime:
    return step_time(work(settings.pop("model", None), device, for_time=True, **settings), device)  # type: ignore[arg-type]


def seconds(device: Device = ON, **settings: object) -> float:
    return step(device, **settings).seconds.likely


def test_large_models_reach_about_half_of_an_a100() -> None:
    # MosaicML's llm-foundry table (2023): 36–64 % of peak on A100
    found = step(model={**LLAMA_8B, "sequence_length": 4096}, attention="flash")
    assert 0.4 < found.utilisation < 0.65
    assert found.bound == "compute"


def test_samples_per_second_is_the_inverse_of_the_step_over_all_devices() -> None:
    found = step(on(count=4), gradient_accumulation=2)
    assert found.samples_per_second.likely * found.seconds.likely == pytest.approx(4 * 2 * 4)
    assert found.samples_per_second.low * found.seconds.high == pytest.approx(4 * 2 * 4)


def test_time_grows_with_the_batch_but_less_than_in_proportion() -> None:
    one, eight = seconds(model=LLAMA_8B, batch_size=1), seconds(model=LLAMA_8B, batch_size=8)
    assert one < eight < 8 * one


def test_the_hosts_launches_bound_small_work() -> None:
    assert step(batch_size=1, model={**SMALL, "sequence_length": 32}).bound == "host"


def test_compiling_takes_less() -> None:
    assert seconds(compile=True) < seconds()


def test_checkpointing_costs_about_a_third_more() -> None:
    model = {**LLAMA_8B, "sequence_length": 4096}
    plain, some, full = (seconds(model=model, gradient_checkpointing=c) for c in (False, "selective", True))
    assert plain < some < full
    assert full / plain == pytest.approx(1.3, abs=0.07)


def test_lora_takes_about_three_quarters_of_full_training_and_qlora_more_than_lora() -> None:
    model = {**LLAMA_8B, "sequence_length": 4096}
    full, lora, qlora = (seconds(model=model, method=m, task="finetune") for m in ("full", "lora", "qlora"))
    assert lora / full == pytest.approx(0.75, abs=0.1)
    assert qlora > lora


def test_16_bit_is_faster_than_tf32_and_that_than_fp32() -> None:
    times = [seconds(model=LLAMA_8B, precision=p) for p in ("bf16", "tf32", "fp32")]
    assert times == sorted(times)


def test_fp8_helps_the_projections_and_not_attention() -> None:
    short, long = ({**LLAMA_8B, "sequence_length": s} for s in (1024, 32768))

    def gain(model: dict[str, object]) -> float:
        wide, narrow = (seconds(on(H100), model=model, precision=p, attention="flash") for p in ("amp-bf16", "fp8"))
        return wide / narrow

    gain_short, gain_long = gain(short), gain(long)
    assert 1 < gain_long < gain_short < 2


def test_a_faster_device_is_faster_but_reaches_less_of_its_peak() -> None:
    model = {**LLAMA_8B, "sequence_length": 4096}
    older, newer = step(on(A100), model=model), step(on(H100), model=model)
    assert newer.seconds.likely < older.seconds.likely
    assert newer.utilisation < older.utilisation


def test_a_part_of_little_power_cannot_hold_its_peak() -> None:
    assert product_flops(on(T4), "fp16_tflops") < 0.75 * 65e12
    assert product_flops(on(replace(T4, tdp_w=300)), "fp16_tflops") > product_flops(on(T4), "fp16_tflops")


def test_an_amd_part_reaches_about_half_of_its_peak() -> None:
    part = Accelerator("MI300X", "AMD", "CDNA3", "datacenter", 192.0, 5300.0, 163.4, fp16_tflops=1307.4, tdp_w=750.0, year=2023)
    device = Device("rocm", ON.cpu, 8.0, 64.0, part, 1, 192.0)
    # 668 TFLOP/s in public measurements of large matrix products
    assert product_flops(device, "fp16_tflops") == pytest.approx(668e12, rel=0.05)


def test_a_precision_that_a_device_lacks_runs_in_the_next_one() -> None:
    assert peak_flops(on(T4), "bf16_tflops") == 65e12
    assert peak_flops(on(T4), "tf32_tflops") == 8.1e12
    assert peak_flops(on(A100), "fp8_tflops") == 312e12


def test_nothing_is_computed_from_a_speed_that_nobody_states() -> None:
    unknown = replace(A100, name="TPU-v9", fp32_tflops=0.0, tf32_tflops=0.0)
    with pytest.raises(UnknownError, match="how fast TPU-v9 computes in fp32"):
        step(on(unknown), precision="fp32")


def test_multiprocessors_follow_from_the_peak() -> None:
    assert multiprocessors(H100) == pytest.approx(132, rel=0.2)
    assert multiprocessors(T4) == pytest.approx(40, rel=0.1)


def test_small_products_leave_a_device_half_empty() -> None:
    assert filling(ON, 128, 512) < 0.2
    assert filling(ON, 65536, 8192) > 0.99
    assert filling(on(None), 1, 1) == 1


def test_two_devices_train_more_per_second_but_not_twice_as_much_over_a_slow_link() -> None:
    settings = {"model": BERT, "precision": "amp-fp16", "batch_size": 16}
    one, two = (step(on(replace(T4, interconnect_gbs=8.0), n), **settings).samples_per_second.likely for n in (1, 2))
    assert one < two < 1.9 * one


def test_communication_hides_behind_computing_where_the_link_is_fast() -> None:
    def exposed(part: Accelerator) -> float:
        device = on(part, 8)
        found = work(LLAMA_8B, device, for_time=True, sharding="fsdp", precision="amp-bf16")
        return communication(found, device, micro_batch(found, device))

    assert exposed(replace(A100, interconnect="PCIe4", interconnect_gbs=16.0)) > 10 * exposed(A100)


def test_devices_in_several_hosts_share_a_network() -> None:
    assert link(on(A100, 16)) < link(on(A100, 8))


def test_the_loader_bounds_where_the_host_prepares_samples_too_slowly() -> None:
    found = replace(work(BERT, for_time=True), host_seconds=1.0)
    assert step_time(found, ON).bound == "loader"
    assert step_time(found, ON).seconds.likely == pytest.approx(4 * 1.0 / 4)


def test_a_processor_and_apples_graphics_take_longer_and_are_less_sure() -> None:
    times = [seconds(device, model=BERT, precision="fp32") for device in (on(A100), on(M2_ULTRA), on(None))]
    assert times == sorted(times)
    found = work(BERT)
    assert time_spread(found, on(None)) > time_spread(found, on(A100))


def test_a_llama_7b_takes_what_mlx_published_for_an_m2_ultra() -> None:
    # ml-explore/mlx-examples lora/README (2024): about 475 tokens per second with batch 4
    model = {"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11008, "vocab": 32000, "sequence_length": 100}
    found = step(on(M2_ULTRA), model=model, method="lora", task="finetune", precision="fp16")
    assert found.samples_per_second.likely * 100 == pytest.approx(475, rel=0.3)


def test_the_whole_jobs_time_is_its_steps() -> None:
    found = work(for_time=True, dataset={"samples": 4000}, epochs=2)
    hours, each = train_hours(found, ON), step_time(found, ON).seconds
    assert hours is not None
    assert hours.likely == pytest.approx(2000 * each.likely / 3600)
    assert work_of(found, ON).flops_total == pytest.approx(8000 * work_of(found, ON).flops_per_step / 4)


def test_a_job_of_unknown_length_has_no_hours() -> None:
    assert train_hours(work(for_time=True), ON) is None
    assert work_of(work(for_time=True), ON).flops_total is None


def test_accumulation_repeats_all_but_the_optimizers_step() -> None:
    once, four = seconds(model=LLAMA_8B), seconds(model=LLAMA_8B, gradient_accumulation=4)
    assert 3 * once < four < 4 * once


def test_inference_takes_less_than_half_of_training() -> None:
    assert seconds(model=LLAMA_8B, task="inference") < 0.5 * seconds(model=LLAMA_8B)


def test_absurd_sizes_give_figures() -> None:
    huge = {"layers": 10**6, "hidden": 10**7, "heads": 10**5, "vocab": 10**9, "ffn": 4 * 10**7, "sequence_length": 10**6}
    assert 1e9 < seconds(model=huge) < 1e30


# --- constants, RAM, words --------------------------------------------------------------------------------------------


def test_every_constant_says_what_it_is_and_where_from() -> None:
    for found in constants().values():
        assert isinstance(found, Constant)
        assert all((found.unit, found.meaning, found.source, found.rows)), found.name
        assert found.value >= 0, found.name


def test_a_misspelt_constant_is_an_error() -> None:
    with pytest.raises(CatalogDamaged, match="no_such_constant"):
        constant("no_such_constant")


def test_a_process_per_device_imports_the_framework() -> None:
    one, four = (ram(work(LLAMA_8B, on(count=n)), job(LLAMA_8B), on(count=n)).terms["framework"] for n in (1, 4))
    assert four == 4 * one


def test_without_an_accelerator_the_model_lives_in_ram() -> None:
    found = ram(work(BERT, on(None)), job(BERT), on(None))
    assert found.terms["weights"] + found.terms["optimizer"] > 16 * 80e6 / 2**30 / 4
    assert found.terms["activations"] > 0
    assert not {"weights", "activations", "heap"} & set(ram(work(BERT), job(BERT), ON).terms)


def test_offloaded_states_live_in_ram() -> None:
    found = ram(work(LLAMA_8B, offload="optimizer"), job(LLAMA_8B), ON)
    assert found.terms["offload"] > 8.03e9 * 12 / 2**30


def test_the_explanation_has_a_line_for_every_term_and_every_part() -> None:
    lines = explain(work(LLAMA_8B, method="qlora", task="finetune"), work(LLAMA_8B, for_time=True), ON)
    for word in (*TERMS, "compute", "memory", "host"):
        assert any(line.startswith(word) for line in lines), word


@pytest.mark.parametrize("device", [on(count=4), on(T4)])
def test_the_explained_context_is_the_sum_of_what_is_named(device: Device) -> None:
    (line,) = [one for one in explain(work(LLAMA_8B), work(LLAMA_8B, for_time=True), device) if one.startswith("context")]
    total, _, rest = line.removeprefix("context ").partition(" GiB: ")
    named = [float(value) for value in re.findall(r": ([\d.]+) GiB \(", rest)]
    assert float(total) == pytest.approx(sum(named), abs=0.06)


def test_an_estimate_takes_less_than_two_milliseconds() -> None:
    from time import perf_counter

    step(model=LLAMA_8B)
    start = perf_counter()
    for _ in range(20):
        step(model=LLAMA_8B)
        ram(work(LLAMA_8B), job(LLAMA_8B), ON)
    assert (perf_counter() - start) / 20 < 0.02  # ten times the goal, for slow and busy machines
