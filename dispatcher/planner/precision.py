"""What each precision holds in how many bytes."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.domain.hardware import Device


@dataclass(frozen=True, slots=True)
class Numbers:
    """Bytes per number: `weight` and `gradient` as stored, `operand` in matrix products, `stream` between them.

    `autocast`: products run on 16-bit copies of fp32 weights. `peak` is the accelerator's figure that bounds the products.
    `quantised` is what a weight of a quantised base takes, its scales included; 0 where nothing is quantised.
    """

    weight: float
    gradient: float
    operand: float
    stream: float
    peak: str
    autocast: bool = False
    quantised: float = 0.0

    @property
    def native(self) -> bool:
        """Whether nothing has to be dequantised."""
        return not self.quantised or self.peak == "fp8_tflops"


NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes per weight in NormalFloat4, double-quantised: an 8-bit scale per 64, an fp32 one per 256 of those (QLoRA, 2023)."""
FP8 = 1.0
"""Bytes per weight in fp8 with one scale per tensor."""
STORED_FP8 = "fp8-stored"
"""fp8 where nothing is trained: weights are held in 8 bit; training keeps them in fp32 and casts them for each product."""
INT8 = 1.0 + 4 / 4096
"""Bytes per weight in row-wise int8: one fp32 scale per output row."""

NUMBERS = {
    "fp32": Numbers(4, 4, 4, 4, "fp32_tflops"),
    "tf32": Numbers(4, 4, 4, 4, "tf32_tflops"),
    "amp-bf16": Numbers(4, 4, 2, 4, "bf16_tflops", autocast=True),
    "amp-fp16": Numbers(4, 4, 2, 4, "fp16_tflops", autocast=True),
    "bf16": Numbers(2, 2, 2, 2, "bf16_tflops"),
    "fp16": Numbers(2, 2, 2, 2, "fp16_tflops"),
    "fp8": Numbers(4, 4, 2, 4, "fp8_tflops", autocast=True),
    STORED_FP8: Numbers(2, 2, 2, 2, "fp8_tflops", quantised=FP8),
    "int8": Numbers(2, 2, 2, 2, "bf16_tflops", quantised=INT8),
    "nf4": Numbers(2, 2, 2, 2, "bf16_tflops", quantised=NF4),
}


def numbers(precision: str, method: str = "full", sharding: str = "none") -> Numbers:
    """The bytes of one setting.

    A quantised base runs its products in 16 bit between fp32 norms: PEFT prepares it so, and what lies between its layers is
    then fp32. FSDP's and DeepSpeed's mixed precision hand every layer 16-bit inputs, so
    that the stream between layers is 16 bit too; autocast alone leaves it in fp32.
    """
    found = NUMBERS[precision]
    if method == "qlora" and precision == "fp32":
        return Numbers(4, 4, 4, 4, "fp32_tflops", quantised=NF4)
    if method == "qlora":
        return Numbers(2, 4, 2, 4, "bf16_tflops", quantised=INT8 if precision == "int8" else NF4)
    if found.autocast and sharding in ("zero2", "zero3", "fsdp"):
        return Numbers(4, 4, 2, 2, found.peak)
    return found


def resolve(precision: str | None, device: Device, *, training: bool = True) -> str:
    """The precision a job runs in: fp32 where it says nothing, the device's own 16 bit for `amp`."""
    if precision is None:
        return "fp32"
    if precision == "fp8" and not training:
        return STORED_FP8
    if precision == "amp":
        return "amp-bf16" if has_bf16(device) else "amp-fp16"
    return precision


def has_bf16(device: Device) -> bool:
    """Whether the device multiplies bf16 in hardware."""
    part = device.accelerator
    if part is None or part.vendor == "Apple":
        return True
    return part.bf16_tflops > 0 or part.compute_capability >= 8
