"""A transformer's dimensions: stated, known by name, or inferred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dispatcher.catalog.models import find_model, similar_models
from dispatcher.domain.job import Model
from dispatcher.errors import UnknownError

TIED_SHARE = 0.1
"""Embeddings over this share of the other weights are tied in all published families but Pythia; smaller ones are not."""
COMPOSED = ("gpt2", "distilgpt2", "gpt-j", "gpt-neo-", "phi-1", "phi-2", "flan-t5", "t5-v1", "mt5", "albert")
"""Families whose GELU is written in Python with five operations, each of which keeps a tensor (`gelu_new`)."""
RELATIVE = ("deberta",)
"""Families with a table of positions that bounds no sequence: what counts are distances."""
REQUIRED = ("layers", "hidden", "heads", "vocab")
DIMENSIONS = (*REQUIRED, "kv_heads", "ffn", "experts", "active_experts", "kind", "mlp")


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer's dimensions. `decoder_layers` is 0 unless it has an encoder of `layers` as well.

    `published` is the number of parameters its authors state, 0 where nobody does; `shared` layers have one set of weights.
    `context` is the longest sequence it was made for, `positions` how many it has learned; 0 where that is not known or so.
    """

    name: str
    kind: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    gated: bool
    tied: bool
    experts: int = 0
    active_experts: int = 0
    decoder_layers: int = 0
    head_dim: int = 0
    published: int = 0
    shared: bool = False
    context: int = 0
    positions: int = 0

    @property
    def composed(self) -> bool:
        """Whether its activation is put together from small operations."""
        return self.name.lower().startswith(COMPOSED)

    @property
    def queries(self) -> int:
        """Width of the queries: heads × their size."""
        return self.heads * (self.head_dim or self.hidden // self.heads)

    @property
    def keys(self) -> int:
        """Width of the keys, and of the values."""
        return self.queries * self.kv_heads // self.heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """Each projection of one layer, with the width of its input and of its output."""
        found = {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
        }
        if self.gated:
            found["gate_proj"] = (self.hidden, self.ffn)
        return found | {"up_proj": (self.hidden, self.ffn), "down_proj": (self.ffn, self.hidden)}


def shape_of(model: Model) -> Shape:
    """The shape of a job's model. Raises UnknownError naming what is missing, or the nearest known name."""
    known = _known(model)
    found = {key: _first(getattr(model, key), getattr(known, key, None)) for key in DIMENSIONS}
    missing = [key for key in REQUIRED if not found[key]]
    if missing:
        raise UnknownError(
            f"The model's {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not stated.",
            fix=f"Add {', '.join(f'model.{key}' for key in missing)}, or model.name of a known model.",
        )
    return _complete(model, known, found)


def _complete(model: Model, known: Any, found: dict[str, Any]) -> Shape:
    hidden, heads = found["hidden"], found["heads"]
    head_dim = int(model.head_dim or getattr(known, "head_dim", 0) or 0)
    if not head_dim and hidden % heads:
        raise UnknownError(
            f"{heads} heads do not divide a hidden size of {hidden}: no framework builds such a model.",
            fix=f"model.heads must divide {hidden}, or model.head_dim says how wide a head is.",
        )
    kv_heads = found["kv_heads"] or heads
    if heads % kv_heads:
        raise UnknownError(
            f"{kv_heads} key-value heads do not divide {heads} heads: no framework builds such a model.",
            fix=f"model.kv_heads must divide {heads}.",
        )
    kind = found["kind"] or "decoder"
    ffn = found["ffn"] or 4 * hidden
    gated = found["mlp"] == "gated" if found["mlp"] else kind == "decoder" and not _plain(ffn, hidden, kv_heads, heads)
    body = found["layers"] * (2 * hidden * hidden * (1 + kv_heads / heads) + (3 if gated else 2) * hidden * ffn)
    tied = _first(model.tied_embeddings, getattr(known, "tied", None), found["vocab"] * hidden >= TIED_SHARE * body)
    experts = found["experts"] or 0
    return Shape(
        name=model.name or "",
        kind=kind,
        layers=found["layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        ffn=ffn,
        vocab=found["vocab"],
        gated=gated,
        tied=bool(tied),
        experts=experts if experts > 1 else 0,
        active_experts=min(found["active_experts"] or 2, experts) if experts > 1 else 0,
        decoder_layers=_first(getattr(known, "decoder_layers", None), found["layers"]) if kind == "encoder-decoder" else 0,
        head_dim=head_dim,
        published=0 if known is None or any(getattr(model, key) for key in REQUIRED) else known.parameters,
        shared=bool(getattr(known, "shared_layers", False)),
        context=getattr(known, "max_positions", 0),
        positions=0 if (model.name or "").lower().rpartition("/")[2].startswith(RELATIVE) else getattr(known, "positions", 0),
    )


def _plain(ffn: int, hidden: int, kv_heads: int, heads: int) -> bool:
    """GPT blocks widen by four; gated ones of such a width come with few key heads."""
    return ffn == 4 * hidden and kv_heads in (1, heads)


def _known(model: Model) -> Any:
    if not model.name:
        return None
    found = find_model(model.name)
    if found is None and not (model.layers and model.hidden):
        near = ", ".join(similar_models(model.name)[:3])
        raise UnknownError(
            f"{model.name!r} is no model the catalog knows.",
            fix=f"Near: {near}." if near else "State model.layers, hidden, heads and vocab, or model.config.",
        )
    return found


def _first(*values: Any) -> Any:
    """The first value that is stated."""
    return next((value for value in values if value is not None), None)
