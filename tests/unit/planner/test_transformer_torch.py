"""What a layer keeps, against what PyTorch keeps when Hugging Face's own modules run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from dispatcher.planner.precision import numbers
from dispatcher.planner.workload.layers import Layer
from dispatcher.planner.workload.shapes import Shape

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
BATCH, LENGTH = 2, 128
WIDTH, HEADS, FFN, VOCAB = 128, 4, 352, 500


def kept(build: Callable[[int], Any], *, amp: bool = False) -> float:
    """Bytes that two more layers keep, halved; weights and their 16-bit copies are not activations."""
    return (_saved(build(3), amp=amp) - _saved(build(1), amp=amp)) / 2 / (BATCH * LENGTH)


def _saved(model: Any, *, amp: bool) -> int:
    import torch

    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters()} | {tuple(p.shape)[::-1] for p in model.parameters()}
    seen: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        copied = amp and tuple(tensor.shape) in shapes
        if storage.data_ptr() not in weights and not copied:
            seen[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    tokens = torch.zeros(BATCH, LENGTH, dtype=torch.long)
    cast = torch.autocast("cpu", torch.bfloat16) if amp else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), cast:
        model(input_ids=tokens, labels=tokens, use_cache=False)
    return sum(size for size, _ in seen.values())


def llama(layers: int, attention: str, precision: str) -> Any:
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.LlamaConfig(
        hidden_size=WIDTH, num_attention_heads=HEADS, num_key_value_heads=2, intermediate_size=FFN, vocab_size=VOCAB,
        num_hidden_layers=layers, attn_implementation=attention,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    return model.to(torch.bfloat16 if precision == "bf16" else torch.float32).train()


def ours(precision: str, method: str = "full", **settings: Any) -> float:
    shape = Shape("", "decoder", 1, WIDTH, HEADS, 2, FFN, VOCAB, gated=True, tied=False)
    return Layer(shape, numbers(precision, method), LENGTH, **settings).saved


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "amp-bf16"])
def test_a_llama_layer_keeps_what_is_counted(attention: str, precision: str) -> None:
    real = kept(lambda layers: llama(layers, attention, precision), amp=precision.startswith("amp"))
    assert ours(precision, kernel=attention) == pytest.approx(real, rel=0.03)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "targets", [("q_proj", "v_proj"), ("gate_proj", "up_proj", "down_proj"), ("q_proj", "o_proj", "up_proj")]
)
def test_a_layer_with_adapters_keeps_what_is_counted(precision: str, targets: tuple[str, ...]) -> None:
    peft = pytest.importorskip("peft")

    def build(layers: int) -> Any:
        settings = peft.LoraConfig(r=8, target_modules=list(targets), task_type="CAUSAL_LM")
        return peft.get_peft_model(llama(layers, "sdpa", precision), settings).train()

    # the first layer is not asked: before its first adapter nothing needs a gradient
    real = (_saved(build(4), amp=False) - _saved(build(2), amp=False)) / 2 / (BATCH * LENGTH)
    mine = ours(precision, "lora", kernel="sdpa", trained=False, adapted=frozenset(targets), rank=8)
    assert mine == pytest.approx(real, rel=0.04)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_bert_layer_keeps_what_is_counted_but_for_the_cpus_wider_dropout_masks(precision: str) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    def build(layers: int) -> Any:
        config = transformers.BertConfig(
            hidden_size=WIDTH, num_attention_heads=HEADS, intermediate_size=4 * WIDTH, vocab_size=VOCAB,
            num_hidden_layers=layers, attn_implementation="sdpa", attention_probs_dropout_prob=0.0,
            hidden_dropout_prob=0.0,
        )  # fmt: skip
        model = transformers.BertForMaskedLM(config)
        return model.to(torch.bfloat16 if precision == "bf16" else torch.float32).train()

    real = _bert(build)
    shape = Shape("", "encoder", 1, WIDTH, HEADS, HEADS, 4 * WIDTH, VOCAB, gated=False, tied=True)
    mine = Layer(shape, numbers(precision), LENGTH, kernel="sdpa", causal=False).saved
    assert mine == pytest.approx(real, rel=0.03)


def _bert(build: Callable[[int], Any]) -> float:
    def encoder(layers: int) -> Any:
        model = build(layers)
        model.forward_original = model.forward
        model.forward = lambda *, use_cache, **inputs: model.forward_original(**inputs)
        return model

    return kept(encoder)


def test_a_mixture_of_experts_keeps_what_its_active_experts_do() -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    def build(layers: int) -> Any:
        config = transformers.MixtralConfig(
            hidden_size=WIDTH, num_attention_heads=HEADS, num_key_value_heads=2, intermediate_size=FFN, vocab_size=VOCAB,
            num_hidden_layers=layers, num_local_experts=4, num_experts_per_tok=2, attn_implementation="sdpa",
        )  # fmt: skip
        return transformers.MixtralForCausalLM(config).to(torch.bfloat16).train()

    shape = Shape("", "decoder", 1, WIDTH, HEADS, 2, FFN, VOCAB, gated=True, tied=False, experts=4, active_experts=2)
    mine = Layer(shape, numbers("bf16"), LENGTH, kernel="sdpa").saved
    assert mine == pytest.approx(kept(build), rel=0.1)
