"""What each optimizer keeps and moves per trainable parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Optimizer:
    """State per trainable parameter: `copies` in the parameter's own precision, `fixed` bytes whatever that is.

    `passes` is how often one step reads or writes a number as long as the parameters (Adam: 7 where it is one fused kernel,
    about 20 where every operation runs over all tensors in turn; between them here), `paged` whether the state may live in the
    host's memory.
    """

    copies: float
    fixed: float
    passes: float
    paged: bool = False


BLOCKWISE = 2 * (1 + 4 / 256)
"""Two 8-bit states with an fp32 scale per 256 of them (bitsandbytes, block-wise)."""

OPTIMIZERS = {
    "adamw": Optimizer(2, 0, 12),
    "adam": Optimizer(2, 0, 12),
    "lamb": Optimizer(2, 0, 9),
    "adamw-8bit": Optimizer(0, BLOCKWISE, 4),
    "paged-adamw-8bit": Optimizer(0, BLOCKWISE, 4, paged=True),
    "paged-adamw": Optimizer(2, 0, 12, paged=True),
    "adafactor": Optimizer(0, 0.02, 8),
    "lion": Optimizer(1, 0, 5),
    "lion-8bit": Optimizer(0, BLOCKWISE / 2, 4),
    "sgd": Optimizer(0, 0, 3),
    "sgd-momentum": Optimizer(1, 0, 5),
    "rmsprop": Optimizer(1, 0, 5),
    "adagrad": Optimizer(1, 0, 5),
    "muon": Optimizer(1, 0, 9),
}


def state_bytes(optimizer: str, number: float) -> float:
    """Bytes of state per trainable parameter whose own precision takes `number` bytes."""
    kept = OPTIMIZERS[optimizer]
    return kept.copies * number + kept.fixed
