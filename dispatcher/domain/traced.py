"""A network as its code runs: what each module keeps, computes."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TracedModule:
    """A module that occurs `repeats` times in a row, in forward order; figures are for one of them.

    Parameters are counts. FLOPs (two per multiply-add) and bytes are per sample at the traced precision: `saved_bytes` from
    the forward to the backward pass, `input_bytes` of its inputs, `result_bytes` of its products' results, `working_bytes`
    and `backward_bytes` at most beside all that is kept up to it, within either pass. `cast` weights are copied to 16 bit.
    `layer` modules are those that checkpointing would recompute. The largest product is of kind `product`, `rows` per sample
    × `inner` → `width`. `moved_bytes` and `backward_moved` are the traffic of all that is no product.
    """

    name: str
    kind: str
    layer: bool = False
    repeats: int = 1
    parameters: float = 0.0
    trainable: float = 0.0
    adapters: float = 0.0
    cast: float = 0.0
    saved_bytes: float = 0.0
    input_bytes: float = 0.0
    result_bytes: float = 0.0
    working_bytes: float = 0.0
    backward_bytes: float = 0.0
    forward_flops: float = 0.0
    attention_flops: float = 0.0
    backward_flops: float = 0.0
    product: str = ""
    rows: float = 0.0
    inner: float = 0.0
    width: float = 0.0
    matmul_bytes: float = 0.0
    moved_bytes: float = 0.0
    backward_moved: float = 0.0
    kernels: float = 0.0


@dataclass(frozen=True, slots=True)
class Traced:
    """One pass of a network over a batch of fake data.

    `width` is fp32, autocast or half: how wide its numbers were. `method` and `attention` are the job's. `tokens` per sample
    are 1 but for sequences. `peak_bytes` is the most that activations and their gradients take at once, per sample of
    `batch`. `torch` is the version that ran.
    """

    name: str
    modules: tuple[TracedModule, ...]
    batch: int
    width: str
    method: str
    attention: str
    training: bool
    tokens: float
    sample_bytes: float
    peak_bytes: float
    torch: str
    notes: tuple[str, ...] = field(default=())

    @property
    def parameters(self) -> float:
        """All parameters, adapters included."""
        return sum(m.repeats * (m.parameters + m.adapters) for m in self.modules)

    @property
    def trainable(self) -> float:
        """Parameters with gradients."""
        return sum(m.repeats * m.trainable for m in self.modules)

    @property
    def forward_flops(self) -> float:
        """FLOPs of products in a forward pass, per sample."""
        return sum(m.repeats * m.forward_flops for m in self.modules)

    @property
    def backward_flops(self) -> float:
        """FLOPs of products in a backward pass, per sample."""
        return sum(m.repeats * m.backward_flops for m in self.modules)

    @property
    def saved_bytes(self) -> float:
        """Bytes kept from the forward to the backward pass, per sample."""
        return sum(m.repeats * m.saved_bytes for m in self.modules)


@dataclass(frozen=True, slots=True)
class Untraceable:
    """Why a network could not be traced, as a sentence."""

    reason: str
