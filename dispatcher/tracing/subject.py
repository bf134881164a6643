"""What of a job is traced: its network, its inputs, its precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dispatcher.catalog.networks import find_network
from dispatcher.domain.job import JobConfig, Model
from dispatcher.planner.workload import infer_family
from dispatcher.planner.workload.shapes import Shape, shape_of
from dispatcher.planner.workload.work import batch_of, task_of

CHANNELS = 3
IMAGE = 224
RANK = 8
"""PEFT's default rank, and its default targets in decoders."""
TARGETS = ("q_proj", "v_proj")
LARGEST_CONFIG = 1_000_000
POSITIONS = 1024
"""Positions that GPT-2 learns."""
WIDTHS = {
    "fp32": ("fp32", "", ""), "tf32": ("fp32", "", ""), "bf16": ("half", "bf16", ""), "fp16": ("half", "bf16", ""),
    "amp": ("autocast", "", "bf16"), "amp-bf16": ("autocast", "", "bf16"), "amp-fp16": ("autocast", "", "bf16"),
    "fp8": ("autocast", "", "bf16"),
}  # fmt: skip
"""How wide a precision's numbers are, the type of the weights, and the type that autocast casts to. Both 16-bit types are
as wide, and the processor's kernels know bf16 better."""
AUTO = {
    "decoder": "AutoModelForCausalLM",
    "encoder": "AutoModelForSequenceClassification",
    "encoder-decoder": "AutoModelForSeq2SeqLM",
}
LABELS = {
    "CausalLM": "tokens", "MaskedLM": "tokens", "TokenClassification": "tokens", "Seq2SeqLM": "tokens",
    "ConditionalGeneration": "tokens", "LMHeadModel": "tokens",
    "SequenceClassification": "classes", "ImageClassification": "classes",
}  # fmt: skip
"""What the labels of a Hugging Face class are, by the end of its name."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What the trial is asked, and what the answer is to be read with. `code` tells whether it loads the user's own."""

    request: dict[str, Any]
    name: str
    width: str
    tokens: float
    code: bool
    notes: tuple[str, ...] = ()


DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")


class CannotTrace(Exception):
    """Why a job's network cannot even be asked for, as a sentence."""


def subject_of(job: JobConfig, workdir: Path) -> Subject:
    """What to trace. Raises CannotTrace, or UnknownError where the job does not say what it is."""
    if job.model is None:
        raise CannotTrace("the job names no model")
    width, weights, cast = _width(job)
    network, note = _network(job, workdir)
    family = infer_family(job)
    given, named, guessed, tokens = _inputs(job, family, network)
    training = task_of(job) != "inference"
    request = {
        "subject": network,
        "inputs": given,
        "named": named,
        "guessed": guessed,
        "batch": max(2, min(batch_of(job), 1024)),
        "width": weights or "fp32",
        "cast": cast,
        "training": training,
        "lora": _lora(job) if training else None,
        "attention": "eager" if job.training.attention == "eager" else "sdpa",
        "causal": _decodes(network),
    }
    name = job.model.name or job.model.factory or job.model.config or "the model"
    return Subject(request, name, width, tokens, "factory" in network, (note,) if note else ())


def _width(job: JobConfig) -> tuple[str, str, str]:
    precision, train = job.training.precision or "fp32", job.training
    if precision not in WIDTHS or train.method == "qlora":
        raise CannotTrace("layers of a quantised base are bitsandbytes' own, which need the GPU to be built")
    width, weights, cast = WIDTHS[precision]
    if cast and train.sharding in ("zero2", "zero3", "fsdp"):
        return "half", "bf16", ""
    return width, weights, cast


def _network(job: JobConfig, workdir: Path) -> tuple[dict[str, Any], str]:
    """What to build, and a word on how it was rebuilt."""
    model = job.model
    assert model is not None
    if model.factory:
        if ":" not in model.factory:
            raise CannotTrace(f"model.factory is {model.factory!r}: write pkg.mod:build")
        return {"factory": model.factory}, ""
    if model.config:
        return {"config": _read_config(workdir / model.config), "class": _stated_class(model)}, ""
    family = infer_family(job)
    if family == "transformer":
        shape = shape_of(model)
        settings = rebuilt(shape, model.sequence_length or 0)
        found = {"config": settings, "class": AUTO[shape.kind]}
        return found, f"Traced as a {settings['model_type']} model of the same dimensions: {model.name or 'it'} may differ."
    if family == "vision" and model.name:
        known = find_network(model.name)
        return {"network": known.name if known else model.name}, ""
    raise CannotTrace(f"a {family} model cannot be rebuilt from its name: give model.factory")


def _stated_class(model: Model) -> str:
    return AUTO[model.kind] if model.kind else ""


def _read_config(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            found = json.loads(stream.read(LARGEST_CONFIG))
    except OSError as why:
        raise CannotTrace(f"{file.name} cannot be read: {why.strerror}") from None
    except ValueError:
        raise CannotTrace(f"{file.name} is not JSON") from None
    if not isinstance(found, dict) or not isinstance(found.get("model_type"), str):
        raise CannotTrace(f"{file.name} names no model_type")
    return found


def rebuilt(shape: Shape, tokens: int = 0) -> dict[str, Any]:
    """A Hugging Face configuration of these dimensions. Raises CannotTrace where there is no plain one."""
    if shape.experts:
        raise CannotTrace("which experts a token passes through depends on its values")
    if shape.kind == "encoder-decoder":
        return _both_halves(shape)
    if shape.kind == "encoder":
        return {**_plain_names(shape), "model_type": "bert", "intermediate_size": shape.ffn}
    if not shape.gated:
        if shape.kv_heads != shape.heads:
            raise CannotTrace("a plain decoder with shared key heads has no common class to rebuild it with")
        return {
            "model_type": "gpt2", "n_embd": shape.hidden, "n_layer": shape.layers, "n_head": shape.heads, "n_inner": shape.ffn,
            "vocab_size": shape.vocab, "tie_word_embeddings": shape.tied, "n_positions": max(tokens, POSITIONS),
            "activation_function": "gelu_new" if shape.composed else "gelu", "loss_type": "ForCausalLMLoss",
        }  # fmt: skip
    sized = {"head_dim": shape.head_dim} if shape.head_dim else {}
    return {
        **_plain_names(shape), **sized, "model_type": "llama", "intermediate_size": shape.ffn,
        "num_key_value_heads": shape.kv_heads, "tie_word_embeddings": shape.tied,
    }  # fmt: skip


def _plain_names(shape: Shape) -> dict[str, Any]:
    return {
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "vocab_size": shape.vocab, "max_position_embeddings": 131072 if shape.kind == "decoder" else 512,
    }  # fmt: skip


def _both_halves(shape: Shape) -> dict[str, Any]:
    return {
        "model_type": "t5", "d_model": shape.hidden, "d_kv": shape.head_dim or shape.hidden // shape.heads, "d_ff": shape.ffn,
        "num_layers": shape.layers, "num_decoder_layers": shape.decoder_layers, "num_heads": shape.heads,
        "vocab_size": shape.vocab, "feed_forward_proj": "gated-gelu" if shape.gated else "relu",
        "tie_word_embeddings": shape.tied,
    }  # fmt: skip


def _decodes(network: dict[str, Any]) -> bool:
    """Whether attention looks back only; fused kernels skip the other half."""
    classes = (network.get("config", {}).get("architectures") or [""])[0], network.get("class", "")
    return any(name.endswith(("CausalLM", "LMHeadModel")) for name in classes if name)


def _inputs(job: JobConfig, family: str, network: dict[str, Any]) -> tuple[list[Any], dict[str, Any], bool, float]:
    """Positional inputs, inputs by name, whether their type is a guess, and tokens per sample."""
    model = job.model
    assert model is not None
    if model.input is not None:
        given, named = stated_inputs(model.input)
        whole = any("dtype" in one for one in (*given, *named.values()))
        return given, named, not whole, 1.0 if not model.sequence_length else float(model.sequence_length)
    if "config" in network:
        return _for_config(model, network)
    if model.sequence_length and not model.image_size and family != "vision":
        return [{"shape": [model.sequence_length], "dtype": "int64"}], {}, False, float(model.sequence_length)
    known = find_network(model.name) if model.name else None
    size = model.image_size or (known.image_size if known else None)
    if "factory" in network and not size:
        raise CannotTrace("the shape of one sample is not stated: add model.input, like [3, 224, 224]")
    return [{"shape": [CHANNELS, size or IMAGE, size or IMAGE]}], {}, False, 1.0


def _for_config(model: Model, network: dict[str, Any]) -> tuple[list[Any], dict[str, Any], bool, float]:
    settings = network["config"]
    stated = (settings.get("architectures") or [network.get("class", "")])[0]
    labels = next((what for end, what in LABELS.items() if stated.endswith(end)), "")
    if "image_size" in settings and "vocab_size" not in settings:
        size = model.image_size or settings["image_size"]
        named: dict[str, Any] = {"pixel_values": {"shape": [settings.get("num_channels", CHANNELS), size, size]}}
        return [], named | ({"labels": {"shape": [], "dtype": "int64"}} if labels else {}), False, 1.0
    if not model.sequence_length:
        raise CannotTrace("the sequence length is not stated: add model.sequence_length")
    tokens = {"shape": [model.sequence_length], "dtype": "int64"}
    wanted = {"tokens": tokens, "classes": {"shape": [], "dtype": "int64"}}
    named = {"input_ids": tokens} | ({"labels": wanted[labels]} if labels else {})
    return [], named, False, float(model.sequence_length)


def stated_inputs(stated: Any) -> tuple[list[Any], dict[str, Any]]:
    """`model.input` as positional inputs and inputs by name: a shape, a list of shapes, or shapes by name."""
    if isinstance(stated, dict) and "shape" not in stated:
        return [], {str(name): one_input(one) for name, one in stated.items()}
    if isinstance(stated, (list, tuple)) and stated and all(isinstance(one, (list, tuple, dict)) for one in stated):
        return [one_input(one) for one in stated], {}
    return [one_input(stated)], {}


def one_input(stated: Any) -> dict[str, Any]:
    """One input: 128, [3, 224, 224], [128, int64], or {shape: [128], dtype: int64}. Raises CannotTrace."""
    if isinstance(stated, dict):
        found, dtype = one_input(stated.get("shape", [])), stated.get("dtype")
        if dtype is not None and dtype not in DTYPES:
            raise CannotTrace(f"model.input has the type {dtype!r}: use one of {', '.join(DTYPES)}")
        return found | ({"dtype": dtype} if dtype else {})
    items = list(stated) if isinstance(stated, (list, tuple)) else [stated]
    dtype = {"dtype": items.pop()} if len(items) > 1 and items[-1] in DTYPES else {}
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in items):
        raise CannotTrace(f"model.input {stated!r} is not a shape: write [3, 224, 224], or [128, int64] for tokens")
    return {"shape": items, **dtype}


def _lora(job: JobConfig) -> dict[str, Any] | None:
    train = job.training
    if train.method == "full":
        return None
    targets = train.lora_targets or TARGETS
    return {"rank": train.lora_rank or RANK, "targets": targets if targets == "all-linear" else list(targets)}
