"""What cannot work on a device: rules as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dispatcher.domain.hardware import Device
from dispatcher.domain.job import Training

BITSANDBYTES = ("adamw-8bit", "paged-adamw-8bit", "paged-adamw", "lion-8bit")
"""Optimizers that bitsandbytes provides."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`breaks(training, device)` is true where the framework would fail, or, where not `fatal`, disappoint."""

    breaks: Callable[[Training, Device], bool]
    message: str
    fatal: bool = True


def _capability(device: Device) -> float:
    """Compute capability; infinite where the rule is about NVIDIA alone."""
    spec = device.accelerator
    return spec.compute_capability if device.kind == "cuda" and spec and spec.compute_capability else float("inf")


def _needs_bitsandbytes(training: Training) -> bool:
    return training.method == "qlora" or training.optimizer in BITSANDBYTES


RULES: tuple[Rule, ...] = (
    Rule(
        lambda t, d: t.precision in ("bf16", "amp-bf16") and _capability(d) < 8.0,
        "bf16 needs an Ampere GPU (compute capability 8.0) or newer; {device} has {capability}. Use precision: amp-fp16.",
    ),
    Rule(
        lambda t, d: t.precision == "fp8" and (_capability(d) < 8.9 or d.kind in ("mps", "cpu")),
        "fp8 needs an Ada or Hopper GPU (compute capability 8.9) or newer; {device} is not one. Use precision: amp-bf16.",
    ),
    Rule(
        lambda t, d: t.attention == "flash" and (_capability(d) < 8.0 or d.kind in ("mps", "cpu")),
        "FlashAttention needs an Ampere GPU (compute capability 8.0) or newer; {device} is not one. Use attention: sdpa.",
    ),
    Rule(
        lambda t, d: _needs_bitsandbytes(t) and d.kind == "mps",
        "bitsandbytes (qlora and 8-bit optimizers) does not run on Apple GPUs. Use method: lora and optimizer: adamw.",
    ),
    Rule(
        lambda t, d: _needs_bitsandbytes(t) and _capability(d) < 6.0,
        "bitsandbytes needs compute capability 6.0 or newer; {device} has {capability}.",
    ),
    Rule(
        lambda t, d: t.sharding != "none" and d.kind in ("mps", "tpu"),
        "ZeRO and FSDP need CUDA or ROCm devices; {device} is not one. Use sharding: none.",
    ),
    Rule(
        lambda _, d: _capability(d) < 5.0,
        "{device} has compute capability {capability}: PyTorch's wheels have dropped it (2.0 and later need 5.0).",
    ),
    Rule(
        lambda _, d: 5.0 <= _capability(d) < 7.5,
        "{device} has compute capability {capability}: wheels built for CUDA 13 have dropped it; install one for CUDA 12.6.",
        fatal=False,
    ),
    Rule(
        lambda t, d: t.precision == "tf32" and (_capability(d) < 8.0 or d.kind in ("mps", "cpu", "rocm")),
        "{device} has no TF32: the job runs in fp32.",
        fatal=False,
    ),
    Rule(
        lambda t, _: t.method == "qlora" and t.precision == "fp32",
        "QLoRA computes in fp32 as written: slow, and twice the activations. Use precision: amp-bf16 (amp-fp16 before Ampere).",
        fatal=False,
    ),
    Rule(
        lambda t, d: t.precision in ("amp-fp16", "fp16") and d.kind == "cpu",
        "fp16 is emulated on a CPU, many times slower than fp32. Use precision: amp-bf16 or fp32.",
        fatal=False,
    ),
    Rule(
        lambda t, _: t.precision == "int8" and t.method != "full",
        "Adapters on an int8 base train up to four times slower than the likely figure: see its high end. qlora, or bf16 "
        "weights, are the faster choice.",
        fatal=False,
    ),
    Rule(
        lambda t, d: t.method == "qlora" and d.kind == "cpu",
        "QLoRA on a CPU needs bitsandbytes 0.48 or newer, and is good for a trial, not for training.",
        fatal=False,
    ),
)


def forbidden(training: Training, device: Device) -> tuple[str, ...]:
    """Why the framework would fail on this device; empty where it would not."""
    return tuple(_said(training, device, fatal=True))


def disappointing(training: Training, device: Device) -> tuple[str, ...]:
    """What works on this device, but not as the settings say."""
    return tuple(_said(training, device, fatal=False))


def _said(training: Training, device: Device, *, fatal: bool) -> Iterator[str]:
    for rule in RULES:
        if rule.fatal == fatal and rule.breaks(training, device):
            yield rule.message.format(device=device.name, capability=f"{_capability(device):g}")
