"""Transformers: decoders, encoders and both, trained whole, with adapters, or used."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import Block, Workload
from dispatcher.errors import UnknownError
from dispatcher.planner.constants import constant
from dispatcher.planner.precision import Numbers, numbers
from dispatcher.planner.workload import lora
from dispatcher.planner.workload.layers import FP32, Layer
from dispatcher.planner.workload.shapes import Shape, shape_of
from dispatcher.planner.workload.work import around, batch_of, precision_of, task_of

CHUNKS = 8
"""torchtune's default number of chunks of a chunked loss."""


@dataclass(frozen=True)
class Setting:
    """What a job decides beside its shape. `tokens` per sample, as asked for."""

    shape: Shape
    numbers: Numbers
    tokens: float
    batch: int
    training: bool
    trained: bool
    adapted: frozenset[str]
    rank: int
    kernel: str
    compiled: bool
    chunked: bool
    fused: bool
    embeddings: bool
    logits: bool
    prepared: bool


def build(job: JobConfig, device: Device, *, for_time: bool = False) -> Workload:
    """The job's work at its longest sequence, or `for_time` at its mean one. Raises UnknownError for what is missing."""
    assert job.model is not None
    shape = shape_of(job.model)
    setting = _setting(job, shape, device, for_time=for_time)
    blocks = _stacked(setting)
    whole = around(
        job,
        device,
        blocks,
        family="transformer",
        name=shape.name or f"{shape.layers} layers of {shape.hidden}",
        tokens=setting.tokens,
    )
    return replace(
        whole,
        sample_bytes=8 * 3 * setting.tokens,
        workspace_bytes=_dequantised(setting),
        notes=(*whole.notes, *_long(shape, setting.tokens)),
    )


def _long(shape: Shape, tokens: float) -> tuple[str, ...]:
    """What is to be said of sequences longer than the model's context. Raises UnknownError where no framework runs them."""
    if shape.positions and tokens > shape.positions:
        raise UnknownError(
            f"{shape.name} has {shape.positions:,} positions: sequences of {tokens:,.0f} tokens end in an index error.",
            fix=f"Write model.sequence_length: {shape.context or shape.positions}, or name a model with a longer context.",
        )
    if shape.context and tokens > shape.context:
        return (f"{shape.name} was made for {shape.context:,} tokens: at {tokens:,.0f} it runs, with positions it never saw.",)
    return ()


def _setting(job: JobConfig, shape: Shape, device: Device, *, for_time: bool) -> Setting:
    train, task = job.training, task_of(job)
    precision = precision_of(job, device)
    found = numbers(precision, train.method, train.sharding)
    quantised = found.quantised > 0 and task != "inference"
    return Setting(
        shape=shape,
        numbers=found,
        tokens=_tokens(job, for_time=for_time),
        batch=batch_of(job),
        training=task != "inference",
        trained=train.method == "full" and task != "inference",
        adapted=lora.adapted(train, shape),
        rank=lora.rank_of(train),
        kernel=train.attention or ("sdpa" if shape.kind == "decoder" else "eager"),
        compiled=train.compile,
        chunked=train.chunked_loss,
        fused=task == "train" and train.attention == "flash" and shape.kind == "decoder",
        embeddings=train.train_embeddings or train.method == "full",
        logits=shape.kind != "encoder",
        prepared=quantised,
    )


def _tokens(job: JobConfig, *, for_time: bool) -> float:
    """Tokens of a sample: the longest for memory; for time the mean, padded to the longest of its batch."""
    assert job.model is not None
    mean = job.dataset.mean_length if job.dataset else None
    length = job.model.sequence_length
    if for_time and mean:
        padded = mean * (1 + constant("ragged_spread") * math.sqrt(2 * math.log(batch_of(job))))
        return float(min(padded, length) if length else padded)
    if length is None:
        raise UnknownError("The sequence length is not stated.", fix="Add model.sequence_length: the tokens of a sample.")
    return float(length)


@lru_cache(maxsize=64)
def _stacked(s: Setting) -> tuple[Block, ...]:
    """The network's blocks: most devices that are looked at share them."""
    return tuple(_blocks(s))


def _blocks(s: Setting) -> list[Block]:
    """The network in forward order."""
    shape = s.shape
    found = [_embedding(s)]
    if shape.kind == "encoder-decoder":
        found.append(_layer(s, "encoder layers", shape.layers, causal=False))
        found.append(_layer(s, "decoder layers", shape.decoder_layers, causal=True, cross=True))
    else:
        found.append(_layer(s, "layers", shape.layers, causal=shape.kind == "decoder"))
    return _published(s, [*found, _head(s)])


def _published(s: Setting, blocks: list[Block]) -> list[Block]:
    """Positions, poolers and factorised embeddings are what is left of the published number of parameters."""
    if not s.shape.published:
        return blocks
    left = s.shape.published - sum(b.repeats * b.parameters for b in blocks)
    embedding = blocks[0]
    parameters = max(0.0, embedding.parameters + left)
    return [replace(embedding, parameters=parameters, trainable=parameters if embedding.trainable else 0.0), *blocks[1:]]


def _layer(s: Setting, name: str, repeats: int, *, causal: bool, cross: bool = False) -> Block:
    layer = Layer(
        shape=s.shape,
        numbers=s.numbers,
        tokens=s.tokens,
        trained=s.trained,
        adapted=s.adapted,
        rank=s.rank if s.adapted else 0,
        kernel=s.kernel,
        causal=causal,
        compiled=s.compiled,
        dropout=s.shape.kind != "decoder" and s.training,
        cross=cross,
        prepared=s.prepared,
    )
    n, sets = s.tokens, 1 / repeats if s.shape.shared else 1.0
    parameters = sets * (layer.matrix_parameters + layer.other_parameters)
    adapters = layer.adapter_parameters if s.training else 0.0
    quantised = sets * layer.matrix_parameters if s.numbers.quantised else 0.0
    return Block(
        name=name,
        repeats=repeats,
        parameters=parameters,
        trainable=parameters if s.trained else adapters,
        quantised=quantised,
        adapters=adapters,
        cast=sets * layer.matrix_parameters if s.numbers.autocast and s.numbers.stream > s.numbers.operand else 0.0,
        saved_bytes=n * layer.saved if s.training else 0.0,
        input_bytes=n * s.shape.hidden * s.numbers.stream,
        selective_bytes=n * layer.selective,
        working_bytes=n * layer.forward_working,
        backward_bytes=n * layer.backward_working,
        cache_bytes=0.0 if s.training or not causal else n * 2 * s.shape.keys * s.numbers.operand,
        forward_flops=n * layer.forward_flops,
        attention_flops=n * layer.attention_flops,
        backward_flops=n * layer.backward_flops if s.training else 0.0,
        rows=n,
        inner=s.shape.hidden,
        width=min(s.shape.hidden, s.shape.ffn),
        matmul_bytes=n * layer.matmul_bytes,
        moved_bytes=n * layer.moved,
        kernels=layer.kernels,
        fused_attention=s.kernel != "eager",
    )


def _embedding(s: Setting) -> Block:
    shape, n = s.shape, s.tokens
    parameters = shape.vocab * shape.hidden
    return Block(
        name="embeddings",
        kind="lookup",
        parameters=parameters,
        trainable=parameters if s.training and s.embeddings else 0.0,
        moved_bytes=2 * n * shape.hidden * s.numbers.stream,
        working_bytes=n * shape.hidden * s.numbers.stream,
        kernels=2,
    )


def _head(s: Setting) -> Block:
    """The last norm, the product with the vocabulary, and the loss: the widest tensors of most language models."""
    shape, n = s.shape, s.tokens
    weights = shape.vocab * shape.hidden if s.logits else shape.hidden * shape.hidden
    own = 0.0 if shape.tied or not s.logits else weights
    adapters = s.rank * (shape.hidden + shape.vocab) if lora.HEAD in s.adapted and s.training else 0.0
    width = shape.vocab if s.logits else 2
    flops = 2 * weights * n
    saved, backward = _loss_bytes(s)
    read, written = _loss_moved(s)
    inputs = shape.hidden * (FP32 + s.numbers.operand) if s.training else 0.0
    return Block(
        name="head and loss" if s.training else "head",
        parameters=own + shape.hidden,
        trainable=own + shape.hidden if s.trained else adapters + (own if s.training and s.embeddings else 0.0),
        adapters=adapters,
        cast=weights if s.numbers.autocast and s.numbers.stream > s.numbers.operand else 0.0,
        saved_bytes=n * (width * saved + inputs),
        working_bytes=n * width * _logits_working(s),
        backward_bytes=n * width * backward,
        forward_flops=flops,
        backward_flops=flops * (2 if s.trained else 1) if s.training else 0.0,
        rows=n,
        inner=shape.hidden,
        width=shape.hidden,
        matmul_bytes=n * s.numbers.operand * (shape.hidden + width),
        moved_bytes=n * width * read,
        backward_moved=written / read if read else 0.0,
        kernels=12,
    )


def _loss_moved(s: Setting) -> tuple[float, float]:
    """Bytes per logit that the loss reads and writes in the forward and in the backward pass.

    Compiled: the logits are read twice, then read again and overwritten by their gradient. Else: a cast to fp32, a log-softmax
    of two readings and a writing; then the gradients of the picked ones and of the softmax, and a cast back.
    """
    operand = s.numbers.operand
    if not s.training:
        return 0.0, 0.0
    if s.compiled:
        return 2 * operand, 2 * operand
    cast = operand + FP32 if operand < FP32 else 0
    return cast + 3 * FP32, cast + 4 * FP32


def _loss_bytes(s: Setting) -> tuple[float, float]:
    """Bytes per logit kept for, and made in, the backward pass of the cross-entropy.

    Kept: the logits themselves, which the training loop still holds, and their log-softmax in fp32. Made: the gradient of
    the picked probabilities and that of the softmax, both fp32 and as wide as the logits. In chunks, only one chunk of them.
    Pretraining code that asks for FlashAttention takes its fused loss too, which writes the gradient over the logits.
    """
    if not s.training:
        return 0.0, 0.0
    if s.fused:
        return s.numbers.operand, s.numbers.operand
    return s.numbers.operand + FP32, 2 * FP32 / (CHUNKS if s.chunked else 1)


def _logits_working(s: Setting) -> float:
    """Bytes per logit alive in the forward pass: the fp32 copy of 16-bit logits."""
    if not s.training or s.fused:
        return 0.0 if s.fused else s.numbers.operand
    return FP32 / (CHUNKS if s.chunked else 1) if s.numbers.operand < FP32 else 0.0


def _dequantised(s: Setting) -> float:
    """The largest weight of a quantised base, in 16 bit while it is used."""
    if s.numbers.native:
        return 0.0
    return 2.0 * max(i * o for i, o in s.shape.linears.values())


def _shape(job: JobConfig) -> None:
    assert job.model is not None
    shape_of(job.model)


ASKED = (_shape, lambda job: _tokens(job, for_time=False), batch_of)
"""What a job of this family must say, as questions that raise UnknownError where it does not."""
