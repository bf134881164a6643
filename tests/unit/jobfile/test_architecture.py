"""config.json: fields as each family's published configurations have them (transformers 4.57, read 2026-11)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from dispatcher.jobfile.architecture import architecture, read_architecture

GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "n_inner": None, "vocab_size": 50257}
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
    "tie_word_embeddings": False,
}  # fmt: skip
FAMILIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (GPT2, {"layers": 12, "hidden": 768, "heads": 12, "mlp": "plain", "tied_embeddings": True, "kind": "decoder"}),
    (LLAMA, {"kv_heads": 8, "ffn": 14336, "mlp": "gated", "tied_embeddings": False, "kind": "decoder"}),
    (
        {"model_type": "opt", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "ffn_dim": 3072,
         "vocab_size": 50272},
        {"ffn": 3072, "mlp": "plain", "tied_embeddings": True},
    ),
    (
        {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16, "vocab_size": 250880},
        {"layers": 24, "heads": 16, "mlp": "plain", "tied_embeddings": True},
    ),
    (
        {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "vocab_size": 65024,
         "multi_query": True, "new_decoder_architecture": False},
        {"kv_heads": 1, "mlp": "plain"},
    ),
    (
        {"model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8,
         "vocab_size": 65024, "multi_query": True, "new_decoder_architecture": True},
        {"kv_heads": 8},
    ),
    (
        {"model_type": "t5", "d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "vocab_size": 32128,
         "is_encoder_decoder": True, "feed_forward_proj": "relu"},
        {"kind": "encoder-decoder", "ffn": 2048, "mlp": "plain", "tied_embeddings": True},
    ),
    (
        {"model_type": "t5", "d_model": 512, "d_ff": 1024, "num_layers": 8, "num_heads": 6, "vocab_size": 32128,
         "is_encoder_decoder": True, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        {"mlp": "gated", "tied_embeddings": False},
    ),
    (
        {"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 768, "num_hidden_layers": 12,
         "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522},
        {"kind": "encoder", "mlp": "plain", "tied_embeddings": True},
    ),
    (
        {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "vocab_size": 30522},
        {"kind": "encoder", "hidden": 768, "ffn": 3072, "layers": 6},
    ),
    (
        {"model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "num_local_experts": 8,
         "num_experts_per_tok": 2},
        {"experts": 8, "active_experts": 2, "mlp": "gated", "tied_embeddings": False},
    ),
    (
        {"model_type": "qwen2_moe", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 16,
         "intermediate_size": 5632, "moe_intermediate_size": 1408, "vocab_size": 151936, "num_experts": 60,
         "num_experts_per_tok": 4},
        {"experts": 60, "ffn": 1408},
    ),
    (
        {"model_type": "gemma", "hidden_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 8,
         "num_key_value_heads": 1, "head_dim": 256, "intermediate_size": 16384, "vocab_size": 256000},
        {"kv_heads": 1, "mlp": "gated", "tied_embeddings": True},
    ),
    (
        {"model_type": "phi", "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32,
         "intermediate_size": 8192, "vocab_size": 51200},
        {"mlp": "plain", "tied_embeddings": False},
    ),
    (
        {"model_type": "bart", "d_model": 768, "encoder_layers": 6, "encoder_attention_heads": 12, "encoder_ffn_dim": 3072,
         "vocab_size": 50265, "is_encoder_decoder": True},
        {"kind": "encoder-decoder", "layers": 6, "heads": 12, "ffn": 3072},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected"), FAMILIES, ids=lambda one: one.get("model_type", "") if "vocab_size" in one else ""
)
def test_each_familys_spelling_is_read(data: dict[str, Any], expected: dict[str, Any]) -> None:
    found = architecture(data, "config.json")
    assert found.problems == ()
    assert expected == {key: found.values[key] for key in expected}


def test_each_value_tells_the_field_it_comes_from() -> None:
    assert "n_embd" == architecture(GPT2, "config.json").origins["hidden"]


def test_the_language_model_within_a_multimodal_one_is_read() -> None:
    found = architecture({"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}, "config.json")
    assert (32, 4096) == (found.values["layers"], found.values["hidden"])


def test_what_stands_beside_the_language_model_is_said_not_to_be_counted() -> None:
    (note,) = architecture({"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 1}}, "c.json").notes
    assert note == "c.json: vision_config is not counted, only its language model."


@pytest.mark.parametrize(("stated", "read"), [(256, 256), (128, None), (True, None), (-1, None)])
def test_heads_are_counted_at_the_width_that_is_stated(stated: Any, read: int | None) -> None:
    assert read == architecture(LLAMA | {"head_dim": stated}, "config.json").values.get("head_dim")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"hidden_size": 8}, "does not say num_hidden_layers, num_attention_heads, vocab_size"),
        (LLAMA | {"hidden_size": "big"}, "hidden_size is 'big', not a positive whole number"),
        (LLAMA | {"num_hidden_layers": True}, "num_hidden_layers is true"),
        (LLAMA | {"vocab_size": -1}, "vocab_size is -1"),
        (LLAMA | {"vocab_size": 10**30}, "not a positive whole number"),
        ({"model_type": "vit", "hidden_size": 768}, "describes a vit"),
    ],
)
def test_what_cannot_be_a_model_is_told(data: dict[str, Any], said: str) -> None:
    found = architecture(data, "config.json")
    assert said in found.problems[0].message
    assert found.problems[0].fix
    assert {} == found.values


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no settings"),
        ("[" * 100_000, "nested too deeply"),
        (" " * (2 << 20), "larger than 1 MiB"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_no_configuration_is_told(tmp_path: Path, content: str | bytes, said: str) -> None:
    (tmp_path / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in read_architecture(tmp_path / "config.json").problems[0].message


def test_a_models_folder_is_read_and_another_folder_a_pipe_and_nothing_are_told(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert "a folder without a config.json" in read_architecture(tmp_path / "model").problems[0].message
    (tmp_path / "model" / "config.json").write_text(json.dumps(GPT2))
    assert 12 == read_architecture(tmp_path / "model").values["layers"]
    os.mkfifo(tmp_path / "pipe.json")
    assert "it is no file" in read_architecture(tmp_path / "pipe.json").problems[0].message
    assert "does not exist" in read_architecture(tmp_path / "none.json").problems[0].message
