"""A Hugging Face config.json as a model's dimensions."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.domain.values import short
from dispatcher.errors import Problem

LARGEST = 1 << 20
MOST = 10**9

SPELLINGS: dict[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim", "model_dim"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "ffn": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size", "hidden_dim", "encoder_ffn_dim",
        "decoder_ffn_dim"),
    "vocab": ("vocab_size", "padded_vocab_size"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "active_experts": ("num_experts_per_tok", "num_experts_per_token"),
}  # fmt: skip
"""Our keys, and the names that published configurations give them (transformers 4.57, read 2026-11)."""

REQUIRED = ("layers", "hidden", "heads", "vocab")
ENCODERS = frozenset({
    "bert", "roberta", "distilbert", "electra", "deberta", "deberta-v2", "albert", "xlm-roberta", "camembert", "mpnet",
    "modernbert", "nomic_bert", "longformer", "big_bird", "esm", "layoutlm", "funnel",
})  # fmt: skip
BOTH = frozenset({"t5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "marian", "m2m_100", "led", "switch_transformers"})
GATED = frozenset({
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3", "gemma3_text",
    "phi3", "phimoe", "cohere", "cohere2", "olmo", "olmo2", "olmoe", "stablelm", "deepseek", "deepseek_v2", "deepseek_v3",
    "granite", "internlm2", "yi", "baichuan", "smollm3", "modernbert", "starcoder", "exaone",
})  # fmt: skip
PLAIN = frozenset({
    "gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "RefinedWeb", "RefinedWebModel", "gpt_bigcode",
    "starcoder2", "phi", "mpt", "codegen", "nemotron", "bart", "mbart", "pegasus", "marian", "m2m_100",
}) | (ENCODERS - {"modernbert", "nomic_bert"})  # fmt: skip
UNTIED = GATED - {"gemma", "gemma2", "gemma3", "gemma3_text", "cohere", "cohere2", "modernbert", "smollm3"} | {
    "phi", "gptj", "gpt_neox", "codegen", "nemotron",
}  # fmt: skip
"""Types whose configuration class has tie_word_embeddings false unless it is said; all others tie."""

BESIDE = ("vision_config", "audio_config")
"""Towers that stand beside a language model."""
OTHER = frozenset({"vit", "deit", "swin", "beit", "convnext", "resnet", "dinov2", "detr", "yolos", "clip", "siglip", "wav2vec2",
    "hubert", "sam"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Architecture:
    """Our keys with values, the field that each comes from, what is wrong, and what a reader should know."""

    values: dict[str, Any]
    origins: dict[str, str]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def read_architecture(path: Path) -> Architecture:
    """The dimensions in a config.json, or in the one in a folder. Never raises for what stands there."""
    name = path.name if len(path.name) <= 60 else f"{path.name[:60]}…"
    try:
        file = path / "config.json" if path.is_dir() and (path / "config.json").is_file() else path
        data = json.loads(_text(file))
    except FileNotFoundError:
        return _wrong(f"{name} does not exist.", "It lies below workdir: hf download MODEL config.json")
    except json.JSONDecodeError as why:
        return _wrong(f"{name} is not JSON: {why.msg}, line {why.lineno}.", "Name a Hugging Face config.json.")
    except RecursionError:
        return _wrong(f"{name} is nested too deeply.", "Name a Hugging Face config.json.")
    except (OSError, ValueError) as why:
        return _wrong(f"{name} cannot be read: {getattr(why, 'strerror', None) or why}.", "Name a config.json.")
    if not isinstance(data, Mapping):
        return _wrong(f"{name} holds no settings.", "Name a Hugging Face config.json.")
    return architecture(data, file.name)


def architecture(data: Mapping[str, Any], name: str) -> Architecture:
    """The dimensions in a configuration that is parsed already; `name` is the file's, for messages."""
    inner = data.get("text_config")
    beside = tuple(part for part in BESIDE if data.get(part))
    if isinstance(inner, Mapping) and "num_hidden_layers" not in data:
        data = {**inner, "architectures": data.get("architectures")}
    kind = str(data.get("model_type") or "")
    if kind in OTHER:
        return _wrong(f"{name} describes a {kind}, which is no language model.", "Write model.name instead.")
    values, origins, problems = _dimensions(data, name)
    missing = [key for key in REQUIRED if key not in values]
    if missing and not problems:
        names = ", ".join(SPELLINGS[key][0] for key in missing)
        problems = [Problem(f"{name} does not say {names}.", "Is it a model's config.json? Or add " + _keys(missing) + ".")]
    if problems:
        return Architecture({}, {}, tuple(problems))
    values["family"], origins["family"] = "transformer", "model_type"
    for key, value, field in _traits(data, kind):
        values[key], origins[key] = value, field
    if (head := _head(data, values)) is not None:
        values["head_dim"], origins["head_dim"] = head, "head_dim"
    notes = (f"{name}: {' and '.join(beside)} {'is' if len(beside) == 1 else 'are'} not counted, only its language model.",)
    return Architecture(values, origins, notes=notes if beside else ())


def _text(file: Path) -> str:
    facts = file.stat()
    if stat.S_ISDIR(facts.st_mode):
        raise ValueError("it is a folder without a config.json")
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it is no file")
    if facts.st_size > LARGEST:
        raise ValueError("it is larger than 1 MiB, and a config.json is not")
    return file.read_text(encoding="utf-8")


def _keys(missing: list[str]) -> str:
    return ", ".join(f"model.{key}" for key in missing)


def _dimensions(data: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[Problem] = []
    for key, spellings in SPELLINGS.items():
        field = next((one for one in spellings if data.get(one) is not None), None)
        if field is None:
            continue
        value = data[field]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
            problems.append(Problem(f"{name}: {field} is {short(value)}, not a positive whole number.", "Mend the file."))
        else:
            values[key], origins[key] = value, field
    if "experts" in values and isinstance(data.get("moe_intermediate_size"), int):
        values["ffn"], origins["ffn"] = data["moe_intermediate_size"], "moe_intermediate_size"
    if data.get("multi_query") is True and not data.get("new_decoder_architecture"):
        values["kv_heads"], origins["kv_heads"] = 1, "multi_query"
    return values, origins, problems


def _traits(data: Mapping[str, Any], kind: str) -> list[tuple[str, Any, str]]:
    """Halves, feed-forward form and tied embeddings: stated, else the type's own."""
    found: list[tuple[str, Any, str]] = [("kind", _kind(data, kind), "model_type")]
    mlp = "gated" if kind in GATED else "plain" if kind in PLAIN else None
    if isinstance(data.get("feed_forward_proj"), str):
        mlp = "gated" if data["feed_forward_proj"].startswith("gated") else "plain"
    if mlp:
        found.append(("mlp", mlp, "model_type"))
    stated = data.get("tie_word_embeddings")
    tied = stated if isinstance(stated, bool) else kind not in UNTIED
    found.append(("tied_embeddings", tied, "tie_word_embeddings" if isinstance(stated, bool) else "model_type"))
    return found


def _kind(data: Mapping[str, Any], kind: str) -> str:
    classes = " ".join(map(str, data.get("architectures") or ()))
    if data.get("is_encoder_decoder") is True or kind in BOTH:
        return "encoder-decoder"
    if kind in ENCODERS and data.get("is_decoder") is not True:
        return "encoder"
    return "encoder" if "MaskedLM" in classes else "decoder"


def _head(data: Mapping[str, Any], values: Mapping[str, Any]) -> int | None:
    """The width of a head, where it is stated and not what is left of the hidden size."""
    head = data.get("head_dim")
    said = isinstance(head, int) and not isinstance(head, bool) and 0 < head <= MOST
    return head if said and head * values["heads"] != values["hidden"] else None


def _wrong(message: str, fix: str) -> Architecture:
    return Architecture({}, {}, (Problem(message, fix),))
