"""A network's training steps in a process of its own, measured.

Prints the seconds of a step on one core and the process's peak of memory as JSON. Called by accuracy_networks.py with a case
as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
import warnings
from typing import Any

WARM_UP, STEPS = 1, 3
BLOCKS = {
    "resnet18": ("basic", [64, 128, 256, 512], [2, 2, 2, 2]),
    "resnet50": ("bottleneck", [256, 512, 1024, 2048], [3, 4, 6, 3]),
}


def main() -> int:
    """Build, train a few steps on noise, tell."""
    case = json.loads(sys.argv[1])
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    model = build(case, transformers).train()
    if case["checkpointing"] == "true":
        model.gradient_checkpointing_enable()
    optimizer = {
        "adamw": lambda given: torch.optim.AdamW(given, lr=1e-4),
        "sgd": lambda given: torch.optim.SGD(given, lr=1e-4),
        "sgd-momentum": lambda given: torch.optim.SGD(given, lr=1e-4, momentum=0.9),
    }[case["optimizer"]](model.parameters())
    times = []
    for _ in range(WARM_UP + STEPS):
        batch = inputs(case, torch)
        began = time.process_time()
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.process_time() - began)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    count = sum(p.numel() for p in model.parameters())
    print(json.dumps({"seconds": statistics.median(times[WARM_UP:]), "peak": peak, "parameters": count}))
    return 0


def build(case: dict[str, str], transformers: Any) -> Any:
    """The network with random weights."""
    kind = case["kind"]
    if kind in BLOCKS:
        layer, widths, depths = BLOCKS[kind]
        shape = transformers.ResNetConfig(layer_type=layer, hidden_sizes=widths, depths=depths, num_labels=1000)
        return transformers.ResNetForImageClassification(shape)
    layers, hidden, heads, ffn, vocab, length = (int(case[k]) for k in ("layers", "hidden", "heads", "ffn", "vocab", "length"))
    if kind == "gpt":
        return transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_layer=layers, n_embd=hidden, n_head=heads, n_inner=ffn, vocab_size=vocab, n_positions=length, use_cache=False
            )
        )
    common = {
        "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads, "intermediate_size": ffn,
        "vocab_size": vocab, "max_position_embeddings": length,
    }  # fmt: skip
    if kind == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**common, use_cache=False))
    return transformers.BertForMaskedLM(transformers.BertConfig(**common))


def inputs(case: dict[str, str], torch: Any) -> dict[str, Any]:
    """A batch of noise with its labels."""
    batch, length = int(case["batch"]), int(case["length"])
    if case["kind"] in BLOCKS:
        return {"pixel_values": torch.randn(batch, 3, length, length), "labels": torch.randint(1000, (batch,))}
    tokens = torch.randint(int(case["vocab"]), (batch, length))
    return {"input_ids": tokens, "labels": tokens}


if __name__ == "__main__":
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    warnings.simplefilter("ignore")
    raise SystemExit(main())
