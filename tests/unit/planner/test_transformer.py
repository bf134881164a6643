"""Transformers as work: dimensions, parameters, and what a layer keeps, by counting tensors."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher.catalog.models import find_model
from dispatcher.errors import UnknownError
from dispatcher.planner.precision import numbers
from dispatcher.planner.workload import infer_family, workload
from dispatcher.planner.workload.layers import Layer
from dispatcher.planner.workload.shapes import Shape, shape_of
from tests.unit.planner.networks import BERT, LLAMA_8B, SMALL, job, on, work


def shape(**changes: Any) -> Shape:
    return shape_of(job({**SMALL, **changes}).model)


def layer(precision: str = "bf16", *, method: str = "full", of: Shape | None = None, **settings: Any) -> Layer:
    return Layer(of or shape(), numbers(precision, method), 512, **settings)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ({**LLAMA_8B}, 8_030_261_248),
        ({"layers": 16, "hidden": 2048, "heads": 32, "kv_heads": 8, "ffn": 8192, "vocab": 128256}, 1_235_814_400),
        ({"layers": 32, "hidden": 4096, "heads": 32, "ffn": 11008, "vocab": 32000}, 6_738_415_616),
    ],
)
def test_parameters_are_those_that_are_published(model: dict[str, Any], parameters: int) -> None:
    assert work({"sequence_length": 128, **model}).parameters == pytest.approx(parameters, rel=1e-4)


@pytest.mark.parametrize("name", ["llama-3.1-8b", "bert-base-uncased", "albert-base-v2", "t5-small", "gpt2", "mixtral-8x7b"])
def test_a_known_model_has_its_published_parameters(name: str) -> None:
    known = find_model(name)
    assert known is not None
    assert work({"name": name, "sequence_length": 128}).parameters == pytest.approx(known.parameters, rel=0.01)


def test_a_nearly_known_name_is_answered_with_its_neighbours() -> None:
    with pytest.raises(UnknownError) as caught:
        work({"name": "lama-3.1-8b", "sequence_length": 128})
    assert "llama-3.1-8b" in caught.value.fix


def test_a_feed_forward_part_of_four_times_the_width_is_plain_and_another_is_gated() -> None:
    assert (shape(ffn=2048, kv_heads=8).gated, shape(ffn=1408).gated) == (False, True)


def test_large_embeddings_are_tied_and_small_ones_are_not() -> None:
    assert (shape(vocab=128_000).tied, shape(vocab=1000).tied) == (True, False)


def test_what_is_stated_is_not_inferred() -> None:
    stated = shape(ffn=2048, kv_heads=8, mlp="gated", tied_embeddings=False, vocab=128_000)
    assert (stated.gated, stated.tied) == (True, False)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UnknownError, match="7 heads do not divide a hidden size of 512"):
        shape(heads=7, kv_heads=7)


def test_key_heads_that_do_not_divide_the_heads_are_refused() -> None:
    with pytest.raises(UnknownError, match="3 key-value heads do not divide 8 heads"):
        shape(kv_heads=3)


def test_a_missing_dimension_is_named() -> None:
    with pytest.raises(UnknownError, match="heads, vocab are not stated") as caught:
        shape_of(job({"layers": 2, "hidden": 64, "sequence_length": 8}).model)
    assert "model.heads, model.vocab" in caught.value.fix


def test_a_missing_batch_size_and_length_are_asked_for() -> None:
    with pytest.raises(UnknownError, match="batch size"):
        workload(job(batch_size=None), on())
    with pytest.raises(UnknownError, match="sequence length"):
        work({k: v for k, v in SMALL.items() if k != "sequence_length"})


def test_a_strange_lora_target_is_refused_by_name() -> None:
    with pytest.raises(UnknownError, match="'qproj'"):
        work(method="lora", lora_targets=["qproj"])


def test_defaults_that_were_taken_are_said() -> None:
    notes = work(precision=None, optimizer=None).notes
    told = [note for note in notes if "fp32" in note or "AdamW" in note]
    assert [("fp32" in note, "AdamW" in note) for note in told] == [(True, False), (False, True)]


def test_a_custom_network_needs_its_totals() -> None:
    config = job({"family": "custom", "parameters": 1e6})
    with pytest.raises(UnknownError, match="flops_per_sample, activation_bytes_per_sample"):
        workload(config, on())


def test_a_custom_network_keeps_its_totals() -> None:
    found = work({"family": "custom", "parameters": 1e6, "flops_per_sample": 1e9, "activation_bytes_per_sample": 1e7})
    assert found.parameters == pytest.approx(1e6)
    assert sum(b.repeats * b.saved_bytes for b in found.blocks) == pytest.approx(1e7)


def test_the_family_follows_from_the_keys() -> None:
    assert infer_family(job({"family": None, **SMALL})) == "transformer"
    assert infer_family(job({"family": None, "library": "sklearn"})) == "tabular"


def test_a_traced_family_says_what_to_give_instead() -> None:
    with pytest.raises(UnknownError, match="trace"):
        workload(job({"family": "torch", "factory": "a:b"}), on())


# --- what a layer keeps ------------------------------------------------------------------------------------------------


def test_a_gpt_layer_keeps_thirty_two_bytes_per_token_and_unit_of_width_in_16_bit() -> None:
    # Korthikanti et al. (arXiv 2205.05198) count 34 with the two masks of dropout, without the square of attention
    plain = shape(ffn=2048, kv_heads=8)
    assert layer(of=plain, kernel="flash").saved == 32 * 512
    assert layer(of=plain, kernel="flash", dropout=True).saved == 34 * 512


def test_eager_attention_adds_the_square_of_the_length() -> None:
    plain = shape(ffn=2048, kv_heads=8)
    extra = layer(of=plain, kernel="eager", dropout=True).saved - layer(of=plain, kernel="flash", dropout=True).saved
    assert extra == (4 + 2 + 1) * 8 * 512


def test_a_frozen_layer_keeps_no_inputs_of_its_projections() -> None:
    frozen, trained = layer(method="lora", trained=False), layer()
    inputs = 2 * (512 + 512) + 2 * 1408
    norms = 2 * 2 * 512
    assert trained.saved - frozen.saved == inputs + norms


def test_an_adapter_keeps_an_fp32_copy_of_its_input() -> None:
    bare = layer(method="lora", trained=False)
    two = layer(method="lora", trained=False, adapted=frozenset({"q_proj", "v_proj"}), rank=8)
    assert two.saved - bare.saved == 2 * 4 * 512


def test_adapters_weigh_their_rank_times_both_sides() -> None:
    found = layer(method="lora", trained=False, adapted=frozenset({"q_proj", "down_proj"}), rank=8)
    assert found.adapter_parameters == 8 * (512 + 512 + 1408 + 512)


def test_few_key_heads_keep_less() -> None:
    assert layer(of=shape(kv_heads=8)).saved - layer(of=shape(kv_heads=2)).saved == 2 * 2 * (512 - 128)


def test_a_quantised_base_keeps_its_stream_in_fp32() -> None:
    work_of = work(method="qlora", task="finetune").blocks[1]
    lora = work(method="lora", task="finetune").blocks[1]
    assert work_of.saved_bytes > 1.4 * lora.saved_bytes


def test_experts_multiply_parameters_and_only_the_active_ones_multiply_work() -> None:
    one, many = layer(), layer(of=shape(experts=8, active_experts=2))
    assert many.matrix_parameters - one.matrix_parameters == 7 * 3 * 512 * 1408
    assert many.linear_flops - one.linear_flops == 2 * 3 * 512 * 1408


def test_frozen_weights_cost_half_the_backward_arithmetic() -> None:
    full, lora = layer(), layer(method="lora", trained=False)
    assert full.backward_flops - lora.backward_flops == full.linear_flops


def test_training_costs_six_flops_per_parameter_and_token() -> None:
    found = work(LLAMA_8B)
    body = found.blocks[1]
    flops = body.forward_flops + body.backward_flops - 3 * body.attention_flops
    assert flops == pytest.approx(6 * 1024 * body.parameters, rel=0.001)


def test_the_mean_length_sets_the_time_and_the_longest_the_memory() -> None:
    data = {"samples": 100, "mean_length": 128}
    assert work(dataset=data).tokens_per_sample == 512
    assert 128 < work(dataset=data, for_time=True).tokens_per_sample < 512


def test_an_encoder_has_a_small_head_and_a_decoder_one_as_wide_as_its_vocabulary() -> None:
    assert work(BERT).blocks[-1].saved_bytes < 0.1 * work(SMALL).blocks[-1].saved_bytes


def test_an_encoder_decoder_has_both_and_attends_across() -> None:
    names = [b.name for b in work({**BERT, "kind": "encoder-decoder"}).blocks]
    assert names == ["embeddings", "encoder layers", "decoder layers", "head and loss"]
    encoder, decoder = work({**BERT, "kind": "encoder-decoder"}).blocks[1:3]
    assert decoder.parameters > encoder.parameters


def test_epochs_tokens_and_steps_tell_how_much_there_is() -> None:
    assert work(dataset={"samples": 1000}, epochs=3).samples == 3000
    assert work(tokens=512_000).samples == 1000
    assert work(steps=10, gradient_accumulation=2, device=on(count=2)).samples == 10 * 4 * 2 * 2
    assert work().samples is None


# --- sequences longer than the model's context --------------------------------------------------------------------------


def test_more_tokens_than_learned_positions_end_in_an_error_before_money_is_spent() -> None:
    with pytest.raises(UnknownError, match="512 positions") as caught:
        work({"name": "bert-base-uncased", "sequence_length": 2048})
    assert "512" in caught.value.fix


def test_more_tokens_than_a_rotary_model_was_made_for_are_told() -> None:
    assert any("4,096 tokens" in note for note in work({"name": "llama-2-7b", "sequence_length": 8192}).notes)
    assert not any("was made for" in note for note in work({"name": "llama-2-7b", "sequence_length": 4096}).notes)


QWEN3_30B = {
    "layers": 48, "hidden": 2048, "heads": 32, "kv_heads": 4, "head_dim": 128, "ffn": 768, "vocab": 151936, "experts": 128,
    "active_experts": 8, "mlp": "gated", "tied_embeddings": False, "sequence_length": 512,
}  # fmt: skip
GEMMA2_9B = {
    "layers": 42, "hidden": 3584, "heads": 16, "kv_heads": 8, "head_dim": 256, "ffn": 14336, "vocab": 256000, "mlp": "gated",
    "tied_embeddings": True, "sequence_length": 512,
}  # fmt: skip


@pytest.mark.parametrize(("model", "billions"), [(QWEN3_30B, 30.53), (GEMMA2_9B, 9.24)])
def test_heads_wider_than_hidden_over_heads_are_counted(model: dict[str, Any], billions: float) -> None:
    """Published: 30.5 billion (Qwen's model card, 2025) and 9.24 billion (Gemma 2's, 2024) parameters."""
    assert billions == pytest.approx(work(model).parameters / 1e9, rel=0.002)
