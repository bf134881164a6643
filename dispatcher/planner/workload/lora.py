"""Which projections adapters sit on, and what they weigh."""

from __future__ import annotations

from dispatcher.domain.job import Training
from dispatcher.errors import UnknownError
from dispatcher.planner.workload.shapes import Shape

RANK = 8
"""PEFT's default rank."""
TARGETS = ("q_proj", "v_proj")
"""PEFT's default targets in decoders."""
HEAD = "lm_head"
SPELLINGS = {
    "q": ("q_proj",),
    "k": ("k_proj",),
    "v": ("v_proj",),
    "o": ("o_proj",),
    "query": ("q_proj",),
    "key": ("k_proj",),
    "value": ("v_proj",),
    "output": ("o_proj",),
    "dense": ("o_proj",),
    "out_proj": ("o_proj",),
    "wo": ("o_proj",),
    "query_key_value": ("q_proj", "k_proj", "v_proj"),
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "Wqkv": ("q_proj", "k_proj", "v_proj"),
    "c_attn": ("q_proj", "k_proj", "v_proj"),
    "c_proj": ("o_proj", "down_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
    "dense_h_to_4h": ("up_proj",),
    "dense_4h_to_h": ("down_proj",),
    "fc1": ("up_proj",),
    "fc2": ("down_proj",),
    "c_fc": ("up_proj",),
    "wi": ("up_proj",),
    "wi_0": ("gate_proj",),
    "wi_1": ("up_proj",),
    "w1": ("gate_proj",),
    "w2": ("down_proj",),
    "w3": ("up_proj",),
    "mlp": ("gate_proj", "up_proj", "down_proj"),
    "attn": ("q_proj", "k_proj", "v_proj", "o_proj"),
}


def adapted(training: Training, shape: Shape) -> frozenset[str]:
    """The projections of a layer, and perhaps the head, that carry adapters. Raises UnknownError for a strange name."""
    if training.method == "full":
        return frozenset()
    asked = training.lora_targets or TARGETS
    if asked == "all-linear":
        return frozenset(shape.linears)
    found: set[str] = set()
    for name in asked:
        short = name.rpartition(".")[2]
        places = (short,) if short in shape.linears or short == HEAD else SPELLINGS.get(short, ())
        if not places and short != "gate_proj":
            raise UnknownError(
                f"training.lora_targets names {name!r}, which is no projection we know of.",
                fix=f"Use all-linear, or some of {', '.join(shape.linears)}.",
            )
        found.update(place for place in places if place in shape.linears or place == HEAD)
    return frozenset(found)


def rank_of(training: Training) -> int:
    """The adapters' rank."""
    return training.lora_rank or RANK
