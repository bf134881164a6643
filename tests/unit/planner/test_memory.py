"""Memory by term, at the moment of the peak."""

from __future__ import annotations

import pytest

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount
from dispatcher.planner.memory import TERMS, device_memory, moments, peak_moment
from dispatcher.units import GIB
from tests.unit.planner.networks import A100, H100, LLAMA_8B, M2_ULTRA, SMALL, T4, on, work

ON = on()


def memory(device: Device = ON, **settings: object) -> Amount:
    return device_memory(work(settings.pop("model", None), device, **settings), device)  # type: ignore[arg-type]


def states(device: Device = ON, **settings: object) -> float:
    """Bytes per parameter of weights, gradients and optimizer at the optimizer's step."""
    found = work(settings.pop("model", None), device, **settings)  # type: ignore[arg-type]
    step = list(moments(found, device))[-1]
    return (step.weights + step.gradients + step.optimizer) / found.parameters


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "amp-bf16", "amp-fp16", "bf16", "fp16", "fp8"])
@pytest.mark.parametrize("checkpointing", [False, True, "selective"])
def test_likely_is_the_sum_of_the_terms(method: str, precision: str, checkpointing: bool | str) -> None:
    amount = memory(method=method, precision=precision, gradient_checkpointing=checkpointing)
    assert tuple(amount.terms) == TERMS
    assert amount.range.likely == pytest.approx(sum(amount.terms.values()))
    assert amount.range.low < amount.range.likely < amount.range.high


@pytest.mark.parametrize(
    ("settings", "per_parameter"),
    [
        ({"precision": "fp32"}, 16),
        ({"precision": "amp-bf16"}, 16),
        ({"precision": "bf16"}, 8),
        ({"precision": "fp32", "optimizer": "sgd-momentum"}, 12),
        ({"precision": "fp32", "optimizer": "sgd"}, 8),
        ({"precision": "bf16", "optimizer": "lion"}, 6),
        ({"precision": "fp32", "optimizer": "adamw-8bit"}, 10.03),
    ],
)
def test_states_take_the_bytes_that_the_textbooks_count(settings: dict[str, str], per_parameter: float) -> None:
    assert states(**settings) == pytest.approx(per_parameter, rel=0.01)


def test_the_peak_is_a_moment_and_not_the_sum_of_all_parts() -> None:
    found = work()
    everything = max(m.activations for m in moments(found, ON)) + max(m.gradients for m in moments(found, ON))
    peak = peak_moment(found, ON)
    assert peak.activations + peak.gradients < everything


def test_logits_set_the_peak_where_the_vocabulary_is_large() -> None:
    assert peak_moment(work({**SMALL, "vocab": 128_000}), ON).when == "backward pass of head and loss, 1 of 1"


def test_the_optimizer_step_sets_the_peak_where_there_are_hardly_any_activations() -> None:
    assert peak_moment(work({**SMALL, "sequence_length": 8}, batch_size=1), ON).when == "optimizer step"


def test_a_chunked_loss_saves_most_of_the_gradients_of_the_logits() -> None:
    whole, chunked = memory(model=LLAMA_8B), memory(model=LLAMA_8B, chunked_loss=True)
    saved = (whole.terms["activations"] - chunked.terms["activations"]) * GIB
    assert saved == pytest.approx(7 * 4 * 1024 * 128256, rel=0.01)


def test_checkpointing_keeps_each_layers_input_and_one_layers_working_set() -> None:
    model = {**SMALL, "layers": 48, "vocab": 500}
    plain, checked = memory(model=model), memory(model=model, gradient_checkpointing=True)
    assert checked.terms["activations"] < 0.1 * plain.terms["activations"]


def test_selective_checkpointing_lies_between() -> None:
    none, some, full = (memory(gradient_checkpointing=c).range.likely for c in (False, "selective", True))
    assert full < some < none


def test_memory_grows_with_the_batch_and_never_falls() -> None:
    sizes = [memory(batch_size=b).range.likely for b in (1, 2, 4, 8, 16)]
    assert sizes == sorted(sizes)


def test_accumulation_keeps_gradients_through_the_forward_pass() -> None:
    once, often = memory(model={**SMALL, "vocab": 64000}), memory(model={**SMALL, "vocab": 64000}, gradient_accumulation=4)
    assert often.terms["gradients"] > once.terms["gradients"]


def test_an_optimizer_in_the_backward_pass_keeps_one_layers_gradients() -> None:
    model = {**SMALL, "sequence_length": 8}
    after, within = (memory(model=model, batch_size=1, optimizer_in_backward=b) for b in (False, True))
    assert within.terms["gradients"] < 0.5 * after.terms["gradients"]


def test_a_quantised_base_takes_about_half_a_byte_per_weight() -> None:
    found = memory(model=LLAMA_8B, method="qlora", task="finetune", gradient_checkpointing=True)
    linear, rest = 6_979_321_856, 8_030_261_248 - 6_979_321_856
    assert found.terms["weights"] == pytest.approx((0.516 * linear + 2 * rest) / GIB, rel=0.02)


def test_lora_trains_little_and_full_training_everything() -> None:
    lora = memory(model=LLAMA_8B, method="lora", task="finetune")
    assert lora.terms["optimizer"] + lora.terms["gradients"] < 0.2
    assert memory(model=LLAMA_8B).terms["optimizer"] > 25


def test_fully_sharded_states_shrink_with_the_devices_but_for_gathered_layers() -> None:
    one = memory(model=LLAMA_8B, sharding="fsdp", precision="amp-bf16")
    eight = memory(on(count=8), model=LLAMA_8B, sharding="fsdp", precision="amp-bf16")
    assert eight.terms["optimizer"] == pytest.approx(one.terms["optimizer"] / 8)
    gathered = 2 * 2 * 218_112_000
    assert eight.terms["weights"] * GIB == pytest.approx(4 * 8.03e9 / 8 + gathered, rel=0.05)


def test_each_stage_of_zero_shards_more() -> None:
    stages, eight = ("zero1", "zero2", "zero3"), on(count=8)
    sizes = [memory(eight, model=LLAMA_8B, sharding=stage, precision="amp-bf16").range.likely for stage in stages]
    assert sizes == sorted(sizes, reverse=True)


def test_replicas_keep_a_second_copy_of_the_gradients_in_their_buckets() -> None:
    model = {**SMALL, "sequence_length": 8}
    alone, beside = memory(model=model, batch_size=1), memory(on(count=2), model=model, batch_size=1)
    assert beside.terms["gradients"] == pytest.approx(2 * alone.terms["gradients"])


def test_offloading_takes_the_optimizer_and_then_the_weights_away() -> None:
    kept, optimizer, parameters = (memory(model=LLAMA_8B, offload=o) for o in ("none", "optimizer", "parameters"))
    assert optimizer.terms["optimizer"] == 0 < kept.terms["optimizer"]
    assert parameters.terms["weights"] < 0.2 * optimizer.terms["weights"]


def test_inference_holds_weights_and_the_cache_of_keys_and_values() -> None:
    found = memory(model=LLAMA_8B, task="inference", batch_size=1)
    cache = 2 * 2 * 32 * 1024 * 1024
    assert found.terms["weights"] == pytest.approx(2 * 8.03e9 / GIB, rel=0.01)
    assert found.terms["activations"] * GIB > cache
    assert found.terms["gradients"] == found.terms["optimizer"] == 0


def test_a_processor_has_neither_context_nor_an_allocators_reserve() -> None:
    found = memory(on(None))
    assert (found.terms["context"], found.terms["reserve"]) == (0, 0)


def test_older_parts_load_every_kernel_and_apples_a_small_heap() -> None:
    old, new, apple = (memory(on(part)).terms["context"] for part in (T4, A100, M2_ULTRA))
    assert apple < new < old


def test_hopper_gives_its_product_kernels_a_larger_workspace() -> None:
    assert memory(on(H100)).terms["workspace"] > memory(on(A100)).terms["workspace"]


def test_absurd_sizes_give_figures() -> None:
    huge = {"layers": 10**6, "hidden": 10**7, "heads": 10**5, "vocab": 10**9, "ffn": 4 * 10**7, "sequence_length": 10**6}
    assert 1e12 < memory(model=huge).range.likely < 1e30


@pytest.mark.parametrize(("precision", "gib"), [("fp32", 29.9), ("bf16", 14.96), ("fp8", 8.46), ("int8", 8.46), ("nf4", 5.3)])
def test_weights_that_are_only_used_take_what_their_precision_holds(precision: str, gib: float) -> None:
    used = device_memory(work(LLAMA_8B, on(H100), task="inference", precision=precision), on(H100))
    assert gib == pytest.approx(used.terms["weights"], rel=0.01)
