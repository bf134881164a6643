"""What one transformer layer computes, keeps and moves, per token.

The counts are those of Hugging Face's PyTorch modules run eagerly: a linear layer with a trained weight keeps its input, an
RMSNorm written in Python keeps an fp32 copy of its own, SiLU keeps its input, a product both factors, the attention kernel
queries, keys, values and its output. Tensors that two operations keep count once. Tests compare them with what torch keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dispatcher.planner.precision import Numbers
from dispatcher.planner.workload.shapes import Shape

MASK = 1
"""Bytes of a dropout mask per element."""
FP32 = 4
CAST = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
"""Projections whose input autocast finds in fp32; what the others read is in 16 bit already."""


@dataclass(frozen=True)
class Layer:
    """One layer under one setting, at sequence length `tokens`. Every figure is per token unless it says otherwise.

    `trained` tells whether the base weights have gradients; `adapted` names the projections with adapters. `cross` adds the
    decoder's attention to an encoder's output.
    """

    shape: Shape
    numbers: Numbers
    tokens: float
    trained: bool = True
    adapted: frozenset[str] = frozenset()
    rank: int = 0
    kernel: str = "sdpa"
    causal: bool = True
    compiled: bool = False
    dropout: bool = False
    cross: bool = False
    prepared: bool = False

    # --- parameters -------------------------------------------------------------------------------------------------

    @cached_property
    def experts(self) -> int:
        """How many feed-forward networks the layer holds."""
        return max(1, self.shape.experts)

    @cached_property
    def active(self) -> int:
        """How many of them each token passes through."""
        return max(1, self.shape.active_experts)

    def _times(self, name: str, *, active: bool = False) -> int:
        """How often a projection occurs."""
        if name in ("gate_proj", "up_proj", "down_proj"):
            return self.active if active else self.experts
        return 2 if self.cross else 1

    @cached_property
    def matrix_parameters(self) -> float:
        """Weights of the projections."""
        return sum(self._times(name) * i * o for name, (i, o) in self.shape.linears.items())

    @cached_property
    def other_parameters(self) -> float:
        """Norms, biases and the router."""
        norms = (3 if self.cross else 2) * self.shape.hidden * (1 if self.rms else 2)
        biases = 0 if self.rms else sum(o for _, o in self.shape.linears.values())
        return norms + biases + self.shape.hidden * self.shape.experts

    @cached_property
    def adapter_parameters(self) -> float:
        """Weights of both halves of every adapter."""
        sides = (self._times(n) * sum(self.shape.linears[n]) for n in self.adapted if n in self.shape.linears)
        return self.rank * sum(sides)

    # --- memory -----------------------------------------------------------------------------------------------------

    @cached_property
    def rms(self) -> bool:
        """Whether norms are RMSNorms written in Python, as in LLaMA and T5; else fused LayerNorms."""
        return self.shape.gated or self.shape.kind == "encoder-decoder"

    @cached_property
    def autocast(self) -> bool:
        """Whether the stream is wider than the products' operands."""
        return self.numbers.stream > self.numbers.operand

    @property
    def saved(self) -> float:
        """Bytes kept from the forward to the backward pass."""
        attentions = 2 if self.cross else 1
        return attentions * (self.norm_saved + self.attention_saved) + self.norm_saved + self.mlp_saved + self._drops

    @cached_property
    def norm_saved(self) -> float:
        """One norm: its fp32 input, and its normalised values where its weight is trained."""
        hidden, stream = self.shape.hidden, self.numbers.stream
        if self.compiled or not self.rms:
            return hidden * stream
        return hidden * (FP32 + (stream if self.trained else 0))

    @cached_property
    def attention_saved(self) -> float:
        """Projections' inputs, queries, keys, values, output, and the probabilities where they are materialised."""
        shape = self.shape
        inputs = self._inputs(("q_proj", "k_proj", "v_proj"), shape.hidden) + self._inputs(
            ("o_proj",), shape.queries, kept=True
        )
        keys = shape.queries if self.kernel == "eager" else shape.keys
        return inputs + self._core_bytes * (2 * shape.queries + 2 * keys) + self.probabilities

    @cached_property
    def _core_bytes(self) -> float:
        """Bytes per number within the attention core; a quantised base hands over its fp32 stream."""
        return self.numbers.stream if self.prepared else self.numbers.operand

    @cached_property
    def probabilities(self) -> float:
        """Eager attention keeps its softmax in fp32, and once more in the operands' precision (with the dropout's mask)."""
        if self.kernel != "eager":
            return 0.0
        operand = self.numbers.operand
        copies = FP32 + (operand if operand < FP32 or self.dropout else 0) + (MASK if self.dropout else 0)
        return copies * self.shape.heads * self.tokens

    @cached_property
    def mlp_saved(self) -> float:
        """Inputs of the projections, of the activation and of the gate's product."""
        shape = self.shape
        entries = ("gate_proj", "up_proj") if shape.gated else ("up_proj",)
        inputs = self._inputs(entries, shape.hidden)
        width = self.active * shape.ffn * (self.numbers.stream if self.prepared else self.numbers.operand)
        kept = 2 if self.compiled else 3
        between = kept * width if shape.gated else width
        if shape.composed and not self.compiled:
            between += 3 * width
        routed = (self.active + 1) * shape.hidden * self.numbers.operand if shape.experts else 0.0
        return inputs + between + self.active * self._inputs(("down_proj",), shape.ffn) + routed

    @property
    def _drops(self) -> float:
        return 2 * MASK * self.shape.hidden if self.dropout else 0.0

    def _inputs(self, names: tuple[str, ...], width: int, *, kept: bool = False) -> float:
        """Bytes of the inputs that projections of one tensor keep; `kept`: the tensor is kept anyway.

        Trained weights share one tensor, but under autocast each casts a copy of its own. Adapters in fp32 cast a copy
        each from a 16-bit stream and share an fp32 one.
        """
        numbers, total = self.numbers, 0.0
        if self.trained:
            total += width * numbers.operand * (0 if kept else len(names) if self.autocast else 1)
        adapters = sum(name in self.adapted for name in names)
        if self.trained or not adapters:
            return total
        if self.autocast and not self.prepared:
            return total + width * numbers.operand * adapters
        if numbers.stream >= FP32:
            return total + (0.0 if kept else width * FP32)
        return total + width * FP32 * adapters

    @property
    def selective(self) -> float:
        """Bytes kept when only the attention's and every other product's results are."""
        shape = self.shape
        outputs = sum(self._times(name, active=True) * o for name, (_, o) in shape.linears.items())
        return self.numbers.operand * (shape.queries + outputs / 2) + self.numbers.stream * shape.hidden

    @property
    def forward_working(self) -> float:
        """Bytes alive within the forward pass beside those that are kept."""
        width = self.active * self.shape.ffn * self.numbers.operand
        return (2 if self.shape.gated else 1) * width + 2 * self.shape.hidden * self.numbers.stream

    @property
    def backward_working(self) -> float:
        """Bytes of gradients of activations at their most, beside all that is kept.

        Within the feed-forward part: the gradients of both factors and of their product. Within eager attention, when what
        the feed-forward part kept is gone: those of the probabilities and of the scores.
        """
        width = self.active * self.shape.ffn * (self.numbers.stream if self.prepared else self.numbers.operand)
        mlp = (3 if self.shape.gated else 1) * width
        scores = 2 * FP32 * self.shape.heads * self.tokens - self.mlp_saved if self.kernel == "eager" else 0.0
        return max(mlp, scores) + 2 * self.shape.hidden * self.numbers.stream

    # --- time -------------------------------------------------------------------------------------------------------

    @cached_property
    def linear_flops(self) -> float:
        """FLOPs of the base projections in a forward pass."""
        return 2 * sum(self._times(name, active=True) * i * o for name, (i, o) in self.shape.linears.items())

    @cached_property
    def attention_flops(self) -> float:
        """FLOPs of scores and their product with the values; fused kernels skip the causal half."""
        half = 0.5 if self.causal and self.kernel != "eager" else 1.0
        return 4 * self.tokens * self.shape.queries * (half + (1 if self.cross else 0))

    @property
    def forward_flops(self) -> float:
        """FLOPs of products in a forward pass."""
        return self.linear_flops + self.attention_flops + 2 * self.adapter_parameters

    @property
    def backward_flops(self) -> float:
        """FLOPs of products in a backward pass: a frozen weight has no gradient."""
        return self.linear_flops * (2 if self.trained else 1) + 2 * self.attention_flops + 4 * self.adapter_parameters

    @property
    def matmul_bytes(self) -> float:
        """Bytes that products read and write of activations."""
        shape, operand = self.shape, self.numbers.operand
        sides = sum(self._times(name, active=True) * (i + o) for name, (i, o) in shape.linears.items())
        return operand * (sides + 2 * shape.queries + 2 * shape.keys)

    @property
    def moved(self) -> float:
        """Bytes that element-wise work reads and writes in a forward pass."""
        shape, stream, operand = self.shape, self.numbers.stream, self.numbers.operand
        norms = (3 if self.cross else 2) * shape.hidden * (self._norm_moved)
        residual = 2 * (operand + 2 * stream) * shape.hidden
        activation = self.active * shape.ffn * operand * self._activation_moved
        turned = (2 if self.compiled else 9) * operand * (shape.queries + shape.keys) if self.rotary else 0.0
        casts = 0.0
        if self.autocast and not self.compiled:
            casts = sum(shape.linears[name][0] for name in CAST if name in shape.linears) * (stream + operand)
        scores = (8 * operand + 2 * FP32) * shape.heads * self.tokens if self.kernel == "eager" else 0.0
        repeated = 4 * operand * shape.queries if self.kernel == "eager" and shape.kv_heads < shape.heads else 0.0
        drops = 2 * (2 * operand + MASK) * shape.hidden if self.dropout and not self.compiled else 0.0
        adapters = sum(3 * (FP32 + operand) * sum(shape.linears[name]) for name in self.adapted if name in shape.linears)
        return norms + residual + activation + turned + casts + scores + repeated + drops + adapters

    @property
    def _activation_moved(self) -> int:
        """Readings and writings of the activation: eight operations make up a GELU that is written out."""
        if self.shape.gated:
            return 3 if self.compiled else 5
        return 18 if self.shape.composed and not self.compiled else 2

    @cached_property
    def rotary(self) -> bool:
        """Whether positions are rotated into queries and keys."""
        return self.shape.kind == "decoder" and self.shape.gated

    @property
    def _norm_moved(self) -> float:
        stream = self.numbers.stream
        if self.compiled or not self.rms:
            return 2 * stream
        return 5 * FP32 + 4 * stream + 2 * (FP32 - stream)

    @property
    def _turning(self) -> int:
        """Kernels that rotate positions in; about half of the plain decoders do."""
        if self.shape.kind != "decoder":
            return 0
        return 12 if self.rotary else 6

    @property
    def kernels(self) -> float:
        """Kernels launched in a forward pass."""
        linears = len(self.shape.linears) + (self.active - 1) * 3 + (4 if self.cross else 0)
        if self.compiled:
            return linears + 5
        norms = (3 if self.cross else 2) * (6 if self.rms else 1)
        core = {"flash": 1, "sdpa": 3, "eager": 7}[self.kernel] * (2 if self.cross else 1)
        casts = sum(name in self.shape.linears for name in CAST) if self.autocast else 0
        adapters = 6 * sum(name in self.shape.linears for name in self.adapted)
        written = 7 if self.shape.composed else 0
        return written + linears + norms + core + self._turning + 4 + (3 if self.dropout else 0) + casts + adapters
