"""Known language, encoder and sequence-to-sequence models: their dimensions by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from dispatcher.catalog.spelling import nearest
from dispatcher.catalog.tables import CatalogDamaged, number, path, read_table, sources

TABLE = "models-language"
_SHAPE = ("layers", "hidden", "heads", "kv_heads", "ffn", "vocab")
_COUNTS = (
    *_SHAPE,
    "experts",
    "active_experts",
    "decoder_layers",
    "embedding",
    "positions",
    "other",
    "head_dim",
    "max_positions",
)
_COLUMNS = ("name", "aliases", "kind", *_COUNTS, "max_positions", "mlp", "tied", "shared_layers", "parameters", "source")
_TAILS = re.compile(r"(?:-(?:hf|instruct|chat|it|base|deduped|python|sft|dpo|v0\.[123]|v1\.[0135]))+$")
"""Endings that name a tuning or a release of the same architecture."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A transformer's published dimensions.

    `kind` is decoder, encoder or encoder-decoder; `layers` counts the encoder's where there are two stacks, `decoder_layers`
    the decoder's (0 where there is one stack). `head_dim` is 0 where it is hidden / heads. `mlp` is gated or plain;
    `embedding` the width of factorised embeddings, `positions` the rows of learned ones, `shared_layers` whether all layers
    share one's weights, `other` the parameters outside blocks and embeddings (poolers, convolutions). `parameters` is the
    published or counted number.
    """

    name: str
    kind: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    mlp: str
    tied: bool
    parameters: int
    head_dim: int = 0
    experts: int = 0
    active_experts: int = 0
    decoder_layers: int = 0
    embedding: int = 0
    positions: int = 0
    other: int = 0
    max_positions: int = 0
    shared_layers: bool = False
    aliases: tuple[str, ...] = ()
    source: str = ""
    as_of: str = ""
    family: str = "transformer"

    @property
    def formula_parameters(self) -> int:
        """The number of parameters that the dimensions come to."""
        stack = (1 if self.shared_layers else self.layers) * self._layer(crosses=0)
        other = self.decoder_layers * self._layer(crosses=1)
        width = self.embedding or self.hidden
        tables = (1 if self.tied else 2) * self.vocab * width + self.positions * width
        return stack + other + tables + self.other + (2 * width * self.hidden if self.embedding else 0)

    def _layer(self, crosses: int) -> int:
        head = self.head_dim or self.hidden // self.heads
        attention = 2 * self.hidden * head * (self.heads + self.kv_heads)
        block = (3 if self.mlp == "gated" else 2) * self.hidden * self.ffn
        small = 2 * self.hidden if self.mlp == "gated" else 9 * self.hidden + self.ffn
        return (1 + crosses) * attention + max(1, self.experts) * block + self.experts * self.hidden + small


@cache
def models() -> tuple[KnownModel, ...]:
    """Every known model, in the table's order."""
    return tuple(_model(row) for row in _rows())


@cache
def find_model(text: str) -> KnownModel | None:
    """The model so spelled, with or without its owner and its tuning's name; None where unknown."""
    plain = text.rpartition("/")[2].partition("|")[0].strip().lower().replace("_", "-").replace(" ", "-").strip("-")
    for name in (plain, f"{plain}-base", _TAILS.sub("", plain)):
        if row := _by_name().get(_key(name)):
            return _model(row)
    return None


def similar_models(text: str) -> tuple[str, ...]:
    """Names like this one, best first: for "did you mean"."""
    return nearest(text.rpartition("/")[2], model_names())


def model_names() -> tuple[str, ...]:
    """Every known model's name, in the table's order."""
    return tuple(row["name"] for row in _rows())


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name)


@cache
def _rows() -> tuple[dict[str, str], ...]:
    return tuple(read_table(TABLE, _COLUMNS))


@cache
def _by_name() -> dict[str, dict[str, str]]:
    named = {_key(alias): row for row in _rows() for alias in row["aliases"].split(";") if alias}
    return named | {_key(row["name"]): row for row in _rows()}


def _model(row: dict[str, str]) -> KnownModel:
    counts = {column: int(number(row, column, TABLE) or 0) for column in (*_COUNTS, "max_positions", "parameters")}
    if not counts["layers"] or not counts["hidden"] or not counts["heads"]:
        raise CatalogDamaged(path(TABLE), f"{row['name']!r} has no layers, hidden size or heads")
    source, as_of = sources().get(row["source"], (row["source"], ""))
    return KnownModel(
        name=row["name"],
        kind=row["kind"],
        mlp=row["mlp"],
        tied=row["tied"] == "yes",
        shared_layers=row["shared_layers"] == "yes",
        aliases=tuple(row["aliases"].split(";")) if row["aliases"] else (),
        source=source,
        as_of=as_of,
        **counts,  # type: ignore[arg-type]
    )
