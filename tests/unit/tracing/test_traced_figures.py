"""What a trace counts, against closed forms, real runs on this processor, and the families' formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.domain.job import JobConfig
from dispatcher.domain.traced import Traced, Untraceable
from dispatcher.planner import devices
from dispatcher.planner.workload import workload
from dispatcher.tracing import trace

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

CONV = """
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )
"""
GPT = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in self.qkv(self.norm1(x)).split(c, dim=2))
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.norm2(x))

class GPT(nn.Module):
    def __init__(self, layers=3, width=64, heads=4, vocab=100, tokens=32):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocab, width), nn.Parameter(torch.zeros(tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocab, bias=False)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

build = GPT
"""
LAYERS, WIDTH, VOCAB, TOKENS, BATCH = 3, 64, 100, 32, 4


def made(code: str) -> Any:
    names: dict[str, Any] = {}
    exec(code, names)
    return names["build"]()


def really_saved(network: Any, data: Any, **named: Any) -> int:
    """Bytes that a real forward pass keeps, weights and data left out."""
    import torch

    weights = {t.untyped_storage().data_ptr() for t in [*network.parameters(), *network.buffers()]}
    weights |= {t.untyped_storage().data_ptr() for t in (data, *named.values())}
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(data, **named)
    return sum(storage.nbytes() for storage in kept.values())


def real_flops(network: Any, data: Any) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(data)
    return int(counter.get_total_flops())


def named(found: Traced, start: str) -> Any:
    return next(m for m in found.modules if m.name.startswith(start))


def test_a_convolutional_networks_figures_are_those_of_paper_and_pencil(tracing) -> None:
    found = tracing(CONV, input=[3, 64, 64], batch=BATCH)
    first, second, linear = 2 * 27 * 16 * 64**2, 2 * 144 * 32 * 32**2, 2 * 32 * 10
    assert found.parameters == 27 * 16 + 16 + 32 + 144 * 32 + 32 + 330
    assert found.forward_flops == first + second + linear
    assert found.backward_flops == first + 2 * second + 2 * linear
    kept = 4 * (16 * 64**2 + 16 * 64**2 + 32 * 32**2)
    assert found.saved_bytes == pytest.approx(kept + 4 * 3 * 64**2, rel=0.002)
    assert [m.product for m in found.modules if m.product] == ["convolution", "convolution", "dense"]


def test_a_convolutional_networks_kept_bytes_and_flops_are_those_of_a_real_run(tracing) -> None:
    import torch

    found, network = tracing(CONV, input=[3, 64, 64], batch=BATCH), made(CONV)
    data = torch.randn(BATCH, 3, 64, 64)
    assert found.forward_flops * BATCH == real_flops(network, data)
    assert (found.saved_bytes - found.sample_bytes) * BATCH == pytest.approx(really_saved(network, data), rel=0.01)


def test_a_gpts_parameters_and_flops_are_those_of_paper_and_pencil(tracing) -> None:
    found = tracing(GPT, input=[TOKENS], batch=BATCH)
    per_layer = 12 * WIDTH**2 + 13 * WIDTH
    assert found.parameters == LAYERS * per_layer + 2 * VOCAB * WIDTH + TOKENS * WIDTH + 2 * WIDTH
    attention = 4 * TOKENS**2 * WIDTH // 2
    assert found.forward_flops == LAYERS * (24 * WIDTH**2 * TOKENS + attention) + 2 * VOCAB * WIDTH * TOKENS
    assert sum(m.repeats * m.attention_flops for m in found.modules) == LAYERS * attention
    assert found.backward_flops == 2 * found.forward_flops


def test_a_gpt_keeps_what_a_real_run_keeps(tracing) -> None:
    import torch

    found, network = tracing(GPT, input=[TOKENS], batch=BATCH), made(GPT)
    real = really_saved(network, torch.zeros(BATCH, TOKENS, dtype=torch.long))
    logits = 4 * TOKENS * VOCAB
    mine = found.saved_bytes - found.sample_bytes - 2 * logits  # the output, and its log-softmax, come after the network
    assert mine * BATCH == pytest.approx(real, rel=0.02)


def test_equal_layers_are_repeats_of_one_module(tracing) -> None:
    found = tracing(GPT, input=[TOKENS], batch=BATCH)
    block = named(found, "blocks.0")
    assert (block.kind, block.repeats, block.layer) == ("Block", LAYERS, True)
    assert block.input_bytes == 4 * TOKENS * WIDTH
    assert "tokens" in "".join(found.notes)


def test_the_peak_is_that_of_what_is_kept_and_the_widest_gradients(tracing) -> None:
    found = tracing(GPT, input=[TOKENS], batch=BATCH)
    assert found.saved_bytes < found.peak_bytes < 1.5 * found.saved_bytes


def test_sixteen_bit_halves_what_is_kept_and_autocast_copies_the_weights_of_products(tracing) -> None:
    wide, half, cast = (tracing(GPT, input=[TOKENS], precision=p) for p in ("fp32", "bf16", "amp-bf16"))
    assert half.saved_bytes < 0.6 * wide.saved_bytes
    assert half.saved_bytes < cast.saved_bytes < wide.saved_bytes
    assert named(cast, "blocks.0").cast == pytest.approx(12 * WIDTH**2, rel=0.02)
    assert named(wide, "blocks.0").cast == 0


def test_adapters_are_all_that_is_trained(tracing) -> None:
    found = tracing(GPT, input=[TOKENS], training={"method": "lora", "lora_rank": 4, "lora_targets": ["qkv"]})
    assert found.trainable == LAYERS * 4 * (WIDTH + 3 * WIDTH)
    assert found.parameters - found.trainable == tracing(GPT, input=[TOKENS]).parameters
    assert found.backward_flops < 1.2 * found.forward_flops


def test_inference_keeps_nothing(tracing, tmp_path: Path, environ) -> None:
    (tmp_path / "net.py").write_text(CONV)
    model = {"factory": "net:build", "input": [3, 64, 64]}
    job = JobConfig.model_validate({"run": "true", "task": "inference", "model": model, "training": {"batch_size": 4}})
    found = trace(job, tmp_path, environ)
    assert isinstance(found, Traced)
    assert found.backward_flops == 0
    assert found.saved_bytes == pytest.approx(4 * (3 * 64**2 + 10), rel=0.1)


TINY_LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 352, "vocab_size": 500, "num_hidden_layers": 3,
}  # fmt: skip
TINY_BERT = {
    "model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 128, "num_attention_heads": 4,
    "intermediate_size": 512, "vocab_size": 500, "num_hidden_layers": 3,
}  # fmt: skip


@pytest.mark.parametrize("config", [TINY_LLAMA, TINY_BERT], ids=["llama", "bert"])
def test_a_hugging_face_config_is_traced_as_its_own_class(tracing, tmp_path: Path, config) -> None:
    transformers = pytest.importorskip("transformers")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "config.json").write_text(json.dumps(config))
    found = tracing(family="transformer", config="config.json", sequence_length=64)
    assert isinstance(found, Traced), found
    own = getattr(transformers, config["architectures"][0])
    network = own(transformers.CONFIG_MAPPING[config["model_type"]](**_without(config)))
    assert found.parameters == sum(p.numel() for p in network.parameters())
    layer = next(m for m in found.modules if m.layer)
    assert layer.repeats == 3


def test_a_tiny_llama_keeps_what_a_real_run_keeps(tracing, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "config.json").write_text(json.dumps(TINY_LLAMA))
    found = tracing(family="transformer", config="config.json", sequence_length=64, batch=BATCH)
    network = transformers.LlamaForCausalLM(transformers.LlamaConfig(**_without(TINY_LLAMA), use_cache=False)).train()
    tokens = torch.zeros(BATCH, 64, dtype=torch.long)
    real = really_saved(network, tokens, labels=tokens.clone())
    logits = 4 * 64 * 500
    assert (found.saved_bytes - found.sample_bytes - logits) * BATCH == pytest.approx(real, rel=0.03)


def _without(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in ("model_type", "architectures")}


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"name": "gpt2", "sequence_length": 512}, {"precision": "fp32"}),
        ({"name": "distilbert-base-uncased", "sequence_length": 128}, {"precision": "amp-bf16", "attention": "sdpa"}),
        ({"name": "llama-3.2-1b", "sequence_length": 1024}, {"precision": "bf16", "method": "lora"}),
    ],
)  # fmt: skip
def test_the_formula_and_the_trace_of_a_known_model_agree(tracing, model, training) -> None:
    pytest.importorskip("transformers")
    found = tracing(batch=2, training=training, **model, precision=training.pop("precision"))
    assert isinstance(found, Traced), found
    job = JobConfig.model_validate({"run": "true", "model": model, "training": {"batch_size": 2, **training}})
    job = job.model_copy(update={"training": job.training.model_copy(update={"precision": _precision(found)})})
    work: Any = workload(job, devices.named("A100-80GB"))
    kept = sum(b.repeats * b.saved_bytes for b in work.blocks)
    assert found.saved_bytes == pytest.approx(kept, rel=0.1)
    assert found.forward_flops == pytest.approx(sum(b.repeats * b.forward_flops for b in work.blocks), rel=0.05)


def _precision(found: Traced) -> str:
    return {"fp32": "fp32", "autocast": "amp-bf16", "half": "bf16"}[found.width]


TIMM = """
def list_models():
    return ["resnet50"]

def create_model(name, pretrained):
    assert not pretrained
    from torch import nn
    return nn.Sequential(nn.Conv2d(3, 8, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
"""
"""A stand-in for timm: the real one needs torchvision's operators."""


def test_a_networks_name_is_built_by_timm_at_its_image_size(tmp_path: Path, environ) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torchvision.py").write_text("raise ImportError('built for another torch')\n")
    (tmp_path / "site" / "timm.py").write_text(TIMM)
    job = JobConfig.model_validate({"run": "true", "model": {"name": "resnet50"}, "training": {"batch_size": 2}})
    found = trace(job, tmp_path, {**environ, "PYTHONPATH": str(tmp_path / "site")})
    assert isinstance(found, Traced), found
    assert found.forward_flops == 2 * 3 * 49 * 8 * 218**2 + 2 * 8 * 2


def test_a_name_that_neither_library_builds_is_told_with_both_reasons(tmp_path: Path, environ) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "torchvision.py").write_text("raise ImportError('built for another torch')\n")
    (tmp_path / "site" / "timm.py").write_text(TIMM.replace("resnet50", "other"))
    job = JobConfig.model_validate({"run": "true", "model": {"name": "resnet50"}, "training": {"batch_size": 2}})
    found = trace(job, tmp_path, {**environ, "PYTHONPATH": str(tmp_path / "site")})
    assert isinstance(found, Untraceable)
    assert "built for another torch" in found.reason
    assert "timm has no resnet50" in found.reason
