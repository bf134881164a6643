"""Trains a small GPT on Python's own standard library, byte by byte; resumes from its checkpoint when told to.

One JSON line per report on stdout; the loss of held-out files is in nats per byte. Ends with a sample of what it has learned.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sysconfig
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

BYTES = 256


class Attention(nn.Module):
    """Causal self-attention with several heads."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Mix each position with those before it."""
        batch, length, hidden = x.shape
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, hidden))


class Layer(nn.Module):
    """Attention and a plain MLP, each normed first and added back."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads)
        self.mlp = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """One residual block."""
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class Gpt(nn.Module):
    """Bytes in, logits of the next byte out; the embedding is also the head."""

    def __init__(self, layers: int, hidden: int, heads: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.bytes, self.places = nn.Embedding(BYTES, hidden), nn.Embedding(length, hidden)
        self.layers = nn.Sequential(*(Layer(hidden, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(hidden)
        self.head = nn.Linear(hidden, BYTES, bias=False)
        self.head.weight = self.bytes.weight
        nn.init.normal_(self.bytes.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)

    def forward(self, text: Tensor) -> Tensor:
        """Logits for every place."""
        places = torch.arange(text.shape[1], device=text.device)
        return self.head(self.norm(self.layers(self.bytes(text) + self.places(places))))


def main() -> None:
    """Read, train, report, save."""
    options = parse()
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = read_sources()
    model = Gpt(options.layers, options.hidden, options.heads, options.length).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.95), weight_decay=0.1)
    first = resume(options, model, optimizer)
    report(event="start", device=device, step=first, parameters=sum(p.numel() for p in model.parameters()), bytes=len(train))
    began = time.perf_counter()
    for step in range(first + 1, options.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = options.rate * schedule(step, options.steps)
        loss = spread(model, batch(train, options, step, device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % options.every == 0 or step == options.steps:
            seconds = (time.perf_counter() - began) / (step - first)
            report(step=step, loss=loss.item(), test_loss=judge(model, test, options, device), step_seconds=seconds)
            save(options, model, optimizer, step)
    finish(options, model, test, device)


def parse() -> argparse.Namespace:
    """The settings."""
    arguments = argparse.ArgumentParser(description="A small GPT on the standard library's sources")
    for name, default in (("layers", 4), ("hidden", 192), ("heads", 6), ("length", 128), ("batch-size", 16), ("steps", 300)):
        arguments.add_argument(f"--{name}", type=int, default=default)
    arguments.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    arguments.add_argument("--every", type=int, default=50, help="steps between two reports and checkpoints")
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--resume", action="store_true", default=os.environ.get("DISPATCHER_RESUME") == "1")
    arguments.add_argument("--out", type=Path, default=Path("runs/gpt"))
    return arguments.parse_args()


def read_sources() -> tuple[Tensor, Tensor]:
    """The standard library's top-level modules: nine in ten to learn from, every tenth to be tested on."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    texts = [file.read_bytes() for file in files]
    learned = b"".join(text for place, text in enumerate(texts) if place % 10)
    unseen = b"".join(texts[::10])
    return tuple(torch.frombuffer(bytearray(text), dtype=torch.uint8) for text in (learned, unseen))  # type: ignore[return-value]


def batch(text: Tensor, options: argparse.Namespace, seed: int, device: str) -> Tensor:
    """Pieces from random places, the same ones for the same seed."""
    dice = torch.Generator().manual_seed(options.seed * 1_000_003 + seed)
    starts = torch.randint(len(text) - options.length - 1, (options.batch_size,), generator=dice)
    return torch.stack([text[at : at + options.length + 1] for at in starts]).long().to(device)


def spread(model: Gpt, pieces: Tensor) -> Tensor:
    """Mean cross-entropy of the next byte, in nats."""
    return functional.cross_entropy(model(pieces[:, :-1]).flatten(0, 1), pieces[:, 1:].flatten())


def schedule(step: int, steps: int) -> float:
    """A linear start over a twentieth of the steps, then a cosine to a tenth."""
    start = max(1, steps // 20)
    if step <= start:
        return step / start
    return 0.1 + 0.45 * (1 + math.cos(math.pi * (step - start) / max(1, steps - start)))


@torch.no_grad()
def judge(model: Gpt, test: Tensor, options: argparse.Namespace, device: str) -> float:
    """The loss on the same pieces of unseen files every time."""
    return sum(spread(model, batch(test, options, -1 - turn, device)).item() for turn in range(4)) / 4


def save(options: argparse.Namespace, model: Gpt, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write the checkpoint beside the old one, then take its place: a kill leaves one that is whole."""
    options.out.mkdir(parents=True, exist_ok=True)
    state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state, options.out / "checkpoint.new")
    (options.out / "checkpoint.new").replace(options.out / "checkpoint.pt")


def resume(options: argparse.Namespace, model: Gpt, optimizer: torch.optim.Optimizer) -> int:
    """The step the checkpoint stands at, 0 for a fresh start."""
    file = options.out / "checkpoint.pt"
    if not options.resume or not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def finish(options: argparse.Namespace, model: Gpt, test: Tensor, device: str) -> None:
    """Metrics, and a sample for the curious."""
    metrics = {"test_loss": judge(model, test, options, device), "steps": options.steps, "seed": options.seed}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    (options.out / "sample.txt").write_bytes(sample(model, b"def ", 400, device))
    report(event="end", **metrics)


@torch.no_grad()
def sample(model: Gpt, prompt: bytes, count: int, device: str) -> bytes:
    """`count` bytes that follow the prompt, as the model sees it."""
    text = torch.tensor([list(prompt)], device=device)
    for _ in range(count):
        odds = functional.softmax(model(text[:, -model.length :])[:, -1] / 0.8, dim=-1)
        text = torch.cat([text, torch.multinomial(odds, 1)], dim=1)
    return bytes(text[0].tolist())


def report(**facts: object) -> None:
    """One JSON line."""
    print(json.dumps({key: round(value, 5) if isinstance(value, float) else value for key, value in facts.items()}), flush=True)


if __name__ == "__main__":
    main()
