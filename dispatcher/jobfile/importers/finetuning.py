"""Files of Hugging Face Trainer, axolotl and LLaMA-Factory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatcher.jobfile.importers.fields import (
    Field,
    Found,
    get,
    model_name,
    number,
    optimizer,
    positive,
    sharding,
    targets,
    text,
    yes,
)


def _fsdp(value: Any) -> str | None:
    """`fsdp` is a text ("full_shard auto_wrap"), a list of such words, or empty."""
    words = " ".join(value) if isinstance(value, list) else str(value or "")
    if "shard_grad_op" in words:
        return "zero2"
    return "fsdp" if "shard" in words or value is True else None


_TRAINER = (
    Field("per_device_train_batch_size", "training.batch_size", number),
    Field("gradient_accumulation_steps", "training.gradient_accumulation", number),
    Field("max_steps", "training.steps", positive),
    Field("num_train_epochs", "training.epochs", number),
    Field("bf16", "training.precision", yes("amp-bf16")),
    Field("fp16", "training.precision", yes("amp-fp16")),
    Field("optim", "training.optimizer", optimizer),
    Field("gradient_checkpointing", "training.gradient_checkpointing", yes(setting=True)),
    Field("torch_compile", "training.compile", yes(setting=True)),
    Field("deepspeed", "training.sharding", sharding),
    Field("fsdp", "training.sharding", _fsdp),
    Field("dataloader_num_workers", "training.workers", positive),
    Field("output_dir", "outputs", lambda value: [value] if text(value) else None),
    Field("model_name_or_path", "model.name", model_name),
)
TRAINER = (
    *_TRAINER,
    Field("max_seq_length", "model.sequence_length", positive),
    Field("max_length", "model.sequence_length", positive),
    Field("block_size", "model.sequence_length", positive),
)
"""Hugging Face TrainingArguments and the model and data arguments of its example scripts."""


def _adapter(value: Any) -> Found:
    return {"training.method": value} if value in ("lora", "qlora") else {}


AXOLOTL = (
    Field("base_model", "model.name", model_name),
    Field("sequence_len", "model.sequence_length", positive),
    Field("micro_batch_size", "training.batch_size", number),
    Field("gradient_accumulation_steps", "training.gradient_accumulation", number),
    Field("max_steps", "training.steps", positive),
    Field("num_epochs", "training.epochs", number),
    Field("optimizer", "training.optimizer", optimizer),
    Field("adapter", "", _adapter),
    Field("lora_r", "training.lora_rank", positive),
    Field("lora_target_linear", "training.lora_targets", yes("all-linear")),
    Field("lora_target_modules", "training.lora_targets", targets),
    Field("bf16", "training.precision", lambda value: "bf16" if value == "full" else yes("amp-bf16")(value)),
    Field("fp16", "training.precision", yes("amp-fp16")),
    Field("gradient_checkpointing", "training.gradient_checkpointing", lambda value: True if value else None),
    Field("flash_attention", "training.attention", yes("flash")),
    Field("attn_implementation", "training.attention", {"flash_attention_2": "flash", "sdpa": "sdpa", "eager": "eager"}.get),
    Field("sdp_attention", "training.attention", yes("sdpa")),
    Field("eager_attention", "training.attention", yes("eager")),
    Field("torch_compile", "training.compile", yes(setting=True)),
    Field("deepspeed", "training.sharding", sharding),
    Field("fsdp", "training.sharding", _fsdp),
    Field("fsdp_config", "training.sharding", lambda value: "fsdp" if value else None),
    Field("fsdp_config.fsdp_offload_params", "training.offload", yes("parameters")),
    Field("fsdp_config.offload_params", "training.offload", yes("parameters")),
    Field("lora_modules_to_save", "training.train_embeddings", lambda value: True if "embed_tokens" in (value or ()) else None),
    Field(
        "datasets.0.path",
        "dataset.path",
        lambda value: f"hf://{value}" if text(value) and not str(value).startswith((".", "/")) else value,
    ),
    Field("output_dir", "outputs", lambda value: [value] if text(value) else None),
)
"""axolotl's configuration."""


def _finetuning_type(value: Any) -> Found:
    return {"training.method": value} if value in ("lora", "full") else {}


def _quantised(value: Any) -> Found:
    return {"training.method": "qlora"} if str(value) == "4" else {}


LLAMA_FACTORY = (
    Field("quantization_bit", "", _quantised),
    Field("finetuning_type", "", _finetuning_type),
    Field("pure_bf16", "training.precision", yes("bf16")),
    *_TRAINER,
    Field("lora_rank", "training.lora_rank", positive),
    Field("lora_target", "training.lora_targets", targets),
    Field("cutoff_len", "model.sequence_length", positive),
    Field("flash_attn", "training.attention", {"fa2": "flash", "sdpa": "sdpa", "disabled": "eager"}.get),
    Field("preprocessing_num_workers", "training.workers", lambda _value: None),
)
"""LLaMA-Factory's training arguments, which extend Hugging Face's."""


SETTLED = ("load_in_4bit", "stage", "disable_gradient_checkpointing")
"""Names that `settle` reads."""
PACKING = ("sample_packing", "packing", "neat_packing")


def cautions(form: str, data: Any) -> tuple[str, ...]:
    """What a file asks for that changes what its figures mean."""
    name, chosen = next(((one, get(data, one)) for one in ("optim", "optimizer") if get(data, one)), ("", None))
    tuned = form in ("axolotl", "llama-factory", "hf-trainer")
    unknown = (f"{name}: {chosen!r} is no optimizer that the planner knows. Counted as AdamW: state training.optimizer.",)
    said = unknown if tuned and chosen and not optimizer(chosen) else ()
    packed = next((one for one in PACKING if tuned and get(data, one) is True), "")
    words = "puts several samples into each sequence: an epoch has fewer sequences than samples."
    said = (*said, f"{packed} {words} For its time, state training.tokens or training.steps.") if packed else said
    if form == "axolotl" and not get(data, "adapter") and get(data, "bf16") in (True, "auto"):
        said = (
            *said,
            "axolotl trains 16-bit weights where it reads bf16: counted as 32-bit ones; precision: bf16 counts them so.",
        )
    return said


def contradicting(form: str, data: Any) -> Iterator[str]:
    """What a file asks for that cannot be together: the name, and why."""
    if form in ("axolotl", "llama-factory", "hf-trainer") and get(data, "bf16") is True and get(data, "fp16") is True:
        yield "bf16 and fp16: One of the two is what the trainer takes: keep one."


FROZEN = {"amp-bf16": "bf16", "amp-fp16": "fp16"}
"""LLaMA-Factory loads a base whose weights are not trained in the type it computes in (its parser.py, adapter.py, 2025-09).

So does axolotl, whose `bf16: true` is the type of every base (utils/config/__init__.py and loaders/model.py, 2025-07).
"""


def settle(form: str, found: Found, data: Any) -> Found:
    """What follows from several of a file's values together, or from the format's own defaults."""
    if found.get("training.steps"):
        found.pop("training.epochs", None)
    if form == "axolotl" and found.get("training.method") == "lora" and data.get("load_in_4bit") is True:
        found["training.method"] = "qlora"
    if form == "llama-factory":
        found.setdefault("training.method", "lora")
        found.setdefault("training.gradient_checkpointing", data.get("disable_gradient_checkpointing") is not True)
    if form in ("axolotl", "llama-factory"):
        if found.get("training.method") == "lora" and found.get("training.precision") in FROZEN:
            found["training.precision"] = FROZEN[found["training.precision"]]
        found.setdefault("task", "train" if get(data, "stage") == "pt" else "finetune")
        found["model.family"] = "transformer"
    return found
