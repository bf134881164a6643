"""From segments to modules."""

from __future__ import annotations

from typing import Any

from dispatcher.tracing.reading import modules, peak_bytes


def segment(name: str, kind: str = "", **figures: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "layer": False, "parameters": 0, "trainable": 0, "adapters": 0, "cast": 0, "saved": 0, "inputs": 0, "results": 0,
        "peaks": {"forward": 0, "backward": 0}, "flops": {"forward": 0, "backward": 0}, "moved": {"forward": 0, "backward": 0},
        "attention": 0, "product_bytes": 0, "kernels": 1, "sides": [0.0, 0.0, 0.0], "product": "",
    }  # fmt: skip
    return {"name": name, "kind": kind, **plain, **figures}


def test_figures_are_per_sample():
    (one,) = modules([segment("a", saved=80, sides=[16.0, 4.0, 2.0], flops={"forward": 40, "backward": 8})], 4)
    assert (one.saved_bytes, one.rows, one.inner, one.forward_flops, one.backward_flops) == (20, 4, 4, 10, 2)


def test_alike_neighbours_are_repeats_and_the_order_is_kept():
    layers = [segment(f"l{i}", "Block", layer=True, saved=100, parameters=5) for i in range(3)]
    found = modules([segment("e", "Embedding", product="dense"), *layers, segment("h", "Linear", product="dense")], 1)
    assert [(m.name, m.repeats) for m in found] == [("e", 1), ("l0 … l2", 3), ("h", 1)]


def test_layers_that_differ_stand_alone():
    layers = [segment("a", "Block", layer=True, saved=100), segment("b", "Block", layer=True, saved=110)]
    assert [m.repeats for m in modules(layers, 1)] == [1, 1]


def test_norms_and_activations_join_the_product_before_them():
    conv = segment("conv", "Conv2d", product="convolution", saved=10, parameters=3)
    norm = segment("norm", "BatchNorm2d", saved=10, parameters=9)
    (one,) = modules([conv, norm], 1)
    assert (one.name, one.kind, one.saved_bytes, one.parameters) == ("conv", "Conv2d", 20, 12)


def test_the_memory_of_a_moment_is_what_is_kept_and_what_comes_on_top():
    parts = [
        segment("a", layer=True, saved=100, peaks={"forward": 150, "backward": 140}),
        segment("b", layer=True, saved=50, peaks={"forward": 180, "backward": 210}),
    ]
    first, second = modules(parts, 1)
    assert (first.working_bytes, first.backward_bytes) == (50, 40)
    assert (second.working_bytes, second.backward_bytes) == (30, 60)
    assert peak_bytes(parts, 1) == 210


def test_joining_keeps_the_higher_moment():
    parts = [
        segment("conv", product="convolution", saved=100, peaks={"forward": 100, "backward": 180}),
        segment("relu", saved=50, peaks={"forward": 150, "backward": 190}),
    ]
    (one,) = modules(parts, 1)
    assert one.saved_bytes + one.backward_bytes == 190
