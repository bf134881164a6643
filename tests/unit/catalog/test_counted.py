"""Parameter counts of the table against networks built by transformers, without weights."""

from __future__ import annotations

from typing import Any

import pytest

from dispatcher import catalog
from dispatcher.catalog.models import KnownModel

SAME = (
    "llama-2-7b",
    "llama-3.1-8b",
    "llama-3.2-1b",
    "qwen2.5-0.5b",
    "qwen2.5-7b",
    "gpt2",
    "gpt2-xl",
    "bert-base-uncased",
    "roberta-large",
)
SAME += ("opt-1.3b", "bloom-560m", "pythia-1b", "mistral-nemo-12b", "t5-base")


def _config(model: KnownModel, library: Any) -> tuple[Any, Any]:
    shape = {
        "num_hidden_layers": model.layers,
        "hidden_size": model.hidden,
        "num_attention_heads": model.heads,
        "intermediate_size": model.ffn,
        "vocab_size": model.vocab,
    }
    grouped = {**shape, "num_key_value_heads": model.kv_heads, "tie_word_embeddings": model.tied}
    lm, name = library.AutoModelForCausalLM, model.name
    if name.startswith("gpt2"):
        return library.GPT2Config(n_layer=model.layers, n_embd=model.hidden, n_head=model.heads), lm
    if name.startswith("qwen"):
        return library.Qwen2Config(**grouped), lm
    if name.startswith("opt"):
        del shape["intermediate_size"]
        return library.OPTConfig(**shape, ffn_dim=model.ffn, word_embed_proj_dim=model.hidden), lm
    if name.startswith("bloom"):
        return library.BloomConfig(
            n_layer=model.layers, hidden_size=model.hidden, n_head=model.heads, vocab_size=model.vocab
        ), lm
    if name.startswith("pythia"):
        return library.GPTNeoXConfig(**shape), lm
    if name.startswith("bert"):
        return library.BertConfig(**shape), library.AutoModel
    if name.startswith("roberta"):
        return library.RobertaConfig(**shape, max_position_embeddings=514, type_vocab_size=1), library.AutoModel
    if name.startswith("t5"):
        size = {"num_layers": model.layers, "d_model": model.hidden, "num_heads": model.heads, "d_ff": model.ffn}
        return library.T5Config(**size, vocab_size=model.vocab), library.AutoModelForSeq2SeqLM
    return library.LlamaConfig(**grouped, head_dim=model.head_dim or model.hidden // model.heads), lm


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAME)
def test_the_table_counts_what_transformers_builds(name: str) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("transformers")
    model = catalog.find_model(name)
    assert model is not None
    config, kind = _config(model, library)
    with torch.device("meta"):
        built = kind.from_config(config)
    built.tie_weights()
    assert model.parameters == sum(part.numel() for part in built.parameters())


PUBLISHED = {
    "llama-3.1-8b": 8_030_261_248,
    "llama-2-7b": 6_738_415_616,
    "mistral-7b-v0.1": 7_241_732_096,
    "gpt2": 124_439_808,
    "bert-base-uncased": 109_482_240,
    "t5-base": 222_903_552,
    "qwen2.5-7b": 7_615_616_512,
    "mixtral-8x7b-v0.1": 46_702_792_704,
    "bloom": 176_247_271_424,
}
"""The published counts, from general knowledge (2026-11); none was read from its page for this test."""


@pytest.mark.parametrize(("name", "parameters"), PUBLISHED.items())
def test_counts_are_the_published_ones(name: str, parameters: int) -> None:
    model = catalog.find_model(name)
    assert model is not None
    assert parameters == model.parameters
