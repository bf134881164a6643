"""A plan on a trace: the blocks are the trace's, the formulas the families'."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dispatcher.domain.traced import Traced, TracedModule
from dispatcher.errors import UnknownError
from dispatcher.planner.assess import assess
from dispatcher.planner.workload import workload
from tests.unit.planner import things

LAYER = TracedModule(
    "layers.0", "Block", layer=True, repeats=10, parameters=1e7, trainable=1e7, saved_bytes=2e7, input_bytes=1e6,
    result_bytes=8e6, working_bytes=1e6, backward_bytes=4e6, forward_flops=5e9, attention_flops=1e9, backward_flops=1e10,
    product="dense", rows=512, inner=1024, width=4096, matmul_bytes=2e7, moved_bytes=3e7, backward_moved=6e7, kernels=20,
)  # fmt: skip
EMBEDDING = TracedModule("embed", "Embedding", parameters=3e7, trainable=3e7, saved_bytes=1e6, moved_bytes=2e6, kernels=1)
TRACE = Traced("net:build", (EMBEDDING, LAYER), 8, "autocast", "full", "sdpa", True, 512.0, 4096.0, 2.3e8, "2.13.0")
DEVICE = things.device()


def job(**training):
    settings = {"batch_size": 8, "precision": "amp-fp16", "optimizer": "adamw", "steps": 100, **training}
    return things.job(model={"family": "torch", "factory": "net:build", "input": [512]}, training=settings)


def test_parameters_and_flops_are_the_traces():
    need = assess(job(), DEVICE, traced=TRACE)
    assert need.parameters == 1.3e8
    assert need.flops_per_step == 8 * 10 * (5e9 + 1e10)


def test_memory_is_said_to_be_traced_and_holds_what_the_modules_keep():
    need = assess(job(), DEVICE, traced=TRACE)
    assert need.gpu is not None
    assert need.gpu.basis == "traced"
    assert need.gpu.terms["activations"] * 2**30 == pytest.approx(8 * (1e6 + 10 * 2e7 + 4e6), rel=0.01)


def test_a_traced_interval_is_narrower_than_the_formulas():
    custom = {"family": "custom", "parameters": 1.3e8, "flops_per_sample": 5e10, "activation_bytes_per_sample": 2e8}
    told = assess(things.job(model=custom, training={"batch_size": 8}), DEVICE).gpu
    traced = assess(job(), DEVICE, traced=TRACE).gpu
    assert told is not None
    assert traced is not None
    assert traced.range.high / traced.range.low < told.range.high / told.range.low


def test_checkpointing_keeps_the_layers_inputs_only():
    need = assess(job(gradient_checkpointing=True), DEVICE, traced=TRACE)
    plain = assess(job(), DEVICE, traced=TRACE)
    assert need.gpu is not None
    assert plain.gpu is not None
    assert need.gpu.terms["activations"] < 0.3 * plain.gpu.terms["activations"]


def test_another_precision_scales_the_bytes_and_says_so():
    wide = assess(job(precision="fp32"), DEVICE, traced=TRACE)
    work = workload(job(precision="fp32"), DEVICE, traced=TRACE)
    assert work.blocks[1].saved_bytes == 4e7
    assert any("another precision" in note for note in wide.warnings)
    assert not any("another precision" in note for note in assess(job(), DEVICE, traced=TRACE).warnings)


def test_ragged_data_are_timed_at_their_mean_length():
    ragged = job().model_copy(update={"dataset": things.job(dataset={"samples": 10, "mean_length": 64}).dataset})
    whole, short = (workload(ragged, DEVICE, for_time=t, traced=TRACE) for t in (False, True))
    assert whole.tokens_per_sample == 512
    assert short.tokens_per_sample < 300
    assert short.blocks[1].attention_flops < (short.tokens_per_sample / 512) ** 2 * 1.01e9


def test_without_a_trace_the_jobs_own_code_cannot_be_planned():
    with pytest.raises(UnknownError) as told:
        assess(job(), DEVICE)
    assert "--trace" in told.value.fix


def test_a_trace_of_another_method_is_not_used():
    with pytest.raises(UnknownError):
        assess(job(method="lora"), DEVICE, traced=TRACE)
    named = things.job(model={"name": "gpt2", "sequence_length": 512}, training={"batch_size": 8, "method": "lora"})
    need = assess(named, DEVICE, traced=TRACE)
    assert need.gpu is not None
    assert need.gpu.basis == "formula"


def test_a_convolution_reaches_its_own_share_of_the_peak():
    convolving = replace(LAYER, product="convolution", inner=27, width=16)
    work = workload(job(), DEVICE, traced=replace(TRACE, modules=(convolving,)))
    assert work.blocks[0].efficiency < 1
    assert work.blocks[0].moved_bytes < LAYER.moved_bytes
    assert work.workspace_bytes > 0


def test_the_explanation_names_the_largest_modules_first():
    lines = assess(job(), DEVICE, traced=TRACE, explained=True).explain
    assert "torch 2.13.0" in lines[0]
    assert lines[1] == "  layers.0 (Block): 10 × 20 MB, 100% of all"
