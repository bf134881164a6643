"""Which of a model's keys matter to which family."""

from __future__ import annotations

from collections.abc import Collection

ALWAYS = frozenset({"family", "name"})
TRANSFORMER = frozenset({
    "config", "kind", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "experts", "active_experts", "mlp",
    "tied_embeddings", "sequence_length",
})  # fmt: skip
TABULAR = frozenset({"library", "algorithm", "trees", "depth", "leaves", "bins", "threads", "search"})
TORCH = frozenset({"factory", "input"})
CUSTOM = frozenset({"parameters", "flops_per_sample", "activation_bytes_per_sample"})
PICTURES = frozenset({"image_size", "config"})
SHAPES = frozenset({"image_size", "sequence_length"})

RELEVANT: dict[str, frozenset[str]] = {
    "transformer": TRANSFORMER | {"image_size"},
    "vision": PICTURES,
    "diffusion": PICTURES | {"sequence_length"},
    "detection": PICTURES,
    "tabular": TABULAR,
    "torch": TORCH | SHAPES,
    "custom": CUSTOM | SHAPES,
}
"""Keys of `model` by family, beside its family and name."""


def possible(keys: Collection[str]) -> list[str]:
    """The families to which all these keys matter."""
    return [family for family, relevant in RELEVANT.items() if set(keys) - ALWAYS <= relevant]


def irrelevant(family: str, keys: Collection[str]) -> list[str]:
    """Those of the keys that do not matter to the family."""
    return [key for key in keys if key not in ALWAYS | RELEVANT[family]]
