"""Which settings a command takes: `${…}`, flags, key=value words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dispatcher.jobfile.words import Word, quoted, references, words
from dispatcher.jobfile.yaml import scalar

SPELLINGS: dict[str, tuple[str, ...]] = {
    "training.batch_size": ("batch_size", "b", "bs", "batch", "per_device_train_batch_size", "micro_batch_size"),
    "training.gradient_accumulation": ("gradient_accumulation", "gradient_accumulation_steps", "grad_accum", "accum",
        "accumulation_steps", "accumulate_grad_batches"),
    "training.epochs": ("epochs", "num_train_epochs", "num_epochs", "n_epochs", "max_epochs"),
    "training.steps": ("steps", "max_steps", "train_steps", "num_steps", "max_train_steps", "max_iters"),
    "training.precision": ("precision", "mixed_precision"),
    "training.optimizer": ("optimizer", "optim", "opt"),
    "training.gradient_checkpointing": ("gradient_checkpointing", "grad_checkpointing", "activation_checkpointing"),
    "training.lora_rank": ("lora_rank", "lora_r"),
    "training.workers": ("workers", "num_workers", "dataloader_num_workers"),
    "dataset.samples": ("samples", "num_samples", "rows", "max_train_samples"),
    "model.layers": ("layers", "n_layer", "n_layers", "num_layers", "num_hidden_layers"),
    "model.hidden": ("hidden", "hidden_size", "n_embd", "d_model"),
    "model.heads": ("heads", "n_head", "n_heads", "num_heads", "num_attention_heads"),
    "model.kv_heads": ("kv_heads", "n_kv_heads", "num_key_value_heads"),
    "model.vocab": ("vocab", "vocab_size"),
    "model.sequence_length": ("sequence_length", "seq_length", "seq_len", "max_seq_length", "max_seq_len", "block_size",
        "context_length", "max_length"),
    "model.image_size": ("image_size", "img_size", "imgsz"),
    "model.trees": ("trees", "n_trees", "num_trees", "n_estimators", "num_boost_round"),
    "model.depth": ("depth", "max_depth"),
    "model.leaves": ("leaves", "num_leaves", "max_leaf_nodes"),
    "model.bins": ("bins", "max_bin", "max_bins"),
}  # fmt: skip
"""Names of flags and of key=value words for a setting; - and _ are the same."""

SWITCHES: dict[str, tuple[str, Any]] = {
    "bf16": ("training.precision", "amp-bf16"),
    "fp16": ("training.precision", "amp-fp16"),
    "amp": ("training.precision", "amp"),
    "gradient_checkpointing": ("training.gradient_checkpointing", True),
    "grad_checkpointing": ("training.gradient_checkpointing", True),
    "activation_checkpointing": ("training.gradient_checkpointing", True),
}
"""Flags that mean something by standing there. Hugging Face's bf16 is autocast."""

PRECISIONS = {
    **{name: name for name in ("fp32", "tf32", "amp", "amp-bf16", "amp-fp16", "bf16", "fp16", "fp8", "int8", "nf4")},
    **dict.fromkeys(("32", "32-true", "float32", "no"), "fp32"),
    **dict.fromkeys(("bf16-mixed",), "amp-bf16"),
    **dict.fromkeys(("16-mixed", "fp16-mixed"), "amp-fp16"),
    **dict.fromkeys(("bf16-true", "bfloat16"), "bf16"),
    **dict.fromkeys(("16-true", "float16"), "fp16"),
}
"""Precisions as scripts, Lightning and Accelerate spell them."""

OPTIMIZERS = {
    **{name: name for name in ("adamw", "adam", "adafactor", "lion", "sgd", "rmsprop", "adagrad", "lamb", "muon")},
    **dict.fromkeys(("adamw_torch", "adamw_torch_fused", "adamw_hf"), "adamw"),
    **dict.fromkeys(("adamw_8bit", "adamw_bnb_8bit", "adamw-8bit"), "adamw-8bit"),
    **dict.fromkeys(("paged_adamw_8bit", "paged-adamw-8bit"), "paged-adamw-8bit"),
    **dict.fromkeys(("paged_adamw", "paged_adamw_32bit", "paged-adamw"), "paged-adamw"),
    **dict.fromkeys(("sgd-momentum", "sgd_momentum", "momentum"), "sgd-momentum"),
    **dict.fromkeys(("lion_8bit", "lion-8bit"), "lion-8bit"),
}
"""Optimizers as scripts and Hugging Face's Trainer spell them."""

GROUPS = ("train", "training", "trainer", "data", "dataset", "model", "optim", "hparams", "cfg", "args")
"""Groups of configuration whose batch_size is the training's: trainer.max_epochs, data.batch_size."""

_NAMES = {spelling: setting for setting, names in SPELLINGS.items() for spelling in names}
_KEY_VALUE = re.compile(r"\+{0,2}([A-Za-z_][A-Za-z0-9_.-]*)=(.+)", re.DOTALL)
_FLAG = re.compile(r"(--?)([A-Za-z][A-Za-z0-9_.-]*)(?:=(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Literal:
    """A setting's value on the command line. `before` is what the word holds before the value; a switch has no value."""

    setting: str
    value: Any
    start: int
    end: int
    before: str = ""
    said: str = ""
    switch: bool = False


def literals(command: str) -> dict[str, tuple[Literal, ...]]:
    """The settings that a command gives, each with every place. One that is given two different values is left out."""
    found: dict[str, list[Literal]] = {}
    for literal in _literals(words(command)):
        found.setdefault(literal.setting, []).append(literal)
    return {setting: tuple(some) for setting, some in found.items() if all(one.value == some[0].value for one in some)}


def bound(command: str) -> frozenset[str]:
    """The settings that can be changed in a command."""
    named = {one.setting for one in references(command)}
    given = {setting for setting, some in literals(command).items() if not any(one.switch for one in some)}
    return frozenset(named | given)


def rewritten(command: str, changes: Mapping[str, str], text_of: Callable[[str], str]) -> str:
    """The command with literals changed and `${…}` replaced; both quoted for the shell where they need it."""
    spans = [
        (one.start, one.end, quoted(one.before + changes[setting]))
        for setting, some in literals(command).items()
        if setting in changes
        for one in some
    ]
    spans += [(one.start, one.end, quoted(text_of(one.setting), one.quote)) for one in references(command)]
    for start, end, text in sorted(spans, reverse=True):
        command = command[:start] + text + command[end:]
    return command


def agree(stated: Any, literal: Any) -> bool:
    """Whether a value in the file and one on the command line are the same. A script's `bf16` may mean autocast."""
    if isinstance(stated, str) and isinstance(literal, str):
        if stated == "amp" or literal == "amp":
            return "16" in stated + literal or stated == literal
        return stated.removeprefix("amp-") == literal.removeprefix("amp-")
    if stated == "selective":
        return literal is True
    if isinstance(stated, bool) or isinstance(literal, bool):
        return stated is literal
    return bool(stated == literal)


def _literals(found: list[Word]) -> Iterator[Literal]:
    started = False
    for index, word in enumerate(found):
        if word.operator:
            started = started and word.text in "<>"
        elif word.first or not started:
            started = started or "=" not in word.text
        elif word.fixed:
            following = found[index + 1] if index + 1 < len(found) and not found[index + 1].operator else None
            yield from _flag(word, following)


def _flag(word: Word, following: Word | None) -> Iterator[Literal]:
    flag = _FLAG.fullmatch(word.text)
    pair = None if flag else _KEY_VALUE.fullmatch(word.text)
    if pair:
        yield from _valued(_setting(pair[1], single=False), pair[2], word, word.text[: -len(pair[2])], word.text)
    if not flag:
        return
    name, value = flag[2], flag[3]
    setting = _setting(name, single=flag[1] == "-")
    switch = SWITCHES.get(name.replace("-", "_")) if flag[1] == "--" else None
    if value is not None:
        yield from (
            _switched(switch, value, word) if switch else _valued(setting, value, word, word.text[: -len(value)], word.text)
        )
    elif switch:
        yield from _switched(switch, following.text if following and _truth(following.text) is not None else "true", word)
    elif following and following.fixed:
        yield from _valued(setting, following.text, following, "", f"{word.text} {following.text}")


def _setting(name: str, *, single: bool) -> str:
    """The setting that a flag or key names; "" where it is none of ours. One letter is a flag only after one -."""
    folded = name.replace("-", "_")
    if folded in SPELLINGS:
        return folded
    group, _, last = folded.rpartition(".")
    if (len(last) == 1) != single or (group and group.rpartition(".")[2] not in GROUPS):
        return ""
    return _NAMES.get(last, "")


def _switched(switch: tuple[str, Any], text: str, word: Word) -> Iterator[Literal]:
    if _truth(text):
        yield Literal(switch[0], switch[1], word.start, word.end, said=word.text, switch=True)


def _truth(text: str) -> bool | None:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.lower())


def _valued(setting: str, text: str, word: Word, before: str, said: str) -> Iterator[Literal]:
    value = _meant(setting, text) if setting else None
    if value is not None:
        yield Literal(setting, value, word.start, word.end, before, said)


def _meant(setting: str, text: str) -> Any:
    """The value as the setting has it; None where it is not one, and the planner is not told."""
    if setting == "training.precision":
        return PRECISIONS.get(text.lower())
    if setting == "training.optimizer":
        return OPTIMIZERS.get(text.lower())
    if setting == "training.gradient_checkpointing":
        return _truth(text)
    value = scalar(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e9:
        return None
    if setting == "training.epochs":
        return value
    return int(value) if value == int(value) else None
