"""The peak of a whole step, against PyTorch's own memory tracker on fake tensors."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from dispatcher.planner.memory import peak_moment
from tests.unit.planner.networks import SMALL, on, work

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]
BATCH = 4


def tracked(vocab: int, attention: str, precision: str, *, checkpointing: bool) -> float:
    """Bytes at the peak of the second of two steps with AdamW."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    fake = pytest.importorskip("torch._subclasses.fake_tensor")
    tools = pytest.importorskip("torch.distributed._tools.mem_tracker")
    config = transformers.LlamaConfig(
        hidden_size=SMALL["hidden"], num_attention_heads=SMALL["heads"], num_key_value_heads=SMALL["kv_heads"],
        intermediate_size=SMALL["ffn"], num_hidden_layers=SMALL["layers"], vocab_size=vocab, attn_implementation=attention,
        tie_word_embeddings=False,
    )  # fmt: skip
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if precision == "bf16" else torch.float32)
    try:
        with fake.FakeTensorMode(allow_non_fake_inputs=True):
            model = transformers.LlamaForCausalLM(config).train()
            if checkpointing:
                model.gradient_checkpointing_enable({"use_reentrant": False})
            return _steps(torch, tools.MemTracker(), model, vocab, amp=precision.startswith("amp"))
    finally:
        torch.set_default_dtype(usual)


def _steps(torch: Any, tracker: Any, model: Any, vocab: int, *, amp: bool) -> float:
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    tracker.track_external(model, optimizer)
    with tracker:
        for _ in range(2):
            tokens = torch.randint(0, vocab, (BATCH, SMALL["sequence_length"]))
            with torch.autocast("cpu", torch.bfloat16) if amp else nullcontext():
                out = model(input_ids=tokens, labels=tokens, use_cache=False)
            out.loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            tracker.reset_mod_stats()
    peak = next(iter(tracker.get_tracker_snapshot("peak").values()))
    return max(float(size) for size in peak.values())


@pytest.mark.parametrize("vocab", [500, 8000])
@pytest.mark.parametrize(
    ("attention", "precision", "checkpointing"),
    [
        ("sdpa", "fp32", False),
        ("sdpa", "bf16", True),
        ("eager", "bf16", False),
        ("sdpa", "amp-bf16", False),
        ("eager", "fp32", True),
    ],
)
def test_the_peak_is_within_a_tenth_of_what_is_tracked(vocab: int, attention: str, precision: str, checkpointing: bool) -> None:
    model = {**SMALL, "vocab": vocab, "tied_embeddings": False}
    settings = {"precision": precision, "attention": attention, "gradient_checkpointing": checkpointing, "batch_size": BATCH}
    mine = peak_moment(work(model, on(None), **settings), on(None)).total
    assert mine == pytest.approx(tracked(vocab, attention, precision, checkpointing=checkpointing), rel=0.1)
