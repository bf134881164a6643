"""From recorded segments to modules: per sample, alike ones together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from dispatcher.domain.traced import TracedModule

ALIKE = 0.03
"""Modules in a row whose figures differ by less than this share are repeats: the first often keeps a mask for all."""


def modules(segments: list[dict[str, Any]], batch: int) -> tuple[TracedModule, ...]:
    """The segments in forward order, as modules."""
    return tuple(_together(_absorbed(_each(segments, batch))))


def peak_bytes(segments: list[dict[str, Any]], batch: int) -> float:
    """The most that is alive at once, per sample."""
    return float(max(max(one["peaks"].values()) for one in segments)) / batch


def _each(segments: list[dict[str, Any]], batch: int) -> Iterable[TracedModule]:
    kept = 0.0
    for one in segments:
        kept += one["saved"]
        rows, inner, width = one["sides"]
        yield TracedModule(
            name=one["name"],
            kind=one["kind"],
            layer=one["layer"],
            parameters=one["parameters"],
            trainable=one["trainable"],
            adapters=one["adapters"],
            cast=one["cast"],
            saved_bytes=one["saved"] / batch,
            input_bytes=one["inputs"] / batch,
            result_bytes=one["results"] / batch,
            working_bytes=max(0.0, one["peaks"]["forward"] - kept) / batch,
            backward_bytes=max(0.0, one["peaks"]["backward"] - kept) / batch,
            forward_flops=one["flops"]["forward"] / batch,
            attention_flops=one["attention"] / batch,
            backward_flops=one["flops"]["backward"] / batch,
            product=one["product"],
            rows=rows / batch,
            inner=inner,
            width=width,
            matmul_bytes=one["product_bytes"] / batch,
            moved_bytes=one["moved"]["forward"] / batch,
            backward_moved=one["moved"]["backward"] / batch,
            kernels=one["kernels"],
        )


def _absorbed(found: Iterable[TracedModule]) -> Iterable[TracedModule]:
    """Norms, activations and the like join what stands before them; layers and products stand for themselves."""
    held: TracedModule | None = None
    for one in found:
        if held is None:
            held = one
        elif one.layer or held.layer or one.product or one.name == "loss":
            yield held
            held = one
        else:
            held = _joined(held, one)
    if held is not None:
        yield held


SUMS = (
    "parameters", "trainable", "adapters", "cast", "saved_bytes", "result_bytes", "forward_flops", "attention_flops",
    "backward_flops", "matmul_bytes", "moved_bytes", "backward_moved", "kernels",
)  # fmt: skip


def _joined(first: TracedModule, second: TracedModule) -> TracedModule:
    """Two as one. Peaks count from what is kept up to the second."""
    named = first if first.product or first.parameters >= second.parameters else second
    peaks = {
        name: max(getattr(first, name) - second.saved_bytes, getattr(second, name), 0.0)
        for name in ("working_bytes", "backward_bytes")
    }
    sums = {name: getattr(first, name) + getattr(second, name) for name in SUMS}
    return replace(first, name=named.name, kind=named.kind, **sums, **peaks)


def _together(found: Iterable[TracedModule]) -> Iterable[TracedModule]:
    """Alike neighbours as repeats of one, with their mean figures."""
    run: list[TracedModule] = []
    for one in found:
        if run and not _alike(run[-1], one):
            yield _mean(run)
            run = []
        run.append(one)
    if run:
        yield _mean(run)


def _alike(one: TracedModule, other: TracedModule) -> bool:
    same = one.kind == other.kind and one.layer == other.layer and one.product == other.product
    return same and all(
        abs(getattr(one, name) - getattr(other, name)) <= ALIKE * getattr(one, name)
        for name in ("parameters", "saved_bytes", "forward_flops", "input_bytes")
    )


def _mean(run: list[TracedModule]) -> TracedModule:
    if len(run) == 1:
        return run[0]
    figures = (*SUMS, "input_bytes", "working_bytes", "backward_bytes")
    means = {name: sum(getattr(one, name) for one in run) / len(run) for name in figures}
    return replace(run[0], name=f"{run[0].name} … {run[-1].name}", repeats=len(run), **means)
