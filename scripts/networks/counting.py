"""From a traced pass to a line of the tables of known networks."""

from __future__ import annotations

import collections
import math
from dataclasses import dataclass
from typing import Any

from tracing import BATCH, Operation, Trace

INTENSITIES = (24, 64, 160, 400)
"""FLOP per byte in 16 bit at which dense products are told apart: narrow early ones, wide late ones."""
NORM_AGAIN = {"native_batch_norm": 0.5}
"""Statistics read the input once more than the operation names."""
NORM_BACKWARD_AGAIN = 2 / 3
FUSED = ("attention", "windowed")
FUSED_BACKWARD = 2.5
"""Backward over forward of fused attention: it computes its scores again."""


@dataclass
class Sum:
    """Products of a kind: FLOPs and bytes per image, and logs of their sides, weighted by FLOPs."""

    flops: float = 0.0
    moved: float = 0.0
    logs: tuple[float, float, float] = (0.0, 0.0, 0.0)
    count: int = 0
    groups: float = 0.0

    def add(self, times: int, flops: float, moved: float, sides: tuple[float, float, float], groups: float = 1.0) -> None:
        """Count some more of them."""
        self.flops += times * flops
        self.moved += times * moved
        self.logs = tuple(a + times * flops * math.log(max(1.0, b)) for a, b in zip(self.logs, sides, strict=True))  # type: ignore[assignment]
        self.count += times
        self.groups += times * groups

    def cell(self, kind: str) -> str:
        """As the tables spell it."""
        sides = [f"{math.exp(log / self.flops):.0f}" for log in self.logs]
        if kind in FUSED:
            sides[1:] = "0", "0"
        return ":".join(
            [kind, short(self.flops / 1e9), short(self.moved / 1e6), *sides, str(self.count), f"{self.groups / self.count:.0f}"]
        )


@dataclass(frozen=True)
class Product:
    """One operation that multiplies, per image."""

    kind: str
    flops: float
    moved: float
    sides: tuple[float, float, float]
    groups: float = 1.0
    outputs: float = 0.0
    scores: float = 0.0


def product(operation: Operation) -> Product | None:
    """What an operation multiplies; None where it only moves."""
    if operation.shapes is None:
        return None
    if "convolution" in operation.name:
        return convolution(operation)
    if "attention" in operation.name:
        return attention(operation)
    a, b = operation.shapes
    if len(a) == 3:
        images = a[0] / BATCH
        flops, moved = 2 * math.prod(a) * b[2] / BATCH, (operation.read + operation.written) / BATCH
        return Product("batched", flops, moved, (a[1], a[2], b[2]), 0.0, images * a[1] * b[2])
    rows = a[0] / BATCH
    return Product(
        "dense", 2 * rows * a[1] * b[1], operation.width * rows * (a[1] + b[1]), (rows, a[1], b[1]), 1.0, rows * b[1]
    )


def convolution(operation: Operation) -> Product:
    """A convolution; its backward pass makes the gradients of its input, its weight, or both."""
    assert operation.shapes
    image, weight, out, groups, passes = operation.shapes
    flops = 2 * math.prod(out) * math.prod(weight[1:]) * passes / BATCH
    moved = operation.width * (math.prod(out) + math.prod(image)) * passes / BATCH
    width = weight[0] // groups
    kind = "convolution" if groups == 1 else "depthwise" if width == 1 else "grouped"
    rows = math.prod(out) / out[1] / BATCH
    return Product(kind, flops, moved, (rows, math.prod(weight[1:]), width), groups, math.prod(out) / BATCH)


def attention(operation: Operation) -> Product:
    """Fused attention, over the whole image or within windows."""
    assert operation.shapes
    queries, keys = operation.shapes[:2]
    heads = math.prod(queries[:-2]) / BATCH
    scores = heads * queries[-2] * keys[-2]
    whole = queries[0] == BATCH and keys[-2] >= queries[-2]
    flops = 4 * scores * queries[-1] * (FUSED_BACKWARD if operation.phase == "backward" else 1.0)
    moved = (operation.read + operation.written) / BATCH
    outputs = scores + math.prod(queries) / BATCH
    return Product("attention" if whole else "windowed", flops, moved, (queries[-2], 0, 0), 1.0, outputs, scores)


def line(name: str, part: str, source: str, scales: str, amp: Trace, full: Trace, frozen: Trace | None = None) -> list[Any]:
    """The cells of a line, from a pass under autocast, one in fp32, and one with frozen weights."""
    sums: dict[tuple[str, int], Sum] = collections.defaultdict(Sum)
    moved: collections.Counter[str] = collections.Counter()
    kernels: collections.Counter[str] = collections.Counter()
    flops: collections.Counter[str] = collections.Counter()
    outputs = scores = norms = widest = 0.0
    for operation, times in amp.operations.items():
        if operation.constant:
            continue
        phase, found = operation.phase, product(operation)
        passes = operation.shapes[4] if operation.shapes and "convolution" in operation.name else 1
        kernels[phase] += times * passes
        traffic = found.moved if found else (operation.read + operation.written) / BATCH
        if phase == "forward":
            widest = max(widest, traffic)
        if found is None:
            moved[phase] += times * traffic
            moved["backward"] += times * traffic * again(operation)
            if operation.name == "native_batch_norm" and phase == "forward":
                norms += times * operation.written / operation.width / BATCH
            continue
        flops[phase] += times * found.flops
        if phase == "forward":
            outputs += times * found.outputs
            scores += times * found.scores
            sums[key(found, operation)].add(times, found.flops, found.moved, found.sides, found.groups)
    order = sorted(sums.items(), key=lambda item: item[1].flops / max(1.0, item[1].moved))
    mega = [outputs, amp.saved / BATCH, full.saved / BATCH, frozen.saved / BATCH if frozen else 0.0, amp.extra / BATCH, widest]
    mega += [moved["forward"], element_wise(full)]
    return [
        name, part, kind_of(sums), scales, source, amp.size, amp.parameters, amp.trained, *(short(m / 1e6) for m in mega),
        f"{flops['backward'] / max(1.0, flops['forward']):.3g}", f"{moved['backward'] / max(1.0, moved['forward']):.3g}",
        kernels["forward"], kernels["backward"], short(scores / 1e6), short(norms / 1e6),
        " ".join(found.cell(kind) for (kind, _), found in order),
    ]  # fmt: skip


def key(found: Product, operation: Operation) -> tuple[str, int]:
    """Dense products are told apart by FLOP per byte, as if both were 16 bit."""
    if found.kind not in ("dense", "convolution"):
        return found.kind, 0
    intensity = found.flops / max(1.0, found.moved) * operation.width / 2
    return found.kind, sum(intensity >= edge for edge in INTENSITIES)


def again(operation: Operation) -> float:
    """How much more a norm reads in training than its operations name."""
    if operation.phase == "forward":
        return NORM_AGAIN.get(operation.name, 0.0)
    return NORM_BACKWARD_AGAIN if "norm_backward" in operation.name else 0.0


def element_wise(full: Trace) -> float:
    """Bytes per image that element-wise work of a forward pass moves."""
    found = (o for o in full.operations.items() if o[0].phase == "forward" and not o[0].constant and product(o[0]) is None)
    return sum(times * (operation.read + operation.written) / BATCH for operation, times in found)


def kind_of(sums: dict[tuple[str, int], Sum]) -> str:
    """What a network mostly is."""
    by_kind: collections.Counter[str] = collections.Counter()
    bytes_of: collections.Counter[str] = collections.Counter()
    for (kind, _), found in sums.items():
        by_kind[kind] += found.flops
        bytes_of[kind] += found.moved
    convolved = sum(by_kind[k] for k in ("convolution", "grouped", "depthwise")) / max(1.0, sum(by_kind.values()))
    if any(by_kind[k] for k in ("attention", "windowed", "batched")):
        return "hybrid" if convolved > 0.3 else "transformer"
    if convolved < 0.2:
        return "depthwise" if bytes_of["depthwise"] else "mlp"
    return "depthwise" if bytes_of["depthwise"] > 0.1 * sum(bytes_of.values()) else "convolution"


def short(value: float) -> str:
    """Four figures."""
    return f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
