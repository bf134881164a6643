"""What calls of neural-network libraries say of a training."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any

from dispatcher.jobfile.importers.fields import OPTIMIZERS, targets
from dispatcher.jobfile.importers.fields import sharding as zero_stage
from dispatcher.jobfile.readings import CERTAIN, GIVEN, NAMED, Argument, Reading, positive, read, whole
from dispatcher.jobfile.scope import Scope, called, last

TRAINERS = ("TrainingArguments", "Seq2SeqTrainingArguments")
TUNERS = ("SFTConfig", "DPOConfig", "ORPOConfig", "KTOConfig", "RewardConfig", "CPOConfig", "UnslothTrainingArguments")


def _on(setting: Any) -> Callable[[Any], Any]:
    return lambda value: setting if value is True else None


def _mixed(value: Any) -> str | None:
    """Precision as Lightning and Accelerate spell it."""
    from dispatcher.jobfile.bound import PRECISIONS

    text = str(value).lower()
    return {"bf16": "amp-bf16", "fp16": "amp-fp16", "16": "amp-fp16"}.get(text) or PRECISIONS.get(text)


ARGUMENTS: dict[str, Argument] = {
    "per_device_train_batch_size": Argument("training.batch_size", whole),
    "gradient_accumulation_steps": Argument("training.gradient_accumulation", whole),
    "num_train_epochs": Argument("training.epochs", positive),
    "max_steps": Argument("training.steps", whole),
    "bf16": Argument("training.precision", _on("amp-bf16")),
    "fp16": Argument("training.precision", _on("amp-fp16")),
    "optim": Argument("training.optimizer", lambda value: OPTIMIZERS.get(str(value).lower())),
    "gradient_checkpointing": Argument("training.gradient_checkpointing", _on(setting=True)),
    "torch_compile": Argument("training.compile", _on(setting=True)),
    "deepspeed": Argument("training.sharding", zero_stage),
    "fsdp": Argument("training.sharding", lambda value: "fsdp" if value else None),
    "dataloader_num_workers": Argument("training.workers", whole),
    "max_seq_length": Argument("model.sequence_length", whole),
    "max_length": Argument("model.sequence_length", whole),
}
"""Arguments of Hugging Face's training classes; TrainingArguments itself has no lengths."""

DEFAULTS = {"training.batch_size": 8, "training.epochs": 3, "training.optimizer": "adamw"}
"""What TrainingArguments takes for what it is not given (transformers' documentation, 2026-11)."""

KNOWN: dict[tuple[str, ...], dict[str, Argument]] = {
    ("DataLoader",): {
        "batch_size": Argument("training.batch_size", whole),
        "num_workers": Argument("training.workers", lambda value: value if isinstance(value, int) else None),
    },
    ("Accelerator",): {
        "mixed_precision": Argument("training.precision", _mixed),
        "gradient_accumulation_steps": Argument("training.gradient_accumulation", whole),
    },
    ("Trainer",): {
        "precision": Argument("training.precision", _mixed),
        "max_epochs": Argument("training.epochs", positive),
        "max_steps": Argument("training.steps", whole),
        "accumulate_grad_batches": Argument("training.gradient_accumulation", whole),
    },
    ("LoraConfig", "get_peft_model"): {
        "r": Argument("training.lora_rank", whole),
        "target_modules": Argument("training.lora_targets", targets),
        "modules_to_save": Argument(
            "training.train_embeddings", lambda value: True if "embed_tokens" in (value or ()) else None
        ),
    },
    ("tokenizer", "tokenize", "encode_plus", "batch_encode_plus"): {
        "max_length": Argument("model.sequence_length", whole),
    },
    ("from_pretrained",): {"max_seq_length": Argument("model.sequence_length", whole)},
    ("train",): {
        "imgsz": Argument("model.image_size", whole),
        "batch": Argument("training.batch_size", whole),
        "epochs": Argument("training.epochs", positive),
    },
    ("fit",): {
        "batch_size": Argument("training.batch_size", whole),
        "epochs": Argument("training.epochs", positive),
    },
}
"""Arguments of functions and classes that are known by name."""

OPTIMIZER_CLASSES = {
    "AdamW": "adamw", "Adam": "adam", "SGD": "sgd", "RMSprop": "rmsprop", "Adagrad": "adagrad", "Adafactor": "adafactor",
    "Lion": "lion", "Lion8bit": "lion-8bit", "AdamW8bit": "adamw-8bit", "Adam8bit": "adamw-8bit",
    "Lamb": "lamb", "LAMB": "lamb",
    "PagedAdamW8bit": "paged-adamw-8bit", "PagedAdamW": "paged-adamw", "PagedAdamW32bit": "paged-adamw", "Muon": "muon",
    "FusedAdam": "adamw", "DeepSpeedCPUAdam": "adamw",
}  # fmt: skip
"""Optimizers by class, of PyTorch, transformers, bitsandbytes, timm and DeepSpeed."""

NETWORKS = re.compile(
    r"(resnet|resnext|wide_resnet|vgg|densenet|mobilenet|efficientnet|regnet|convnext|vit|swin|maxvit|squeezenet|shufflenet"
    r"|mnasnet|inception|googlenet|alexnet|fasterrcnn|maskrcnn|retinanet|ssd|ssdlite|fcos|deeplabv3|fcn|lraspp)"
    r"(_?[a-z]*_?\d+\w*|_(small|base|large|tiny)\w*|_[bs]\w*)?"
)
"""Functions of torchvision that are networks by name."""

CROPS = ("RandomResizedCrop", "RandomCrop", "CenterCrop", "Resize")
"""Transforms that decide the image's size, the surest first."""

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
_AUTOCAST = {"bfloat16": "amp-bf16", "float16": "amp-fp16", "half": "amp-fp16"}
_ASIDE = re.compile(r"Tokenizer|Processor|Config|Extractor|Scheduler|Vae|VAE|Autoencoder|Metric")
_QUANTISED = re.compile(r"(-unsloth)?-bnb-4bit$")


def read_call(scope: Scope, call: ast.Call, libraries: frozenset[str]) -> Iterator[Reading]:
    """Every setting that one call says."""
    name, given = called(call), scope.keywords(call)
    if name in TRAINERS or name in TUNERS:
        yield from _trainer(scope, call, name, given)
    if name == "HfArgumentParser":
        yield from _parsed(call)
    for names, arguments in KNOWN.items():
        if name in names and not (name in ("train", "fit") and not libraries & _OWNERS[name]):
            yield from _keywords(scope, call, arguments, given)
    yield from _model(scope, call, name, given, libraries)
    yield from _memory(scope, call, name, given)


_OWNERS = {"train": {"ultralytics"}, "fit": {"keras", "tensorflow"}}


def _trainer(scope: Scope, call: ast.Call, name: str, given: dict[str, ast.AST]) -> Iterator[Reading]:
    found = [reading for key, node in given.items() if key in ARGUMENTS for reading in _one(scope, ARGUMENTS[key], node)]
    yield from found
    said = {reading.setting for reading in found}
    for setting, value in DEFAULTS.items():
        if setting not in said and not (setting == "training.epochs" and "training.steps" in said):
            yield Reading(setting, value, call.lineno, strength=NAMED, words=f"the default of {name}, called in")


def _parsed(call: ast.Call) -> Iterator[Reading]:
    """TrainingArguments that come from the command line have its defaults, and flags of their own."""
    if any(last(node) in TRAINERS for node in ast.walk(call)):
        for setting, flag in (("training.batch_size", "per_device_train_batch_size"), ("training.epochs", "num_train_epochs")):
            words = "the default of TrainingArguments, parsed in"
            yield Reading(setting, DEFAULTS[setting], call.lineno, f"--{flag}", NAMED, words)


def _keywords(scope: Scope, call: ast.Call, arguments: dict[str, Argument], given: dict[str, ast.AST]) -> Iterator[Reading]:
    sure = CERTAIN if called(call) != "DataLoader" or _learned_from(scope, given) else GIVEN
    for key, node in given.items():
        if key in arguments:
            yield from _one(scope, arguments[key], node, sure)
    if called(call) == "DataLoader" and len(call.args) > 1 and "batch_size" not in given:
        yield from _one(scope, arguments["batch_size"], call.args[1], sure)


def _learned_from(scope: Scope, given: dict[str, ast.AST]) -> bool:
    """Loaders that shuffle feed the training; the others may be for its tests."""
    shuffle = scope.read(given.get("shuffle"))
    return bool(shuffle and shuffle.value) or "sampler" in given


def _one(scope: Scope, argument: Argument, node: ast.AST, strength: int = CERTAIN) -> Iterator[Reading]:
    yield from read(scope, argument.setting, node, convert=argument.convert, strength=strength)


def _looked_up(made: ast.expr) -> ast.expr | None:
    """The name in models.__dict__[name](…), vars(models)[name](…) and getattr(models, name)(…)."""
    if isinstance(made, ast.Subscript) and (last(made.value) == "__dict__" or called(made.value) == "vars"):
        return made.slice
    if isinstance(made, ast.Call) and called(made) == "getattr" and len(made.args) > 1:
        return made.args[1]
    return None


def _model(scope: Scope, call: ast.Call, name: str, given: dict[str, ast.AST], libraries: frozenset[str]) -> Iterator[Reading]:
    owner = last(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name == "from_pretrained":
        node = call.args[0] if call.args else given.get("pretrained_model_name_or_path") or given.get("model_name")
        if node is not None:
            yield from read(scope, "model.name", node, convert=_named, strength=NAMED if _ASIDE.search(owner) else CERTAIN)
        yield from _weights(call, given, model=_ASIDE.search(owner) is None)
    elif name in ("create_model", "get_model", "YOLO") and call.args:
        yield from read(scope, "model.name", call.args[0], convert=_named)
    elif name in CROPS:
        size = call.args[0] if call.args else given.get("size")
        if size is not None:
            sure = (CERTAIN, CERTAIN, GIVEN, NAMED)[CROPS.index(name)]
            yield from read(scope, "model.image_size", size, convert=_side, strength=sure)
    elif libraries & {"torchvision", "timm"} and (node := _looked_up(call.func)) is not None:
        yield from read(scope, "model.name", node, convert=_named)
    elif libraries & {"torchvision"} and NETWORKS.fullmatch(name):
        yield Reading("model.name", name, call.lineno)


def _weights(call: ast.Call, given: dict[str, ast.AST], *, model: bool) -> Iterator[Reading]:
    """The type in which the weights are loaded, where it is written out."""
    node = given.get("torch_dtype") or given.get("dtype")
    text = last(node) or (node.value if isinstance(node, ast.Constant) else "")
    if model and text in _DTYPES:
        yield Reading("weights", _DTYPES[str(text)], call.lineno)


def _memory(scope: Scope, call: ast.Call, name: str, given: dict[str, ast.AST]) -> Iterator[Reading]:
    """Precision, optimizer, adapters, checkpointing and compilation."""
    if name in OPTIMIZER_CLASSES and not (isinstance(call.func, ast.Name) and not call.args and not given):
        momentum = scope.read(given.get("momentum"))
        heavy = name == "SGD" and momentum is not None and momentum.value
        yield Reading("training.optimizer", "sgd-momentum" if heavy else OPTIMIZER_CLASSES[name], call.lineno)
    if name == "autocast":
        yield from _autocast(scope, call, given)
    if name in ("LoraConfig", "get_peft_model"):
        yield Reading("adapters", value=True, line=call.lineno)
    if name == "LoraConfig" and "r" not in given:
        yield Reading("training.lora_rank", 8, call.lineno, strength=NAMED, words="the default of LoraConfig, called in")
    four = scope.read(given.get("load_in_4bit"))
    if four and four.value is True:
        yield Reading("four_bit", value=True, line=call.lineno)
    if name in ("gradient_checkpointing_enable", "set_grad_checkpointing"):
        yield Reading("training.gradient_checkpointing", value=True, line=call.lineno)
    if name == "compile" and isinstance(call.func, ast.Attribute) and last(call.func.value) == "torch":
        yield Reading("training.compile", value=True, line=call.lineno)


def _autocast(scope: Scope, call: ast.Call, given: dict[str, ast.AST]) -> Iterator[Reading]:
    enabled = scope.read(given.get("enabled"))
    if "enabled" in given and (enabled is None or enabled.value is not True):
        return
    node = given.get("dtype") or (call.args[1] if len(call.args) > 1 else None)
    if node is None:
        yield Reading("training.precision", "amp-fp16", call.lineno, strength=GIVEN, words="the default of autocast, called in")
    else:
        yield Reading("training.precision", _AUTOCAST.get(last(scope.behind(node))), call.lineno)


def _named(value: Any) -> str | None:
    """A model's name; a path is none."""
    text = str(value) if isinstance(value, str) else ""
    if not text or text.startswith((".", "/", "~")):
        return None
    return _QUANTISED.sub("", re.sub(r"\.(pt|yaml)$", "", text))


def _side(value: Any) -> int | None:
    if isinstance(value, list) and value and all(one == value[0] for one in value):
        return whole(value[0])
    return whole(value)
