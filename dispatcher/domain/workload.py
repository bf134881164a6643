"""The work itself: what is computed and kept, block by block, before any machine is thought of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a network that occurs `repeats` times in a row. All figures are for one of them.

    Counts of parameters; FLOPs, elements and bytes per *sample* (one sequence at its longest for memory; the builder makes a
    second workload at the mean length for time).

    `saved_bytes` stays until the block's backward pass; `input_bytes` is what checkpointing keeps instead; `working_bytes` is
    alive only while the block runs, beside what it saves. `moved_bytes` is the traffic of its element-wise work in one forward
    pass, `kernels` its launches. `width` is the smallest side of its matrix products: small ones use a device badly.
    `quantised` parameters are held in 4 or 8 bit, as the method says; `trainable` ones have gradients and optimizer state.
    """

    name: str
    repeats: int = 1
    parameters: float = 0.0
    trainable: float = 0.0
    quantised: float = 0.0
    adapters: float = 0.0
    forward_flops: float = 0.0
    backward_flops: float = 0.0
    saved_bytes: float = 0.0
    input_bytes: float = 0.0
    working_bytes: float = 0.0
    moved_bytes: float = 0.0
    kernels: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Workload:
    """A network's training or inference on one device, per sample and per step.

    `samples` is the number of samples the whole job sees (epochs × samples), None where unknown. `tokens_per_sample` is 1 for
    images.
    """

    family: str
    name: str
    task: str
    method: str
    precision: str
    optimizer: str
    batch_size: int
    gradient_accumulation: int
    blocks: tuple[Block, ...]
    checkpointing: bool | str = False
    sharding: str = "none"
    offload: str = "none"
    compiled: bool = False
    optimizer_in_backward: bool = False
    tokens_per_sample: float = 1.0
    samples: float | None = None
    steps: float | None = None
    sample_bytes: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def parameters(self) -> float:
        """All parameters, adapters included."""
        return sum(b.repeats * (b.parameters + b.adapters) for b in self.blocks)

    @property
    def trainable(self) -> float:
        """Parameters with gradients."""
        return sum(b.repeats * b.trainable for b in self.blocks)


@dataclass(frozen=True, slots=True)
class TableWorkload:
    """A classical library's work on a table that sits in memory.

    `threads` is what the job asks for (0: all cores). `fits` counts the models trained: search candidates × folds (+ 1 refit).
    """

    library: str
    algorithm: str
    rows: float
    columns: float
    dtype_bytes: int = 8
    trees: int = 100
    depth: int | None = None
    leaves: int | None = None
    bins: int = 256
    classes: int = 2
    fits: int = 1
    parallel_fits: int = 1
    threads: int = 0
    file_bytes: float = 0.0
    on_gpu: bool = False
    notes: tuple[str, ...] = field(default=())
