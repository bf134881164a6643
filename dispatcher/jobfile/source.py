"""What a script says of its training: parsed, never executed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LARGEST_SCRIPT = 2_000_000

FLAGS: dict[str, tuple[str, ...]] = {
    "training.batch_size": ("batch-size", "batch", "bs", "per-device-train-batch-size", "train-batch-size", "micro-batch-size"),
    "training.gradient_accumulation": ("gradient-accumulation-steps", "gradient-accumulation", "grad-accum", "accum"),
    "training.epochs": ("epochs", "num-train-epochs", "num-epochs", "max-epochs", "n-epochs"),
    "training.steps": ("steps", "max-steps", "num-steps", "max-iters", "iters", "iterations"),
    "model.layers": ("layers", "n-layer", "n-layers", "num-layers", "num-hidden-layers"),
    "model.hidden": ("hidden", "n-embd", "d-model", "hidden-size", "embed-dim", "dim"),
    "model.heads": ("heads", "n-head", "n-heads", "num-heads", "num-attention-heads"),
    "model.vocab": ("vocab", "vocab-size"),
    "model.sequence_length": (
        "sequence-length",
        "seq-len",
        "seq-length",
        "block-size",
        "max-length",
        "max-seq-length",
        "length",
    ),
    "model.image_size": ("image-size", "img-size", "imgsz", "input-size"),
    "model.trees": ("trees", "n-estimators", "num-boost-round", "num-trees", "estimators"),
    "model.depth": ("max-depth", "tree-depth"),
    "model.leaves": ("num-leaves", "max-leaf-nodes", "leaves"),
}
"""Names that flags and keyword arguments have for a setting; - and _ are the same."""

KEYWORDS = {
    "batch_size", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_epochs", "epochs",
    "max_steps", "n_layer", "n_layers", "num_layers", "num_hidden_layers", "n_embd", "d_model", "hidden_size", "n_head",
    "n_heads", "num_heads", "num_attention_heads", "vocab_size", "block_size", "max_seq_length", "image_size", "n_estimators",
    "num_boost_round", "max_depth", "num_leaves", "max_leaf_nodes",
}  # fmt: skip
"""Those that mean the same as keyword arguments; `dim` or `length` may mean anything there."""

SWITCHES = {
    "bf16": ("training.precision", "amp-bf16"),
    "fp16": ("training.precision", "amp-fp16"),
    "gradient_checkpointing": ("training.gradient_checkpointing", "true"),
}
"""Keyword arguments whose True sets a setting. Hugging Face's bf16 means autocast."""

ESTIMATORS: dict[str, tuple[str, str]] = {
    "RandomForest": ("sklearn", "random-forest"),
    "ExtraTrees": ("sklearn", "random-forest"),
    "HistGradientBoosting": ("sklearn", "hist-gradient-boosting"),
    "GradientBoosting": ("sklearn", "gradient-boosting"),
    "LogisticRegression": ("sklearn", "logistic-regression"),
    "XGB": ("xgboost", "gradient-boosting"),
    "LGBM": ("lightgbm", "gradient-boosting"),
    "CatBoost": ("catboost", "gradient-boosting"),
}
"""How an estimator's class begins, its library and algorithm."""

NAMERS = ("from_pretrained", "create_model", "get_model")
"""Functions whose first argument names the model."""

NETWORKS = re.compile(r"(resnet|resnext|vgg|densenet|mobilenet|efficientnet|regnet|convnext|vit|swin|maxvit)_?[a-z]?_?\d+\w*")
"""Functions of torchvision that are networks by name."""

_SETTING = {name.replace("-", "_"): setting for setting, names in FLAGS.items() for name in names}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value as text, and where it was read; `flag` sets it on the command line."""

    text: str
    origin: str
    flag: str = ""


@dataclass(frozen=True, slots=True)
class ScriptFacts:
    """What a script imports, calls and mentions, and the settings read in it."""

    libraries: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    strings: tuple[str, ...] = ()
    settings: dict[str, Value] = field(default_factory=dict)


def read_script(path: Path) -> ScriptFacts:
    """The facts of a Python script; none where it cannot be read as Python."""
    try:
        if path.stat().st_size > LARGEST_SCRIPT:
            return ScriptFacts()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
        return _facts(tree, path.name)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ScriptFacts()


def _facts(tree: ast.Module, script: str) -> ScriptFacts:
    nodes = list(ast.walk(_Literal(dict(_constants(tree))).visit(tree)))
    settings: dict[str, Value] = {}
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        for setting, value in _settings(call, script):
            if setting not in settings or (value.flag and not settings[setting].flag):
                settings[setting] = value
    return ScriptFacts(
        libraries=frozenset(_imports(nodes)),
        names=frozenset(_name(node) for node in nodes),
        strings=tuple(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
        settings=settings,
    )


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.Constant]]:
    """NAME = literal, at the top of the module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value


class _Literal(ast.NodeTransformer):
    """Puts the literal where a constant's name stands."""

    def __init__(self, constants: dict[str, ast.Constant]) -> None:
        self.constants = {name: node for name, node in constants.items() if name.isupper()}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """The literal, or the name itself."""
        return self.constants.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _settings(call: ast.Call, script: str) -> Iterator[tuple[str, Value]]:
    called = _name(call.func)
    if called == "add_argument":
        yield from _argument(call, script)
        return
    if called in NAMERS and (name := _text(call.args[0] if call.args else None)) and not name.startswith((".", "/", "~")):
        yield "model.name", Value(name, f"read in {script}")
    elif NETWORKS.fullmatch(called):
        yield "model.name", Value(called, f"read in {script}")
    for start, (library, algorithm) in ESTIMATORS.items():
        if called.startswith(start):
            yield "model.library", Value(library, f"read in {script}")
            yield "model.algorithm", Value(algorithm, f"read in {script}")
            break
    yield from _keywords(call, script)


def _keywords(call: ast.Call, script: str) -> Iterator[tuple[str, Value]]:
    for keyword in call.keywords:
        if keyword.arg in SWITCHES and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
            setting, text = SWITCHES[keyword.arg]
            yield setting, Value(text, f"read in {script}")
        elif keyword.arg in KEYWORDS and (number := _number(keyword.value)):
            yield _SETTING[keyword.arg], Value(number, f"read in {script}")


def _argument(call: ast.Call, script: str) -> Iterator[tuple[str, Value]]:
    """An argparse flag that sets a setting, with the default it has in the script."""
    default = next((keyword.value for keyword in call.keywords if keyword.arg == "default"), None)
    number = _number(default)
    for flag in filter(None, map(_text, call.args)):
        setting = _SETTING.get(flag.lstrip("-").replace("-", "_"))
        if setting and number and flag.startswith("--"):
            yield setting, Value(number, f"the default of {flag} in {script}", flag)


def _name(node: ast.AST) -> str:
    """The last word of a name, an attribute or an imported name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.alias):
        return node.name
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _number(node: ast.AST | None) -> str:
    """A literal, positive whole number as text; "" for everything else."""
    value = node.value if isinstance(node, ast.Constant) else None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else ""
