"""The work itself, block by block, before any machine is thought of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a network that occurs `repeats` times in a row, in forward order. All figures are for one of them.

    Parameters are counts. FLOPs, elements and bytes are per *sample*: one image, or one sequence at the length the builder
    was asked for (the longest for memory, the mean for time). A multiply-add is two FLOPs. Bytes already know the precision.

    Parameters
        `parameters` without adapters; `quantised` of them are held in 4 or 8 bit; `adapters` are added by LoRA. `trainable`
        counts all that have gradients, adapters included. `cast` of them autocast copies to 16 bit in each forward pass.
    Memory
        `saved_bytes` is kept from the block's forward to its backward pass; `input_bytes` is what full checkpointing keeps
        instead, `selective_bytes` what selective checkpointing does (0: neither is done to this block). `working_bytes` is
        alive only while its forward pass runs and `backward_bytes` while its backward pass does, both beside `saved_bytes`,
        at their largest. `cache_bytes` is what generation keeps (keys and values).
    Time
        `forward_flops` are matrix products and convolutions in one forward pass, `attention_flops` of them within the
        attention core; `backward_flops` come back. `rows` × `inner` → `width` are a typical product's sides, rows per sample
        (tokens, or output pixels): small products use a device badly. `matmul_bytes` is what products read and write of
        activations, `moved_bytes` the traffic of element-wise work, both in one forward pass; `backward_moved` is the
        element-wise traffic of the backward pass over that of the forward pass. `kernels` are launches per forward pass.
        `efficiency` is the share of a plain matrix product's speed that products of this kind reach. `fused_attention` tells
        whether one kernel computes the attention core, or plain products do.
    """

    name: str
    repeats: int = 1
    kind: str = "matmul"
    parameters: float = 0.0
    trainable: float = 0.0
    quantised: float = 0.0
    adapters: float = 0.0
    cast: float = 0.0
    saved_bytes: float = 0.0
    input_bytes: float = 0.0
    selective_bytes: float = 0.0
    working_bytes: float = 0.0
    backward_bytes: float = 0.0
    cache_bytes: float = 0.0
    forward_flops: float = 0.0
    attention_flops: float = 0.0
    backward_flops: float = 0.0
    rows: float = 0.0
    inner: float = 0.0
    width: float = 0.0
    matmul_bytes: float = 0.0
    moved_bytes: float = 0.0
    backward_moved: float = 2.0
    kernels: float = 0.0
    efficiency: float = 1.0
    fused_attention: bool = True


@dataclass(frozen=True, slots=True)
class Workload:
    """A network's training or inference on one device, per sample and per step.

    `samples` is the number of samples the whole job sees (epochs × samples), `steps` that of optimizer steps; None where
    unknown. `tokens_per_sample` is 1 for images. `workspace_bytes` is scratch that does not grow with the batch.
    `host_seconds` is one CPU core's work to prepare a sample, done by `workers` loader processes; `sample_bytes` is what a
    prepared sample weighs. `notes` say which defaults were taken; `basis` is formula or traced.
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
    workspace_bytes: float = 0.0
    host_seconds: float = 0.0
    workers: int | None = None
    notes: tuple[str, ...] = field(default=())
    basis: str = "formula"

    @property
    def training(self) -> bool:
        """Whether gradients are computed."""
        return self.task != "inference"

    @property
    def pretrained(self) -> bool:
        """Whether weights are there before the job starts: its base, or what it uses."""
        return self.task != "train" or self.method != "full"

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

    `threads` is what the job asks for (0: all cores), or, with `threads_open`, the library's own default.
    `fits` counts the models trained: search candidates × folds (+ 1 refit),
    `folds` the parts of a cross-validation. `depth` and `leaves` None are unbounded, `bins` 0 sorts values instead, `classes`
    0 is a regression. `iterations` are the passes over the table that a solver makes. Where not `in_memory`, the table is
    read in chunks. `keeps_raw`: the library's own copy holds values, not bins. A file of
    `file_bytes` (0: unknown) is read in `reading_ns` per value on the reference core; meanwhile the table is held `parsing`
    times more.
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
    folds: int = 1
    threads: int = 0
    threads_open: bool = False
    iterations: float = 1.0
    in_memory: bool = True
    keeps_raw: bool = False
    file_bytes: float = 0.0
    reading_ns: float = 0.0
    parsing: float = 0.0
    on_gpu: bool = False
    notes: tuple[str, ...] = field(default=())
